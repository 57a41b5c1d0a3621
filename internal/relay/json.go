package relay

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// JSON is the whole event, as encoding/json has it.
func (ev Event) JSON() (json.RawMessage, error) {
	return ev.AppendJSON(make([]byte, 0, 1<<10)) // most events have less
}

// AppendJSON adds the whole event to b.
func (ev Event) AppendJSON(b []byte) ([]byte, error) {
	b = appendText(append(b, `{"id":`...), ev.ID)
	b = appendText(append(b, `,"trigger":`...), ev.Trigger)
	b, err := AppendJSON(append(b, `,"received_at":`...), ev.ReceivedAt)
	if err != nil {
		return nil, err
	}
	if !ev.HeardAt.IsZero() {
		if b, err = AppendJSON(append(b, `,"heard_at":`...), ev.HeardAt); err != nil {
			return nil, err
		}
	}
	if b, err = AppendJSON(append(b, `,"payload":`...), ev.Payload); err != nil {
		return nil, err
	}
	if len(ev.Headers) > 0 {
		if b, err = appendObject(append(b, `,"headers":`...), ev.Headers); err != nil {
			return nil, err
		}
	}
	if len(ev.Query) > 0 {
		if b, err = appendObject(append(b, `,"query":`...), ev.Query); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// AppendJSON adds v to b, as encoding/json has it. What payloads are made of takes no
// reflection.
func AppendJSON(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case json.RawMessage:
		return append(b, v...), nil
	case time.Time:
		b, err := v.AppendText(append(b, '"'))
		return append(b, '"'), err
	case string:
		return appendText(b, v), nil
	case []any:
		if v != nil {
			return appendList(b, v)
		}
	case map[string]any:
		if v != nil {
			return appendObject(b, v)
		}
	}
	text, err := json.Marshal(v)
	return append(b, text...), err
}

func appendList(b []byte, list []any) (_ []byte, err error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = AppendJSON(b, v); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// appendObject sorts the names: the same object has the same JSON.
func appendObject(b []byte, object map[string]any) (_ []byte, err error) {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = AppendJSON(append(appendText(b, name), ':'), object[name]); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func appendText(b []byte, s string) []byte {
	if plain(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	text, _ := json.Marshal(s) // text always has JSON
	return append(b, text...)
}

// plain reports whether text stands in JSON as it is.
func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}
