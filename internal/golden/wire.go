package golden

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"

	"doorhook/internal/kisi/kisifake"
)

// wire carries requests to the pretend Kisi, and no further than this process.
type wire struct{ kisi *kisifake.Server }

var (
	errReset  = errors.New("connection reset by peer")
	errSilent = errors.New("no answer within 5s")
)

// RoundTrip implements http.RoundTripper.
func (w wire) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders() // whatever goes wrong from here on, Kisi may have got it
	}
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	a := &answer{header: http.Header{}, status: http.StatusOK}
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p != http.ErrAbortHandler: //nolint:errorlint // a panic carries it as it is
			panic(p)
		case a.reset:
			err = errReset
		default:
			err = errSilent
		}
	}()
	w.kisi.ServeHTTP(a, r)
	return &http.Response{
		StatusCode: a.status, Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), Header: a.header,
		Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r,
	}, nil
}

// answer is what the pretend Kisi writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	reset  bool
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// Hijack is asked for by who wants to break the connection.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.reset = true
	return nil, nil, errReset
}
