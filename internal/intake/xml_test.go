package intake

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const xmlType = "application/xml"

func TestReadXML(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"as Zapier sends it", "<first_name>Bryan</first_name><last_name> Helmig </last_name>\n<age>27</age>", `{"first_name":"Bryan","last_name":"Helmig","age":"27"}`},
		{"a root is taken off", `<?xml version="1.0" encoding="UTF-8"?><booking><id>7</id><space>A</space></booking>`, `{"id":"7","space":"A"}`},
		{"one field is no root", "<id>7</id>", `{"id":"7"}`},
		{"one field with an attribute neither", `<id kind="n">7</id>`, `{"id":{"@kind":"n","#text":"7"}}`},
		{"a root with an attribute", `<booking kind="n"><id>7</id></booking>`, `{"@kind":"n","id":"7"}`},
		{"several roots stay", "<a><id>1</id></a><b><id>2</id></b>", `{"a":{"id":"1"},"b":{"id":"2"}}`},
		{"repeated roots", "<a><id>1</id></a><a><id>2</id></a>", `{"a":[{"id":"1"},{"id":"2"}]}`},
		{"repeated", "<b><s>A</s><s>B</s><s>C</s><t/></b>", `{"s":["A","B","C"],"t":""}`},
		{"text beside elements", "<b>one <i>two</i> three</b>", `{"i":"two","#text":"one  three"}`},
		{"entities", "<b><t>&lt;&amp;&gt;&apos;&quot;&#233;&#x41;</t></b>", `{"t":"<&>'\"éA"}`},
		{"CDATA", "<b><t><![CDATA[<x>&amp;]]></t></b>", `{"t":"<x>&amp;"}`},
		{"comments and instructions", "<?a b?><!-- <x/> --><b><t>1</t><!-- --></b>", `{"t":"1"}`},
		{"namespaces", `<s:b xmlns:s="urn:x" xmlns="urn:y"><s:t s:k="v">1</s:t></s:b>`, `{"t":{"@k":"v","#text":"1"}}`},
		{"flattened", "<start__dateTime>x</start__dateTime><start__zone>y</start__zone>", `{"start":{"dateTime":"x","zone":"y"}}`},
		{"byte order mark", "\uFEFF<b><t>1</t></b>", `{"t":"1"}`},
		{"a comment alone", "<!-- -->", `{}`},
		{"as deep as allowed", strings.Repeat("<a>", 64) + strings.Repeat("</a>", 64), strings.Repeat(`{"a":`, 63) + `""` + strings.Repeat("}", 63)},
		{"nothing", " \n", `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, contentType := range []string{xmlType, "text/xml; charset=utf-8", "application/soap+xml"} {
				got, err := Read(contentType, []byte(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				var want any
				if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestReadXMLRefuses(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"left open", "<a>\n<b>1</b>", "2:9@12 the XML ends too early"},
		{"crossed", "<a><b></a></b>", "1:11@10 element <b> closed by </a>"},
		{"closed too often", "<a></a></b>", "1:12@11 unexpected end element </b>"},
		{"not XML", "hello", "1:1@0 there is text outside of all elements"},
		{"text after it", "<a/>\n x", "1:5@4 there is text outside of all elements"},
		{"a document type", `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, "1:1@0 doorhook reads no document type (<!…>)"},
		{"an entity of its own", "<a>&nbsp;</a>", "1:10@9 invalid character entity &nbsp;"},
		{"a character that may not be", "<a>&#0;</a>", "1:8@7 illegal character code U+0000"},
		{"another encoding", `<?xml version="1.0" encoding="ISO-8859-1"?><a>x</a>`, "1:44@43 the XML says that it is in another encoding than UTF-8"},
		{"not UTF-8", "<a>caf\xe9</a>", "1:7@6 this is not UTF-8"},
		{"too deep", strings.Repeat("<a>", 65), "1:193@192 nested deeper than 64 levels"},
		{"an attribute without quotes", "<a b=c/>", "1:7@6 unquoted or missing attribute value in element"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(xmlType, []byte(tt.body))
			var e *UnreadableError
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if got := fmt.Sprintf("%d:%d@%d %s", e.Line, e.Col, e.Offset, e.Reason); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	if _, err := Read(xmlType, []byte(`<?xml version="1.0" encoding="us-ascii"?><a>x</a>`)); err != nil {
		t.Errorf("ASCII is UTF-8: %v", err)
	}
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGzip(t *testing.T) {
	const body = `{"a":1}`
	whole := packed(t, body)
	for _, tt := range []struct {
		name, encoding string
		body           []byte
		want           error
	}{
		{name: "packed", encoding: "gzip", body: whole},
		{name: "in any case", encoding: " GZip", body: whole},
		{name: "in two pieces", encoding: "gzip", body: append(packed(t, `{"a"`), packed(t, `:1}`)...)},
		{name: "as it is", encoding: "identity", body: []byte(body)},
		{name: "not packed", encoding: "gzip", body: []byte(body), want: &UnreadableError{}},
		{name: "cut short", encoding: "gzip", body: whole[:len(whole)-4], want: &UnreadableError{}},
		{name: "broken", encoding: "gzip", body: append(append([]byte{}, whole[:12]...), make([]byte, 20)...), want: &UnreadableError{}},
		{name: "something after it", encoding: "gzip", body: append(append([]byte{}, whole...), 'x'), want: &UnreadableError{}},
		{name: "nothing", encoding: "gzip", want: &UnreadableError{}},
		{name: "twice", encoding: "gzip, gzip", body: whole, want: ErrUnsupported},
		{name: "deflate", encoding: "deflate", body: whole, want: ErrUnsupported},
		{name: "the very limit", encoding: "gzip", body: packed(t, body+strings.Repeat(" ", 1000-len(body)))},
		{name: "a byte more", encoding: "gzip", body: packed(t, body+strings.Repeat(" ", 1001-len(body))), want: ErrTooLarge},
		{name: "a bomb", encoding: "gzip", body: packed(t, strings.Repeat(" ", 1<<24)), want: ErrTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.BodyLimit = 1000
			store := &shelf{}
			req := Request{Trigger: "skedda", ContentType: "application/json", ContentEncoding: tt.encoding, Body: tt.body}
			_, err := New(book{trigger: open("skedda")}, store, o).Receive(t.Context(), req)
			if tt.want != nil && !isKind(err, tt.want) || tt.want == nil && err != nil {
				t.Fatalf("got %v", err)
			}
			if tt.want == nil {
				if diff := cmp.Diff(any(dict{"a": 1}), store.accepted[0].Payload); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestBombCostsNothing unpacks no more than it has to.
func TestBombCostsNothing(t *testing.T) {
	req := Request{ContentEncoding: "gzip", Body: packed(t, strings.Repeat("x", 64<<20))}
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := unpacked(req, 1<<10); !errors.Is(err, ErrTooLarge) {
				b.Fatal(err)
			}
		}
	})
	if n := r.AllocedBytesPerOp(); n > 256<<10 {
		t.Errorf("it took %d bytes", n)
	}
}

func FuzzGzipXML(f *testing.F) {
	for _, text := range []string{
		"<a>1</a><b c='d'>2</b>", `<?xml version="1.0"?><a><b/><b>x</b>y</a>`, "<a:b xmlns:a='x'/>", "<![CDATA[x]]>", "<a>&#xD800;&amp;</a>", "<!DOCTYPE a>", strings.Repeat("<a>", 70),
	} {
		f.Add([]byte(text), false)
		f.Add(packed(f, text), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, isPacked bool) {
		req := Request{ContentType: xmlType, Body: body}
		if isPacked {
			req.ContentEncoding = "gzip"
		}
		req, err := unpacked(req, 1<<16)
		if len(req.Body) > 1<<16 && isPacked && err == nil {
			t.Fatalf("unpacked %d bytes", len(req.Body))
		}
		if err != nil {
			return
		}
		payload, err := read(req, nil)
		var e *UnreadableError
		switch {
		case errors.As(err, &e):
			if e.Offset < 0 || e.Offset > len(req.Body) || e.Reason == "" {
				t.Fatalf("no such position: %+v", e)
			}
		case err != nil:
			t.Fatal(err)
		default:
			if _, ok := payload.(map[string]any); !ok {
				t.Fatalf("%T", payload)
			}
			if _, err := json.Marshal(payload); err != nil {
				t.Fatal(err)
			}
		}
	})
}
