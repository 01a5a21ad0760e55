package config_test

import (
	"strings"
	"testing"

	"muster/config"
)

func TestAPIAddress(t *testing.T) {
	for _, c := range []struct {
		text    string
		address string
		beside  bool
	}{
		{"", "127.0.0.1:8080", true},
		{"listen: localhost:80", "localhost:80", true},
		{"listen: '[::1]:80'", "[::1]:80", true},
		{"listen: :8080", "", false},
		{"listen: 0.0.0.0:8080", "", false},
		{"listen: 10.0.0.1:8080", "", false},
		{"public_url: https://events.example.com", "", false},
		{"api: {listen: none}", "", false},
		{"api: {listen: '127.0.0.1:8081'}", "127.0.0.1:8081", false},
		{"listen: 0.0.0.0:8080\napi: {listen: '0.0.0.0:8080'}", "0.0.0.0:8080", true},
		{"listen: 0.0.0.0:8080\napi: {listen: '10.0.0.1:81'}", "10.0.0.1:81", false},
	} {
		parsed, err := config.Parse("muster.yaml", []byte(c.text), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		if address, beside := parsed.APIAddress(); address != c.address || beside != c.beside {
			t.Errorf("%q: %q %t, want %q %t", c.text, address, beside, c.address, c.beside)
		}
	}
}

func TestAPIFaults(t *testing.T) {
	_, err := config.Parse("muster.yaml", []byte("api:\n  listen: here\n  rate: -1\n"), func(string) (string, bool) { return "", false })
	for _, want := range []string{`muster.yaml:2: api.listen: "here" is not host:port`, `muster.yaml:3: api.rate: is -1; use 0.001 to 1000000`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}
