package ingest

import (
	"net/http"
	"strings"
	"testing"
)

func TestBehindProxies(t *testing.T) {
	proxies, err := ParseProxies([]string{"127.0.0.0/8", "::1", "10.1.2.3", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	client := BehindProxies(proxies)
	for _, c := range []struct {
		name, connection, want string
		forwarded              []string
	}{
		{"no proxy", "203.0.113.9:4000", "203.0.113.9", nil},
		{"a stranger claims something", "203.0.113.9:4000", "203.0.113.9", []string{"198.51.100.1"}},
		{"a proxy", "127.0.0.1:4000", "198.51.100.1", []string{"198.51.100.1"}},
		{"a proxy that says nothing", "127.0.0.1:4000", "127.0.0.1", nil},
		{"a proxy that says nonsense", "127.0.0.1:4000", "127.0.0.1", []string{"unknown"}},
		{"two proxies", "127.0.0.1:4000", "198.51.100.1", []string{"198.51.100.1, 10.1.2.3"}},
		{"two proxies, each with a header", "[::1]:4000", "198.51.100.1", []string{"198.51.100.1", " 10.1.2.3 "}},
		{"a client who claims to be another", "127.0.0.1:4000", "203.0.113.9", []string{"198.51.100.1, 203.0.113.9"}},
		{"a network that is no proxy", "10.1.2.4:4000", "10.1.2.4", []string{"198.51.100.1"}},
		{"all are proxies", "127.0.0.1:4000", "10.1.2.3", []string{"10.1.2.3"}},
		{"with ports", "127.0.0.1:4000", "2001:db8::5", []string{"[2001:db8::5]:3128"}},
		{"in brackets", "127.0.0.1:4000", "2001:db8::5", []string{"[2001:db8::5]"}},
		{"an IPv4 proxy on an IPv6 socket", "[::ffff:10.1.2.3]:4000", "198.51.100.1", []string{"198.51.100.1"}},
		{"an empty header", "127.0.0.1:4000", "127.0.0.1", []string{""}},
		{"no address at all", "@", "", []string{"198.51.100.1"}},
	} {
		r := &http.Request{RemoteAddr: c.connection, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := client(r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	_, err = ParseProxies([]string{"10.0.0.1", "proxy.local", "10.0.0.0/33"})
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.HasPrefix(err.Error(), `[1]: "proxy.local" is neither an address`) {
		t.Errorf("%v", err)
	}
}
