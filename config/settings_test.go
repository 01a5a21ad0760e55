package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/config"
)

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettingsAsYAMLAndAsJSON(t *testing.T) {
	for _, text := range []string{
		"token: ${TOKEN}\nregion: eu\nevent_increments: [Logged In, \"Caf\\u00e9\"]\nrequest_timeout: 5s\npeople: false\n",
		`{"token": "${TOKEN}", "region": "eu", "event_increments": ["Logged In", "Caf\u00e9"], "request_timeout": "5s", "people": false}`,
	} {
		s, err := config.LoadSettings(settingsFile(t, text), getenv)
		if err != nil {
			t.Fatal(err)
		}
		if s.Token.Reveal() != environment["TOKEN"] || s.Region != "eu" || s.EventIncrements[1] != "Café" || s.RequestTimeout != 5e9 || *s.People {
			t.Errorf("%s gives %+v", text, s)
		}
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// Faults of single settings are left to the mapper; those of the file are not.
func TestFaultsOfSettingsFiles(t *testing.T) {
	if s, err := config.LoadSettings(settingsFile(t, ""), getenv); err != nil || s.Validate() == nil {
		t.Errorf("an empty file: %v, valid %v", err, s.Validate() == nil)
	}
	for _, c := range []struct{ text, want string }{
		{"tokn: x", `:1:1: unknown field "tokn"`},
		{"- x", ":1:1: "},
		{"token: ${NOPE}", ":1: the environment variable NOPE is not set"},
	} {
		path := settingsFile(t, c.text)
		if _, err := config.LoadSettings(path, getenv); err == nil || !strings.HasPrefix(err.Error(), path+c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
	if _, err := config.LoadSettings("no-such-file", getenv); err == nil {
		t.Error("a missing file is accepted")
	}
}
