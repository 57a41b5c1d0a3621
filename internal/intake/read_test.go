package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type dict = map[string]any

const multipartType = "multipart/form-data; boundary=cut"

func TestRead(t *testing.T) {
	deep := strings.Repeat("[", 63) + `"[[\"[["` + strings.Repeat("]", 63) // strings do not nest
	tests := []struct {
		name, contentType, body string
		query                   string
		want                    any
	}{
		{
			name: "numbers keep their nature", contentType: "application/json",
			body: `{"i":12345678901234567,"n":-5,"f":1.5,"e":1e2,"z":1.0,"big":92233720368547758080,"huge":1e999,"b":true,"x":null}`,
			want: dict{"i": 12345678901234567, "n": -5, "f": 1.5, "e": 100.0, "z": 1.0, "big": "92233720368547758080", "huge": "1e999", "b": true, "x": nil},
		},
		{
			name: "numbers deep down", contentType: "application/json; charset=utf-8", body: `{"a":[{"b":7},[8]]}`,
			want: dict{"a": []any{dict{"b": 7}, []any{8}}},
		},
		{name: "vendor JSON", contentType: "application/cloudevents+json", body: `{"a":1}`, want: dict{"a": 1}},
		{name: "sloppy content type", contentType: "Application/JSON ; charset", body: `{"a":1}`, want: dict{"a": 1}},
		{name: "JSON as text", contentType: "text/plain;charset=UTF-8", body: ` {"a":1}`, want: dict{"a": 1}},
		{name: "JSON without a type", body: "\n[{\"a\":1}]", want: dict{"a": 1}},
		{name: "curl -d", contentType: formType, body: `{"a":1,"b":"x&y=z"}`, want: dict{"a": 1, "b": "x&y=z"}},
		{name: "byte order mark", contentType: "application/json", body: "\uFEFF{\"a\":1}", want: dict{"a": 1}},
		{name: "wrapped in an array", contentType: "application/json", body: `[{"a__b":1}]`, want: dict{"a": dict{"b": 1}}},
		{name: "wrapped once only", contentType: "application/json", body: `[[1]]`, want: []any{1}},
		{name: "an array of several", contentType: "application/json", body: `[{"a__b":1},{}]`, want: []any{dict{"a__b": 1}, dict{}}},
		{name: "an array of several takes no query", contentType: "application/json", body: `[1,2]`, query: "a=1", want: []any{1, 2}},
		{name: "as deep as allowed", contentType: "application/json", body: `[0,` + deep + `]`, want: nil},
		{name: "nothing", want: dict{}},
		{name: "blank", contentType: "application/json", body: " \r\n", want: dict{}},
		{name: "nothing of a type that is not read", contentType: "image/png", want: dict{}},
		{name: "query alone", query: "a=1&b=x+y&b=z&start__zone=UTC", want: dict{"a": "1", "b": []any{"x y", "z"}, "start": dict{"zone": "UTC"}}},
		{
			name: "body wins over query", contentType: "application/json", body: `{"a":1,"s__x":1}`, query: "a=2&b=3&s__x=2&s__y=3",
			want: dict{"a": 1, "b": "3", "s": dict{"x": 1, "y": "3"}},
		},
		{name: "query does not flatten the body", contentType: "application/json", body: `{"s__x":1}`, query: "s=2", want: dict{"s": dict{"x": 1}}},
		{
			name: "form", contentType: formType + "; charset=utf-8", body: "a=1&b=caf%C3%A9&c=&d=x&d=y&e__f=1%2B1", query: "a=2&g=3",
			want: dict{"a": "1", "b": "café", "c": "", "d": []any{"x", "y"}, "e": dict{"f": "1+1"}, "g": "3"},
		},
		{name: "multipart without parts", contentType: multipartType, body: "--cut--\r\n", want: dict{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			query, _ := url.ParseQuery(tt.query)
			flat, err := fields(query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(Request{ContentType: tt.contentType, Body: []byte(tt.body)}, flat)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); tt.want != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadMultipartFields(t *testing.T) {
	body := "--cut\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" +
		"--cut\r\nContent-Disposition: form-data; name=\"b__c\"\r\n\r\nx\r\ny\r\n" +
		"--cut\r\nContent-Disposition: form-data; name=d\r\n\r\n1\r\n" +
		"--cut\r\nContent-Disposition: form-data; name=d\r\n\r\n2\r\n--cut--\r\n"
	got, err := Read(multipartType, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := dict{"a": "1", "b": dict{"c": "x\r\ny"}, "d": []any{"1", "2"}}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestReadRefuses(t *testing.T) {
	file := "--cut\r\nContent-Disposition: form-data; name=photo; filename=a.png\r\n\r\n1\r\n--cut--\r\n"
	part := "--cut\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n"
	tests := []struct {
		name, contentType, body string
		want                    string // "line:column@offset reason", or the reason alone
	}{
		{"empty object left open", "application/json", `{`, "1:2@1 the JSON ends too early"},
		{"not JSON", "application/json", `hello`, "1:1@0 invalid character 'h' looking for beginning of value"},
		{"not a number", "application/json", `{"a":NaN}`, "1:6@5 invalid character 'N' looking for beginning of value"},
		{"trailing comma", "application/json", "{\n  \"é\": 1,\n}", "3:1@13 invalid character '}' looking for beginning of object key string"},
		{"columns count characters", "application/json", `{"é": x}`, "1:7@7 invalid character 'x' looking for beginning of value"},
		{"after a byte order mark", "application/json", "\uFEFF{x", "1:2@4 invalid character 'x' looking for beginning of object key string"},
		{"trailing data", "application/json", "{}\n {}", "2:2@4 something follows the end of the JSON value"},
		{"trailing bracket", "application/json", "{}]", "1:3@2 something follows the end of the JSON value"},
		{"not UTF-8", "application/json", "{\"a\":\n\"caf\xe9\"}", "2:5@10 this is not UTF-8"},
		{"cut in a character", "application/json", "\"\xc3", "1:2@1 this is not UTF-8"},
		{"too deep", "application/json", strings.Repeat("[", 65), "1:65@64 nested deeper than 64 levels"},
		{"too deep in objects", "application/json", strings.Repeat(`{"a":`, 65), "1:321@320 nested deeper than 64 levels"},
		{"broken JSON of curl -d", formType, `{"a":1,}`, "1:8@7 invalid character '}' looking for beginning of object key string"},
		{"broken escape", formType, "a=%zz", "the form cannot be read: a percent sign is not followed by two hexadecimal digits"},
		{"semicolon", formType, "a=1;b=2", "the form cannot be read: invalid semicolon separator in query"},
		{"form that is not UTF-8", formType, "a=%ff", "this is not UTF-8"},
		{"name that is not UTF-8", formType, "%ff=1", "this is not UTF-8"},
		{"file", multipartType, file, `the part "photo" of the multipart form is a file; doorhook takes no files`},
		{"no boundary", "multipart/form-data", file, "the content type of the multipart form names no boundary"},
		{"other boundary", "multipart/form-data; boundary=x", file, "the multipart form is broken after 0 parts"},
		{"cut short in the head of a part", multipartType, part + "--cut\r\nContent-Disp", "the multipart form is broken after 1 parts"},
		{"cut short in a part", multipartType, strings.TrimSuffix(part, "\r\n"), `the part "a" of the multipart form is broken`},
		{"part without a name", multipartType, "--cut\r\nContent-Type: text/plain\r\n\r\n1\r\n--cut--\r\n", "a part of the multipart form has no name"},
		{"too many parts", multipartType, strings.Repeat(part, 1001) + "--cut--\r\n", "the multipart form has more than 1000 parts"},
		{"part that is not UTF-8", multipartType, strings.Replace(part, "1", "\xff", 1) + "--cut--\r\n", "this is not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(tt.contentType, []byte(tt.body))
			var e *UnreadableError
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			got := e.Reason
			if e.Line > 0 {
				got = fmt.Sprintf("%d:%d@%d %s", e.Line, e.Col, e.Offset, e.Reason)
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestReadUnsupported(t *testing.T) {
	for _, r := range []Request{
		{ContentType: "text/html", Body: []byte("{}")},
		{ContentType: "application/octet-stream", Body: []byte("{}")},
		{ContentType: "text/plain", Body: []byte("a=1")},
		{ContentType: ";", Body: []byte("a=1")},
		{Body: []byte("a=1")},
		{ContentType: "application/json", ContentEncoding: "gzip", Body: []byte("{}")},
		{ContentType: "application/json", ContentEncoding: "identity, gzip", Body: []byte("{}")},
		{ContentEncoding: "br"},
	} {
		if _, err := read(r, nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%q %q: %v", r.ContentType, r.ContentEncoding, err)
		}
	}
	if _, err := read(Request{ContentEncoding: "Identity"}, nil); err != nil {
		t.Error(err)
	}
}

func TestUnflatten(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"path", `{"a__b__c":1,"a__b__d":2}`, `{"a":{"b":{"c":1,"d":2}}}`},
		{"six parts", `{"a__b__c__d__e__f__g__h":1}`, `{"a":{"b":{"c":{"d":{"e":{"f__g__h":1}}}}}}`},
		{"edges stay", `{"__a":1,"a__":2,"__":3,"_a__b_":4}`, `{"__a":1,"a__":2,"__":3,"_a":{"b_":4}}`},
		{"three underscores", `{"a___b":1}`, `{"a":{"_b":1}}`},
		{"list", `{"a__1__x":2,"a__0__x":1}`, `{"a":[{"x":1},{"x":2}]}`},
		{"list of one", `{"a__0":"x"}`, `{"a":["x"]}`},
		{"list in a list", `{"a__0__0":1,"a__0__1":2,"a__1__0":3}`, `{"a":[[1,2],[3]]}`},
		{"ten and more", `{"a__0":0,"a__1":1,"a__2":2,"a__3":3,"a__4":4,"a__5":5,"a__6":6,"a__7":7,"a__8":8,"a__9":9,"a__10":10}`, `{"a":[0,1,2,3,4,5,6,7,8,9,10]}`},
		{"a gap is no list", `{"a__0":1,"a__2":2}`, `{"a":{"0":1,"2":2}}`},
		{"odd numbers are no list", `{"a__00":1,"a__1":2}`, `{"a":{"00":1,"1":2}}`},
		{"objects that were there stay objects", `{"a":{"0":1},"a__1":2,"b":{"0":1}}`, `{"a":{"0":1,"1":2},"b":{"0":1}}`},
		{"made in an object that was there", `{"a":{"x":1},"a__b__0":2}`, `{"a":{"x":1,"b":[2]}}`},
		{"nested wins", `{"a":{"b":1},"a__b":2,"a__c":3}`, `{"a":{"b":1,"c":3}}`},
		{"even if it is null", `{"a":{"b":null},"a__b":2}`, `{"a":{"b":null}}`},
		{"conflict with a value", `{"a":1,"a__b":2}`, `{"a":1,"a__b":2}`},
		{"conflict with null", `{"a":null,"a__b":2}`, `{"a":null,"a__b":2}`},
		{"conflict with a list", `{"a":[{"b":1}],"a__0__c":2}`, `{"a":[{"b":1}],"a__0__c":2}`},
		{"conflict among flat ones", `{"a__b__c":1,"a__b":2}`, `{"a":{"b":2},"a__b__c":1}`},
		{"conflict that is not first", `{"a__b":1,"a__b__c":2,"a__d__0":3}`, `{"a":{"b":1,"d":[3]},"a__b__c":2}`},
		{"a flat object takes more", `{"a__b":{"c":1},"a__b__d":2}`, `{"a":{"b":{"c":1,"d":2}}}`},
		{"only at the top", `{"a":{"b__c":1}}`, `{"a":{"b__c":1}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 { // the order of maps differs from run to run
				got, err := Read("application/json", []byte(tt.in))
				if err != nil {
					t.Fatal(err)
				}
				var want any
				if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
					t.Fatal(err)
				}
				text, _ := json.Marshal(got)
				wantText, _ := json.Marshal(want)
				if string(text) != string(wantText) {
					t.Fatalf("got  %s\nwant %s", text, wantText)
				}
			}
		})
	}
}

// Data is the same whether it came nested, flattened or wrapped.
func TestShapesAreEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := drawObject(t, maxPathParts)
		flat := dict{}
		flatten(flat, "", data)
		nested := readText(t, data)
		for name, shape := range map[string]any{"flat": flat, "wrapped": []any{data}, "flat and wrapped": []any{flat}} {
			if diff := cmp.Diff(nested, readText(t, shape)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		texts, form := asForm(t, flat)
		if diff := cmp.Diff(readText(t, texts), form); diff != "" {
			t.Errorf("form: %s", diff)
		}
	})
}

func drawObject(t *rapid.T, depth int) dict {
	names := rapid.StringMatching(`[a-zé]([a-z0-9_ .&=]?[a-z])?`)
	return rapid.MapOfN(names, rapid.Custom(func(t *rapid.T) any { return drawValue(t, depth-1) }), 1, 4).Draw(t, "object")
}

func drawValue(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	switch {
	case kind == 0 && depth > 0:
		return drawObject(t, depth)
	case kind == 1 && depth > 0:
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any { return drawValue(t, depth-1) }), 1, 12).Draw(t, "list")
	case kind == 2:
		return rapid.Int().Draw(t, "int")
	case kind == 3:
		return rapid.Float64Range(-1e9, 1e9).Draw(t, "float")
	case kind == 4:
		return nil
	}
	return rapid.String().Draw(t, "text")
}

// flatten writes data the way Zapier does.
func flatten(out dict, prefix string, data any) {
	switch data := data.(type) {
	case dict:
		for name, v := range data {
			flatten(out, join(prefix, name), v)
		}
	case []any:
		for i, v := range data {
			flatten(out, join(prefix, strconv.Itoa(i)), v)
		}
	default:
		out[prefix] = data
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + separator + name
}

func readText(t *rapid.T, data any) any {
	body, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read("application/json", body)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return got
}

// asForm gives flat with texts for values, and what it reads as when it is sent
// as a form.
func asForm(t *rapid.T, flat dict) (dict, any) {
	texts, form := dict{}, url.Values{}
	for name, v := range flat {
		texts[name] = fmt.Sprint(v)
		form.Set(name, fmt.Sprint(v))
	}
	got, err := Read(formType, []byte(form.Encode()))
	if err != nil {
		t.Fatalf("%s: %v", form.Encode(), err)
	}
	return texts, got
}

func FuzzRead(f *testing.F) {
	f.Add("application/json", []byte(`[{"a__b":1e400,"a":{"0":[1]}}]`), "a__0=1")
	f.Add("", []byte("\uFEFF{\"a\\u0000\":\"\\ud800\"}"), "=&&;")
	f.Add(formType, []byte("a=1&a__0=2&a__1__2=%C3"), "%")
	f.Add(multipartType, []byte("--cut\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--cut--"), "")
	f.Add("multipart/form-data; boundary=\"", []byte("--\"--"), "x")
	f.Fuzz(func(t *testing.T, contentType string, body []byte, rawQuery string) {
		values, _ := url.ParseQuery(rawQuery)
		query, err := fields(values)
		if err != nil {
			return
		}
		before := string(body)
		payload, err := read(Request{ContentType: contentType, Body: body}, query)
		if string(body) != before {
			t.Fatal("reading changed the body")
		}
		var e *UnreadableError
		switch {
		case errors.As(err, &e):
			if e.Offset > len(body) || e.Reason == "" || e.Line > 0 != (e.Col > 0) {
				t.Fatalf("no such position: %+v", e)
			}
		case err == nil:
			if _, err := json.Marshal(payload); err != nil { // the store must be able to keep it
				t.Fatal(err)
			}
		case !errors.Is(err, ErrUnsupported):
			t.Fatal(err)
		}
	})
}
