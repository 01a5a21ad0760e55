package config_test

import (
	"strings"
	"testing"

	"muster/engine"
)

// What is said of an audience holds for its connections that say nothing themselves, those
// that stand for every destination too.
func TestLifeOfDefinitions(t *testing.T) {
	c := mustParse(t, `
destinations: [{name: one, settings: {token: x}}, {name: two, settings: {token: y}}]
audiences:
  - {name: A, query: event('A').count() >= 1, enabled: false, reuse_key: true, destination_cleanup: exit}
  - name: B
    query: event('B').count() >= 1
    enabled: true
    destination_cleanup: unset
    connections: [{destination: one}, {destination: two, destination_cleanup: none}]
  - {name: C, query: event('C').count() >= 1}
`)
	defs := c.Definitions()
	cleanups := func(d engine.Definition) string {
		var list []string
		for _, conn := range d.Connections {
			list = append(list, conn.Destination+":"+string(conn.Cleanup))
		}
		return strings.Join(list, " ")
	}
	for i, want := range []struct {
		disabled, reuse bool
		cleanups        string
	}{
		{true, true, "one:exit two:exit"},
		{false, false, "one:unset two:none"},
		{false, false, "one: two:"},
	} {
		if d := defs[i]; d.Disabled != want.disabled || d.ReuseKey != want.reuse || cleanups(d) != want.cleanups {
			t.Errorf("%s: disabled %v, reuse %v, %s; want %+v", d.Key, d.Disabled, d.ReuseKey, cleanups(d), want)
		}
	}
}
