package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth keeps payloads to what a person can have meant, and every later walk
// over them shallow.
const maxDepth = 64

const (
	bom       = "\uFEFF" // Windows tools put it in front
	jsonSpace = " \t\r\n"
)

// readJSON reads the one JSON value that body holds.
func readJSON(body []byte) (any, error) {
	text := bytes.TrimPrefix(body, []byte(bom))
	if utf8.Valid(text) {
		// Of two fields with one name the last counts, and half of a surrogate pair is
		// a character that is not known.
		dec := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if v, ok := valueOf(dec, 0); ok && len(bytes.TrimLeft(text[dec.InputOffset():], jsonSpace)) == 0 {
			return v, nil
		}
	}
	return nil, faultOf(body, text)
}

// valueOf reads the next value, depth levels down. It does not say what is wrong:
// [faultOf] looks for that.
func valueOf(dec *jsontext.Decoder, depth int) (v any, ok bool) {
	t, err := dec.ReadToken()
	if err != nil {
		return nil, false
	}
	switch t.Kind() {
	case jsontext.KindNull:
		return nil, true
	case jsontext.KindTrue, jsontext.KindFalse:
		return t.Bool(), true
	case jsontext.KindString:
		return t.String(), true
	case jsontext.KindNumber:
		return number(t.String()), true
	case jsontext.KindBeginObject:
		return objectOf(dec, depth+1)
	case jsontext.KindBeginArray:
		return listOf(dec, depth+1)
	}
	return nil, false
}

func objectOf(dec *jsontext.Decoder, depth int) (any, bool) {
	object := map[string]any{}
	for ok := depth <= maxDepth; ; {
		t, err := dec.ReadToken()
		switch {
		case err != nil || !ok:
			return nil, false
		case t.Kind() == jsontext.KindEndObject:
			return object, true
		}
		name := t.String() // the next token takes the place of this one
		object[name], ok = valueOf(dec, depth)
	}
}

func listOf(dec *jsontext.Decoder, depth int) (any, bool) {
	list, ok := []any{}, depth <= maxDepth
	for ok && dec.PeekKind() != jsontext.KindEndArray {
		var v any
		v, ok = valueOf(dec, depth)
		list = append(list, v)
	}
	if !ok {
		return nil, false
	}
	_, err := dec.ReadToken()
	return list, err == nil
}

// faultOf is what is wrong with a body that could not be read; text is all of it but a
// byte order mark.
func faultOf(body, text []byte) error {
	if at := invalidUTF8(body); at >= 0 {
		return unreadableAt(body, at, notUTF8)
	}
	if at := tooDeep(body); at >= 0 {
		return unreadableAt(body, at, "nested deeper than "+strconv.Itoa(maxDepth)+" levels")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(new(json.RawMessage)); err != nil {
		at, reason := syntaxFault(text, err)
		return unreadableAt(body, len(body)-len(text)+at, reason)
	}
	rest := bytes.TrimLeft(text[dec.InputOffset():], jsonSpace)
	return unreadableAt(body, len(body)-len(rest), "something follows the end of the JSON value")
}

// syntaxFault finds the byte at which text stops being JSON. A Decoder's own
// offset depends on how it buffered, so the text is scanned again.
func syntaxFault(text []byte, err error) (at int, reason string) {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return len(text), "the JSON ends too early"
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(text, new(json.RawMessage))); ok {
		return max(int(syntax.Offset)-1, 0), syntax.Error()
	}
	return 0, "not JSON"
}

// unreadableAt counts lines and columns as an editor shows them.
func unreadableAt(body []byte, at int, reason string) error {
	before := body[:at]
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	line = bytes.TrimPrefix(line, []byte(bom))
	return &UnreadableError{
		Line:   1 + bytes.Count(before, []byte("\n")),
		Col:    1 + utf8.RuneCount(line),
		Offset: at,
		Reason: reason,
	}
}

const notUTF8 = "this is not UTF-8"

// invalidUTF8 is where the first byte that is not UTF-8 stands, or -1.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// tooDeep is where text, read as JSON, opens one level too many, or -1.
func tooDeep(text []byte) int {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++ // whatever is escaped, it does not end the string
		case c == '"':
			inString = !inString
		case inString:
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return i
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return -1
}

// number keeps what neither int nor float64 can hold as its text: an id that was
// rounded would name somebody else's booking, and an infinity cannot be stored.
func number(text string) any {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return f
}
