package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrUnset says that a text has a secret in it that nobody has given.
var ErrUnset = errors.New("is not set, or empty")

// Text is a text that may have secrets in it. It holds their names alone, so that it can
// be kept and shown: a secret is put in when the text is used, and by nobody else.
type Text []Part

// Part is a piece of a [Text]: what it says, or the environment variable that says it.
type Part struct {
	Text string `json:"text,omitempty"`
	Env  string `json:"env,omitempty"`
}

// Plain is a text without secrets.
func Plain(text string) Text { return Text{{Text: text}} }

// Secret reports whether t has a secret in it.
func (t Text) Secret() bool {
	for _, p := range t {
		if p.Env != "" {
			return true
		}
	}
	return false
}

// String shows t with ${env.NAME} in the place of each secret.
func (t Text) String() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.Text)
		if p.Env != "" {
			fmt.Fprintf(&b, "${env.%s}", p.Env)
		}
	}
	return b.String()
}

// Reveal puts the secrets in, which getenv gives; "" is one that is not set.
func (t Text) Reveal(getenv func(string) string) (Secret, error) {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.Text)
		if p.Env == "" {
			continue
		}
		v := strings.TrimSpace(getenv(p.Env))
		if v == "" {
			return "", fmt.Errorf("the environment variable %s %w", p.Env, ErrUnset)
		}
		b.WriteString(v)
	}
	return Secret(b.String()), nil
}

// MarshalJSON writes a text without secrets as text, and one with secrets as the list of
// its parts: nothing that stands in the text of a part can pass for a secret's name.
func (t Text) MarshalJSON() ([]byte, error) {
	if !t.Secret() {
		return json.Marshal(t.String())
	}
	return json.Marshal([]Part(t))
}

// UnmarshalJSON reads both. Plain text and a secret alone, which nearly all are, need no
// second reading.
func (t *Text) UnmarshalJSON(b []byte) error {
	if text, ok := between(b, `"`, `"`); ok {
		*t = Plain(text)
		return nil
	}
	if name, ok := between(b, `[{"env":"`, `"}]`); ok {
		*t = Text{{Env: name}}
		return nil
	}
	if bytes.HasPrefix(b, []byte(`"`)) {
		var text string
		err := json.Unmarshal(b, &text)
		*t = Plain(text)
		return err
	}
	return json.Unmarshal(b, (*[]Part)(t))
}

// between is what stands in b between before and after, if that is the same as JSON and as
// a text.
func between(b []byte, before, after string) (string, bool) {
	inner, begins := bytes.CutPrefix(b, []byte(before))
	inner, ends := bytes.CutSuffix(inner, []byte(after))
	return string(inner), begins && ends && !bytes.ContainsAny(inner, `\"`) && utf8.Valid(inner)
}
