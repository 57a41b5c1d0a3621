package intake

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/url"
	"unicode/utf8"
)

const (
	formType = "application/x-www-form-urlencoded"
	maxParts = 1000 // of a multipart form; each costs far more memory than its bytes
)

func readForm(body []byte) (any, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, unreadable("the form cannot be read: %s", formFault(err))
	}
	return object(fields(values))
}

// formFault does without the text of err where that would repeat what was sent.
func formFault(err error) string {
	if _, ok := errors.AsType[url.EscapeError](err); ok {
		return "a percent sign is not followed by two hexadecimal digits"
	}
	return err.Error()
}

func readMultipart(boundary string, body []byte) (any, error) {
	if boundary == "" {
		return nil, unreadable("the content type of the multipart form names no boundary")
	}
	values := url.Values{}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if err == io.EOF {
			return object(fields(values))
		}
		if err != nil {
			return nil, unreadable("the multipart form is broken after %d parts", n)
		}
		if n == maxParts {
			return nil, unreadable("the multipart form has more than %d parts", maxParts)
		}
		if err := readPart(part, values); err != nil {
			return nil, err
		}
	}
}

func readPart(part *multipart.Part, values url.Values) error {
	name := part.FormName()
	if part.FileName() != "" {
		return unreadable("the part %q of the multipart form is a file; doorhook takes no files", name)
	}
	if name == "" {
		return unreadable("a part of the multipart form has no name")
	}
	text, err := io.ReadAll(part) // no longer than the body, which is in memory already
	if err != nil {
		return unreadable("the part %q of the multipart form is broken", name)
	}
	values.Add(name, string(text))
	return nil
}

// fields gives each value as a text, and those of a repeated name as a list.
func fields(values url.Values) (map[string]any, error) {
	out := make(map[string]any, len(values))
	for name, texts := range values {
		list := make([]any, len(texts))
		valid := utf8.ValidString(name)
		for i, text := range texts {
			list[i] = text
			valid = valid && utf8.ValidString(text)
		}
		if !valid {
			return nil, unreadable(notUTF8)
		}
		if out[name] = any(list); len(list) == 1 {
			out[name] = list[0]
		}
	}
	return out, nil
}

// object keeps a nil map from becoming a payload that is not nil.
func object(fields map[string]any, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return fields, nil
}
