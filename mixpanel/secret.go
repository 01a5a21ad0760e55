package mixpanel

import "log/slog"

// mask is what every rendering of a secret shows.
const mask = "[redacted]"

// Secret is a text that must not be shown: printing, logging and encoding it as
// JSON or YAML give a mask ("" stays ""). Decoding works as for any text, so settings that
// were encoded can not be decoded again; keep their original.
type Secret string

// Reveal returns the text itself, for the wire.
func (s Secret) Reveal() string { return string(s) }

// String returns the mask.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString returns the mask, for %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue returns the mask, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON returns the mask as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalText returns the mask, for YAML and every other text encoding.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
