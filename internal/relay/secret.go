package relay

import "log/slog"

// Secret prints as "[redacted]" however it is printed, logged or encoded. Take
// the text with Reveal, never a conversion: then one search finds every use.
type Secret string

func (Secret) String() string { return "[redacted]" }

// GoString covers %#v.
func (Secret) GoString() string { return "[redacted]" }

// LogValue covers slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText covers JSON and YAML, also deep inside a struct.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Reveal gives the text itself.
func (s Secret) Reveal() string { return string(s) }
