package intake

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
)

// xmlText is the name of the text of an element that has more than text.
const xmlText = "#text"

// readXML reads elements as the fields of an object, by their names without a
// namespace. Zapier sends them without a root around them; one root that holds them all
// is taken off.
func readXML(body []byte) (any, error) {
	if at := invalidUTF8(body); at >= 0 {
		return nil, unreadableAt(body, at, notUTF8)
	}
	text := bytes.TrimPrefix(body, []byte(bom))
	r := &xmlReader{dec: xml.NewDecoder(bytes.NewReader(text)), open: []*element{{}}}
	r.dec.CharsetReader = utf8Only
	for {
		at := r.dec.InputOffset()
		token, err := r.dec.Token()
		if errors.Is(err, io.EOF) {
			return r.open[0].payload(), nil
		}
		if err == nil {
			err = r.take(token)
		} else {
			at = r.dec.InputOffset()
		}
		if err != nil {
			return nil, unreadableAt(body, len(body)-len(text)+min(int(at), len(text)), xmlFault(err))
		}
	}
}

// utf8Only takes texts for what they are, and no other encoding that they say they have.
func utf8Only(charset string, text io.Reader) (io.Reader, error) {
	if strings.EqualFold(charset, "us-ascii") || strings.EqualFold(charset, "ascii") {
		return text, nil
	}
	return nil, errors.New("the XML says that it is in another encoding than UTF-8")
}

// xmlFault says what is wrong, without the line: it is said elsewhere.
func xmlFault(err error) string {
	syntax, ok := errors.AsType[*xml.SyntaxError](err)
	switch {
	case !ok:
		if inner := errors.Unwrap(err); inner != nil {
			err = inner
		}
		return err.Error()
	case syntax.Msg == "unexpected EOF":
		return "the XML ends too early"
	}
	return syntax.Msg
}

// element is one whose end has not come. The first holds the roots.
type element struct {
	name   string
	fields map[string]any // nil if it has neither attributes nor elements
	inside int            // elements
	last   any            // of them
	text   strings.Builder
}

type xmlReader struct {
	dec  *xml.Decoder
	open []*element
}

func (r *xmlReader) take(token xml.Token) error {
	in := r.open[len(r.open)-1]
	switch token := token.(type) {
	case xml.StartElement:
		if len(r.open) > maxDepth {
			return errors.New("nested deeper than " + strconv.Itoa(maxDepth) + " levels")
		}
		r.open = append(r.open, begin(token))
	case xml.EndElement:
		r.open = r.open[:len(r.open)-1]
		r.open[len(r.open)-1].hold(in)
	case xml.CharData:
		if len(r.open) == 1 && len(bytes.TrimSpace(token)) > 0 {
			return errors.New("there is text outside of all elements")
		}
		in.text.Write(token) // never fails
	case xml.Directive:
		return errors.New("doorhook reads no document type (<!…>)")
	}
	return nil
}

func begin(start xml.StartElement) *element {
	e := &element{name: start.Name.Local}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" { // what a namespace is called is no data
			e.add("@"+a.Name.Local, a.Value)
		}
	}
	return e
}

// hold puts an element that has ended into e.
func (e *element) hold(child *element) {
	e.inside, e.last = e.inside+1, child.value()
	e.add(child.name, e.last)
}

// add makes a list of what comes more than once.
func (e *element) add(name string, value any) {
	if e.fields == nil {
		e.fields = map[string]any{}
	}
	was, again := e.fields[name]
	switch list, isList := was.([]any); {
	case !again:
		e.fields[name] = value
	case isList:
		e.fields[name] = append(list, value)
	default:
		e.fields[name] = []any{was, value}
	}
}

func (e *element) value() any {
	text := strings.TrimSpace(e.text.String())
	if e.fields == nil {
		return text
	}
	if text != "" {
		e.fields[xmlText] = text
	}
	return e.fields
}

// payload is what the roots say.
func (e *element) payload() map[string]any {
	root, ok := e.last.(map[string]any)
	if e.inside == 1 && ok {
		for name := range root {
			if name != xmlText && !strings.HasPrefix(name, "@") { // it holds elements
				return root
			}
		}
	}
	if e.fields == nil {
		return map[string]any{}
	}
	return e.fields
}
