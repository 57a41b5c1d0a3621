package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
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
	if at := invalidUTF8(body); at >= 0 {
		return nil, unreadableAt(body, at, notUTF8)
	}
	if at := tooDeep(body); at >= 0 {
		return nil, unreadableAt(body, at, "nested deeper than "+strconv.Itoa(maxDepth)+" levels")
	}
	text := bytes.TrimPrefix(body, []byte(bom))
	start := len(body) - len(text)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		at, reason := syntaxFault(text, err)
		return nil, unreadableAt(body, start+at, reason)
	}
	rest := bytes.TrimLeft(text[dec.InputOffset():], jsonSpace)
	if len(rest) > 0 {
		return nil, unreadableAt(body, len(body)-len(rest), "something follows the end of the JSON value")
	}
	return numbers(v), nil
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

// numbers gives every number in v the type that rules can compute with.
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
