package ingest

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Loopback are the networks of this machine itself.
var Loopback = []string{"127.0.0.0/8", "::1"}

// ParseProxies reads addresses, such as 10.0.0.7, and networks, such as 10.0.0.0/8, of
// proxies. The error names all that are neither.
func ParseProxies(texts []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	var faults []error
	for i, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(text); err == nil {
				network, err = address.Unmap().WithZone("").Prefix(address.Unmap().BitLen())
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("[%d]: %q is neither an address, such as 10.0.0.7, nor a network, such as 10.0.0.0/8", i, text))
			continue
		}
		proxies = append(proxies, network.Masked())
	}
	return proxies, errors.Join(faults...)
}

// BehindProxies is a [APIConfig.ClientIP] for a server behind proxies: it takes the client's
// address from X-Forwarded-For, as far as that comes from proxies of the given networks.
// Each writes down whom it has talked to, at the end; the last who is no proxy is the
// client. What stands before that, anybody may have written.
func BehindProxies(proxies []netip.Prefix) func(*http.Request) string {
	trusted := func(address netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(address) })
	}
	return func(r *http.Request) string {
		text := connectionIP(r)
		client, err := netip.ParseAddr(text)
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for err == nil && trusted(client.Unmap().WithZone("")) && len(hops) > 0 {
			hop := strings.TrimSpace(hops[len(hops)-1])
			hops = hops[:len(hops)-1]
			var next netip.Addr
			if next, err = parseHop(hop); err == nil {
				client, text = next, next.String()
			}
		}
		return text
	}
}

// parseHop reads an address that some proxies write with its port.
func parseHop(hop string) (netip.Addr, error) {
	if with, err := netip.ParseAddrPort(hop); err == nil {
		return with.Addr(), nil
	}
	return netip.ParseAddr(strings.Trim(hop, "[]"))
}
