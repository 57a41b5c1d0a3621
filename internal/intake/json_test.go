package intake

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// plainly is what body says to encoding/json, and whether it is one value that doorhook
// takes.
func plainly(body []byte) (v any, ok bool) {
	text := bytes.TrimPrefix(body, []byte(bom))
	if invalidUTF8(body) >= 0 || tooDeep(body) >= 0 || !json.Valid(text) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	err := dec.Decode(&v)
	return numbers(v), err == nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = numbers(v[name])
		}
	}
	return v
}

// FuzzReadJSON compares what is read with what Go's own package reads.
func FuzzReadJSON(f *testing.F) {
	for _, body := range []string{
		kisiBody, bookingBody, "", " ", "\uFEFF{}", "\uFEFF\uFEFF{}", " \uFEFF{}", "null", "-0", "-0.0", "1e400", "01", "1.", "+1", "0x1", "9223372036854775808",
		`{"a":1,"a":{"b":2},"a":{"c":3}}`, `{"a":[1,{"b":null},[],{}],"\u0000":"\ud800","\ud800\udc00":"\udc00\ud800 x"}`, "{\"a\":\"\xff\"}", "{\"\xff\":1}",
		`{"a":1}{}`, `{"a":1} x`, `[1,]`, `{,}`, `{"a"}`, `{"a":}`, `{1:2}`, `"a`, `"\x"`, "\"\t\"", `[1 2]`, "{} \v", `]`, `}`, `tru`, `nul`, `[`, `{"a":[}`, `"\u12"`, "\"\u2028<>&\x7f\"",
		strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65),
		strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64), strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), strings.Repeat("[", 64) + "{}" + strings.Repeat("]", 64),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		got, err := readJSON(body)
		want, ok := plainly(body)
		if ok != (err == nil) {
			t.Fatalf("%q: %v", body, err)
		}
		if ok && !reflect.DeepEqual(want, got) { // not by cmp, which takes ever longer the deeper a value is
			t.Fatalf("%q: %#v, not %#v", body, got, want)
		}
		if string(body) != before {
			t.Fatal("reading changed the body")
		}
	})
}
