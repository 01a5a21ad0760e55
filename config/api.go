package config

import "net"

// API says where the admin API and the Profile API are served, and how often they may be asked.
type API struct {
	// Listen is their address, "none" for nowhere; empty: that of the Tracking API, if only
	// programs on this machine reach that.
	Listen string `yaml:"listen"`
	// Rate is how many requests a token may make per second, on average and in a burst,
	// from 0.001 to 1,000,000; 0 means api.DefaultRate.
	Rate float64 `yaml:"rate"`
}

// nowhere is what Listen says when the APIs are not to be served.
const nowhere = "none"

// APIAddress is where the APIs are served: beside the Tracking API, at an address of their
// own, or, if it is empty, nowhere. Nobody gets them on a public address who has not said so.
func (c *Config) APIAddress() (address string, beside bool) {
	switch c.API.Listen {
	case nowhere:
		return "", false
	case c.Listen:
		return c.Listen, true
	case "":
		if c.PublicURL == "" && loopback(c.Listen) {
			return c.Listen, true
		}
		return "", false
	}
	return c.API.Listen, false
}

// loopback tells whether only programs on this machine reach an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

func (c *Config) apiFaults(f *faults) {
	if _, _, err := net.SplitHostPort(c.API.Listen); err != nil && c.API.Listen != "" && c.API.Listen != nowhere {
		f.add("api.listen", "%q is not host:port, such as 127.0.0.1:8081, and not none", c.API.Listen)
	}
	if !validRate(c.API.Rate) {
		f.add("api.rate", rateFault, c.API.Rate)
	}
}
