package action

import (
	"bytes"
	"encoding/json"
	"errors"

	"doorhook/internal/relay"
)

// messageOf reads the message a. What it says may be long, and the store has just read all
// of it: here it is passed on as it stands.
func messageOf(a relay.Action) (message, error) {
	var m message
	if err := split(a.Args, m.set); err != nil {
		return args[message](a) // it was not written by this doorhook
	}
	return m, nil
}

func (m *message) set(name string, value json.RawMessage) error {
	switch name {
	case "url":
		return m.URL.UnmarshalJSON(value)
	case "json":
		m.JSON = value
		return nil
	case "method":
		return json.Unmarshal(value, &m.Method)
	case "headers":
		return json.Unmarshal(value, &m.Headers)
	case "form":
		return json.Unmarshal(value, &m.Form)
	case "text":
		return json.Unmarshal(value, &m.Text)
	case "sign":
		return m.Sign.UnmarshalJSON(value)
	}
	return errSplit
}

// errSplit says that an object is not as [relay.Encode] writes a message.
var errSplit = errors.New("it cannot be split")

// split gives the fields of an object to set. The object is valid JSON without spaces
// between its parts, and without escapes in the names of its fields.
func split(object []byte, set func(name string, value json.RawMessage) error) error {
	if len(object) < 2 || object[0] != '{' || object[len(object)-1] != '}' {
		return errSplit
	}
	for rest := object[1 : len(object)-1]; len(rest) > 0; {
		name, after, ok := bytes.Cut(rest, []byte(`":`))
		n := valueEnd(after)
		if !ok || n == 0 || !bytes.HasPrefix(name, []byte{'"'}) || bytes.ContainsAny(name[1:], `\"`) || after[0] <= ' ' || after[n-1] <= ' ' {
			return errSplit
		}
		if err := set(string(name[1:]), after[:n:n]); err != nil {
			return err
		}
		if rest = after[n:]; len(rest) > 0 && (rest[0] != ',' || len(rest) == 1) {
			return errSplit
		}
		rest = bytes.TrimPrefix(rest, []byte(","))
	}
	return nil
}

// valueEnd is where the value ends that b begins with; 0 if it does not end.
func valueEnd(b []byte) int {
	for i, depth := 0, 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := textEnd(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
		if depth < 0 {
			return 0
		}
	}
	return len(b)
}

// textEnd is where the text in quotes ends that b begins with; 0 if it does not.
func textEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
