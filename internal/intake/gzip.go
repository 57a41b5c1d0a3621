package intake

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
)

// unpacked is the body of req as it was before it was compressed, if that is no larger
// than most bytes. No more than that is ever unpacked. What is compressed otherwise
// stays as it is.
func unpacked(req Request, most int) (Request, error) {
	if !strings.EqualFold(strings.TrimSpace(req.ContentEncoding), "gzip") {
		return req, nil
	}
	packed, err := gzip.NewReader(bytes.NewReader(req.Body))
	if err != nil {
		return req, errNotGzip
	}
	body, err := io.ReadAll(io.LimitReader(packed, int64(most)+1))
	switch {
	case len(body) > most:
		return req, fmt.Errorf("%w: unpacked it has more than %d bytes", ErrTooLarge, most)
	case err != nil:
		return req, errNotGzip
	}
	req.Body, req.ContentEncoding = body, ""
	return req, nil
}

var errNotGzip = unreadable("the body is not what its content encoding says: it is no gzip, or broken")
