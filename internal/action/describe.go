package action

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// Request is a request to Kisi, without its headers.
type Request struct {
	Method, Path, Query string
	Body                string // JSON; "" has none
}

func (r Request) String() string {
	s := r.Method + " " + r.Path
	if r.Query != "" {
		s += "?" + r.Query
	}
	if r.Body != "" {
		s += " " + r.Body
	}
	return s
}

// Describe gives the requests that would make a, word for word: they are made
// by the real client and go no further than this process.
func Describe(a relay.Action) []string {
	_, group := a.Opens()
	_, expand := a.GroupToExpand()
	var asked []string
	if expand || a.Limits != nil {
		asked = []string{fmt.Sprintf("GET /group_locks?group_id=%d", group)}
	}
	a.Limits = nil // nothing is asked here, so nothing is known to forbid it
	if !expand {
		return append(asked, describe(a)...)
	}
	for _, r := range describe(a.Expand([]int64{1})[0]) {
		asked = append(asked, "for each lock of the group: "+strings.Replace(r, `"scheduleable_id":1,`, `"scheduleable_id":LOCK,`, 1))
	}
	return asked
}

func describe(a relay.Action) []string {
	rec := &recorder{}
	client, err := kisi.New(kisi.Options{APIKey: "none", Transport: rec})
	if err != nil {
		return []string{err.Error()}
	}
	if out := New(client).Create(context.Background(), a); out.Err != nil && len(rec.requests) == 0 {
		return []string{out.Err.Error()}
	}
	lines := make([]string, len(rec.requests))
	for i, r := range rec.requests {
		lines[i] = r.String()
	}
	return lines
}

// recorder is a transport without a network.
type recorder struct{ requests []Request }

func (rec *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	rec.requests = append(rec.requests, Request{r.Method, r.URL.Path, r.URL.RawQuery, string(body)})
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"id":1,"message":"Unlocked!"}`)),
	}, nil
}
