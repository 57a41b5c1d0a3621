package relay

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// JSON is the whole event, as encoding/json has it.
func (ev Event) JSON() (json.RawMessage, error) {
	var failed error
	b := make([]byte, 0, 1<<10) // of most events all
	add := func(name string, v any) {
		next, err := AppendJSON(append(b, name...), v)
		if b = next; err != nil {
			failed = err
		}
	}
	add(`{"id":`, ev.ID)
	add(`,"trigger":`, ev.Trigger)
	add(`,"received_at":`, ev.ReceivedAt)
	add(`,"payload":`, ev.Payload)
	if len(ev.Headers) > 0 {
		add(`,"headers":`, ev.Headers)
	}
	if len(ev.Query) > 0 {
		add(`,"query":`, ev.Query)
	}
	return append(b, '}'), failed
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
		if y := v.Year(); 0 < y && y < 9999 { // with others, and their zones, it is encoding/json that knows
			return append(v.AppendFormat(append(b, '"'), time.RFC3339Nano), '"'), nil
		}
	case string:
		if plain(v) {
			return append(append(append(b, '"'), v...), '"'), nil
		}
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
		b, _ = AppendJSON(b, name) // text always has JSON
		if b, err = AppendJSON(append(b, ':'), object[name]); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
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
