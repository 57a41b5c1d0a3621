package intake

import (
	"bytes"
	"mime"
	"strings"
)

// read makes one payload of body and query. The same data gives the same payload
// whether it came nested, flattened or wrapped in an array.
func read(req Request, query map[string]any) (any, error) {
	if err := uncompressed(req); err != nil {
		return nil, err
	}
	payload, err := Read(req.ContentType, req.Body)
	if err != nil {
		return nil, err
	}
	if object, ok := payload.(map[string]any); ok {
		merge(object, query)
	}
	return payload, nil
}

func uncompressed(req Request) error {
	if enc := strings.TrimSpace(req.ContentEncoding); enc != "" && !strings.EqualFold(enc, "identity") {
		return errCompressed
	}
	return nil
}

// Read makes a payload of a body alone. It is for those who have one in a file;
// what it gives, it also gives for a request.
func Read(contentType string, body []byte) (any, error) {
	payload, err := readBody(contentType, body)
	if err != nil {
		return nil, err
	}
	if list, ok := payload.([]any); ok && len(list) == 1 { // Zapier's "Wrap Request In Array"
		payload = list[0]
	}
	if object, ok := payload.(map[string]any); ok {
		unflatten(object, flatKeys(object))
	}
	return payload, nil
}

func readBody(contentType string, body []byte) (any, error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(body, []byte(bom)))
	if len(text) == 0 {
		return map[string]any{}, nil
	}
	// curl -d sends JSON under a form's type. No form begins with one of these
	// characters: its encoding escapes them.
	looksLikeJSON := text[0] == '{' || text[0] == '['
	media, params := mediaType(contentType)
	switch {
	case media == "application/json", strings.HasSuffix(media, "+json"):
		return readJSON(body)
	case (media == formType || media == "text/plain" || media == "") && looksLikeJSON:
		return readJSON(body)
	case media == formType:
		return readForm(body)
	case media == "multipart/form-data":
		return readMultipart(params["boundary"], body)
	case media == "application/xml", media == "text/xml", strings.HasSuffix(media, "+xml"):
		return readXML(body)
	}
	return nil, errContentType
}

// mediaType is lenient about the parameters, which senders get wrong and only
// multipart needs.
func mediaType(contentType string) (string, map[string]string) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	return media, params
}

// merge adds to object what query says and object does not.
func merge(object, query map[string]any) {
	if len(query) == 0 {
		return
	}
	added := make(map[string]any, len(query))
	for name, value := range query {
		if _, taken := object[name]; !taken {
			object[name], added[name] = value, value
		}
	}
	unflatten(object, flatKeys(added))
}
