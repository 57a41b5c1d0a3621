package golden

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// A value is nil, a bool, a json.Number, a string, a list ([]any) of values, or fields.

// fields are an object whose fields have an order.
type fields []field

type field struct {
	name  string
	value any
}

func (f fields) get(name string) (any, bool) {
	i := slices.IndexFunc(f, func(one field) bool { return one.name == name })
	if i < 0 {
		return nil, false
	}
	return f[i].value, true
}

// MarshalJSON keeps the order.
func (f fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(one.name))
		b.WriteByte(':')
		b.Write(encode(one.value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is v as JSON.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("golden: a value cannot be encoded: " + err.Error()) // values always can
	}
	return text
}

// decode reads JSON that doorhook itself made, and keeps the order of fields.
func decode(text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return decodeNext(d)
}

func decodeNext(d *json.Decoder) any {
	token, err := d.Token()
	if err != nil {
		return nil
	}
	switch token {
	case json.Delim('{'):
		out := fields{}
		for d.More() {
			name, _ := d.Token()
			text, _ := name.(string)
			out = append(out, field{text, decodeNext(d)})
		}
		_, _ = d.Token()
		return out
	case json.Delim('['):
		out := []any{}
		for d.More() {
			out = append(out, decodeNext(d))
		}
		_, _ = d.Token()
		return out
	}
	return token
}

// value is n as a value, without what YAML and a person would read differently.
func (r *reader) value(n *yaml.Node, what string) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := fields{}
		for _, e := range r.Entries(n, what, nil) {
			out = append(out, field{e.Name, r.value(e.Node, what)})
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, item := range r.Items(n, what) {
			out = append(out, r.value(item, what))
		}
		return out
	}
	if n.Style&yaml.TaggedStyle == 0 {
		switch n.Tag {
		case "!!null":
			return nil
		case "!!bool":
			return strings.EqualFold(n.Value, "true")
		case "!!str", "!!timestamp":
			return n.Value
		case "!!float":
			return r.float(n)
		}
	}
	if text, ok := r.Text(n, what); ok && n.Tag == "!!int" {
		return json.Number(strings.TrimPrefix(text, "+"))
	}
	return n.Value
}

func (r *reader) float(n *yaml.Node) any {
	if json.Valid([]byte(n.Value)) {
		return json.Number(n.Value)
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || f-f != 0 {
		r.Errorf(n, "%s is no number that can be sent: put it into quotes if it is text", n.Value)
		return nil
	}
	return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
}

// plain is v with its times in zone and its whole numbers without a point, so that what
// means the same reads the same.
func plain(v any, zone *time.Location) any {
	switch v := v.(type) {
	case fields:
		out := make(fields, len(v))
		for i, f := range v {
			out[i] = field{f.name, plain(f.value, zone)}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i], zone)
		}
		return out
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return stamp(t.In(zone))
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") {
			return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
		}
	}
	return v
}

// like puts the fields of v into the order that they have in model.
func like(v, model any) any {
	switch v := v.(type) {
	case fields:
		m, _ := model.(fields)
		out := make(fields, len(v))
		for i, f := range v {
			inner, _ := m.get(f.name)
			out[i] = field{f.name, like(f.value, inner)}
		}
		place := func(f field) int {
			i := slices.IndexFunc(m, func(one field) bool { return one.name == f.name })
			if i < 0 {
				return len(m)
			}
			return i
		}
		slices.SortStableFunc(out, func(a, b field) int { return cmp.Or(place(a)-place(b), cmp.Compare(a.name, b.name)) })
		return out
	case []any:
		m, _ := model.([]any)
		out := make([]any, len(v))
		for i := range v {
			var inner any
			if i < len(m) {
				inner = m[i]
			}
			out[i] = like(v[i], inner)
		}
		return out
	}
	return v
}

// write gives the lines of YAML for a field.
func write(pad string, f field) []string {
	key := pad + scalar(f.name) + ":"
	if in := inline(f.value); in != "" {
		return []string{key + " " + in}
	}
	return append([]string{key}, block(pad+"  ", f.value)...)
}

// inline is what stands behind its key; "" is what takes lines of its own.
func inline(v any) string {
	switch v := v.(type) {
	case fields:
		if len(v) == 0 {
			return "{}"
		}
		return ""
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return ""
	case string:
		return scalar(v)
	}
	return string(encode(v))
}

func block(pad string, v any) []string {
	var lines []string
	switch v := v.(type) {
	case fields:
		for _, f := range v {
			lines = append(lines, write(pad, f)...)
		}
	case []any:
		for _, item := range v {
			if in := inline(item); in != "" {
				lines = append(lines, pad+"- "+in)
				continue
			}
			inner := block(pad+"  ", item)
			inner[0] = pad + "- " + strings.TrimPrefix(inner[0], pad+"  ")
			lines = append(lines, inner...)
		}
	}
	return lines
}

// scalar is text as YAML reads it, without quotes where it can do without.
func scalar(text string) string {
	printable := !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
	switch {
	case isPlain(text):
		return text
	case printable:
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return strconv.QuoteToASCII(text) // its escapes are YAML's
}

// isPlain asks YAML itself.
func isPlain(text string) bool {
	if len(text) > 1000 || slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(text)) {
		return false // the words are booleans to older readers; a longer key needs a ?
	}
	var doc yaml.Node
	if yaml.Load([]byte(text+": "+text), &doc) != nil || len(doc.Content) != 1 || len(doc.Content[0].Content) != 2 {
		return false
	}
	key, val := doc.Content[0].Content[0], doc.Content[0].Content[1]
	textual := val.Tag == "!!str" || val.Tag == "!!timestamp"
	return val.Kind == yaml.ScalarNode && val.Style == 0 && textual && val.Value == text && key.Value == text && val.LineComment == ""
}

func stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }

func sorted[V any](m map[int64]V) []int64 { return slices.Sorted(maps.Keys(m)) }
