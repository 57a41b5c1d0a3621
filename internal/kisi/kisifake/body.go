package kisifake

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
)

// kind is the type of an attribute's value.
type kind int

const (
	text kind = iota + 1
	integer
	boolean
	looseBoolean // also "true" and "false": a sample of docs.kisi.io sends such a text
	moment       // RFC 3339
	date         // YYYY-MM-DD
	clock        // hh:mm
	texts
	email
	phone
	anything
)

// attribute is what an object may or must have.
type attribute struct {
	name     string
	kind     kind
	required bool
	null     bool
	oneOf    []string
}

// problems are validation errors by attribute.
type problems map[string][]string

func (p problems) add(name, message string) { p[name] = append(p[name], message) }

// readBody reads a body of exactly the named objects, each with known
// attributes only.
func readBody(body []byte, objects map[string][]attribute) (map[string]map[string]any, problems) {
	p := problems{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // an id is an integer, not a float
	var all map[string]any
	if err := d.Decode(&all); err != nil {
		p.add("base", "is not a JSON object")
		return nil, p
	}
	if _, err := d.Token(); err != io.EOF {
		p.add("base", "has something after the JSON object")
	}
	for name := range all {
		if objects[name] == nil {
			p.add(name, "is not known here; the attributes belong into "+strings.Join(slices.Sorted(maps.Keys(objects)), " and "))
		}
	}
	out := map[string]map[string]any{}
	for name, attributes := range objects {
		object, ok := all[name].(map[string]any)
		if !ok {
			p.add(name, "is missing or not an object")
			continue
		}
		out[name] = readObject(object, attributes, p)
	}
	return out, p
}

// readWrapped reads a body of one object.
func readWrapped(body []byte, name string, attributes []attribute) (map[string]any, problems) {
	all, p := readBody(body, map[string][]attribute{name: attributes})
	return all[name], p
}

func readObject(object map[string]any, attributes []attribute, p problems) map[string]any {
	out := map[string]any{}
	known := map[string]bool{}
	for _, a := range attributes {
		known[a.name] = true
		v, present := object[a.name]
		switch {
		case !present && a.required, v == nil && present && !a.null:
			p.add(a.name, "can't be blank")
		case !present:
		case v == nil:
			out[a.name] = nil
		default:
			value, complaint := a.read(v)
			if complaint != "" {
				p.add(a.name, complaint)
				continue
			}
			out[a.name] = value
		}
	}
	for name := range object {
		if !known[name] {
			p.add(name, "is not an attribute that can be set here")
		}
	}
	return out
}

// read gives the value of v, or what is wrong with it.
func (a attribute) read(v any) (value any, complaint string) {
	switch a.kind {
	case integer:
		if n, ok := v.(json.Number); ok {
			if i, err := n.Int64(); err == nil {
				return i, ""
			}
		}
		return nil, "must be an integer"
	case looseBoolean:
		if v == "true" || v == "false" {
			return v == "true", ""
		}
		fallthrough
	case boolean:
		if b, ok := v.(bool); ok {
			return b, ""
		}
		return nil, "must be true or false"
	case texts:
		return readTexts(v)
	case anything:
		return v, ""
	}
	s, ok := v.(string)
	if !ok {
		return nil, "must be a text"
	}
	return a.readText(s)
}

func readTexts(v any) (any, string) {
	list, ok := v.([]any)
	if !ok {
		return nil, "must be a list of texts"
	}
	for _, one := range list {
		if _, ok := one.(string); !ok {
			return nil, "must be a list of texts"
		}
	}
	return list, ""
}

func (a attribute) readText(s string) (any, string) {
	switch {
	case a.oneOf != nil && !slices.Contains(a.oneOf, s):
		return nil, "is not included in the list: " + strings.Join(a.oneOf, ", ")
	case a.required && strings.TrimSpace(s) == "":
		return nil, "can't be blank"
	}
	switch a.kind {
	case moment:
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return nil, "is not a date-time with a time zone (RFC 3339)"
		}
		return t.UTC(), ""
	case date:
		return parsed(s, time.DateOnly, "is not a date like 2026-10-10")
	case clock:
		return parsed(s, "15:04", "is not a time of day like 09:30")
	case email:
		if at, err := mail.ParseAddress(s); err != nil || at.Address != s {
			return nil, "can't be blank or invalid"
		}
	case phone:
		// Kisi sends to the US, Canada and Puerto Rico only.
		if ok, _ := regexp.MatchString(`^\+1[0-9]{10}$`, s); !ok {
			return nil, "is not a number like +11234567890"
		}
	}
	return s, ""
}

func parsed(s, layout, complaint string) (any, string) {
	if _, err := time.Parse(layout, s); err != nil {
		return nil, complaint
	}
	return s, ""
}

// stamp writes a time as Kisi does; null if there is none.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// orNull writes an empty text as null.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
