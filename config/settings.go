package config

import (
	"fmt"
	"os"

	"muster/mixpanel"
)

// LoadSettings reads the settings of one Mixpanel destination that stand alone in a
// file, as YAML or JSON, with variables of the environment as in [Load]. They are not
// validated.
func LoadSettings(path string, getenv func(string) (string, bool)) (mixpanel.Settings, error) {
	var s mixpanel.Settings
	text, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read the settings: %w", err)
	}
	d, err := read(path, text, getenv)
	if err != nil {
		return s, err
	}
	return s, d.decode(&s)
}
