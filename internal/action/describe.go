package action

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// Caller is who asks Kisi, as far as the requests show it. The zero value has
// Kisi's own address and names nobody.
type Caller struct{ URL, Integration, Contact, UserAgent string }

// Request is a request to Kisi, or to whom a message is sent, without secrets: in the
// place of one there is ${env.NAME}, or nothing.
type Request struct {
	For    string      `json:"for,omitempty"` // what it is repeated for, or waits for
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Header http.Header `json:"headers"`
	Body   string      `json:"body,omitempty"`   // JSON, but for a message in another form
	Signed string      `json:"signed,omitempty"` // by what key a message is signed

	curl string // of a message, whose secrets are variables of the shell
}

func (r Request) String() string {
	s := r.Method + " " + r.URL
	if u, err := url.Parse(r.URL); err == nil && r.curl == "" {
		s = r.Method + " " + u.RequestURI()
	}
	if r.Body != "" {
		s += " " + oneLine(r.Body)
	}
	if r.Signed != "" {
		s += ", signed with " + r.Signed
	}
	if r.For != "" {
		s = r.For + ": " + s
	}
	return s
}

// oneLine is text without line breaks: one that has some is shown as in a program.
func oneLine(text string) string {
	if strings.ContainsAny(text, "\r\n") {
		return strconv.Quote(text)
	}
	return text
}

// Curl is the command that makes r by hand, for a POSIX shell that has the key in
// KISI_API_KEY, and each secret of a message in the variable of its name. What of it is
// not ASCII stands in texts of JSON.
func (r Request) Curl() string {
	if r.curl != "" {
		return r.curl
	}
	parts := []string{
		"curl -X " + r.Method + " " + quoted(r.URL),
		`-H "Authorization: KISI-LOGIN $KISI_API_KEY"`,
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		parts = append(parts, "-H "+quoted(name+": "+r.Header.Get(name)))
	}
	if r.Body != "" {
		parts = append(parts, "-d "+quoted(r.Body))
	}
	return strings.Join(parts, " \\\n  ")
}

// quoted is text as a shell takes it for one argument, whatever is in it.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// Describe gives the requests that would make a, on one line each.
func Describe(a relay.Action) []string {
	requests, err := Caller{}.Requests(context.Background(), a)
	if err != nil {
		return []string{err.Error()}
	}
	lines := make([]string, len(requests))
	for i, r := range requests {
		lines[i] = r.String()
	}
	return lines
}

// Requests gives the requests that would make a, word for word: they are made by
// the real client and go no further than this process.
func (c Caller) Requests(ctx context.Context, a relay.Action) ([]Request, error) {
	if a.Kind == relay.Send {
		return c.message(a)
	}
	_, group := a.Opens()
	_, expand := a.GroupToExpand()
	var asked []Request
	if expand || a.Limits != nil {
		var err error
		asked, err = c.record(func(d *Doer) relay.Outcome {
			_, err := d.kisi.GroupLocks(ctx, group)
			return repeatable(err)
		})
		if err != nil {
			return nil, err
		}
	}
	a.Limits = nil // nothing is asked here, so nothing is known to forbid it
	if !expand {
		own, err := c.record(func(d *Doer) relay.Outcome { return d.Create(ctx, a) })
		if a.Kind == relay.RoleAssignment {
			ofNewUser(own)
		}
		return append(asked, own...), err
	}
	each, err := c.Requests(ctx, a.Expand([]int64{1})[0])
	for _, r := range each {
		r.For = "for each lock of the group"
		r.Body = strings.Replace(r.Body, `"scheduleable_id":1,`, `"scheduleable_id":LOCK,`, 1)
		asked = append(asked, r)
	}
	return asked, err
}

// ofNewUser says what of requests depends on whether there is a user already.
func ofNewUser(requests []Request) {
	for i, r := range requests {
		switch {
		case len(requests) == 1: // the user is known by its id
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL, "/users"):
			requests[i].For = "if there is no such user"
		case r.Method == http.MethodPost:
			requests[i].For = "for the user"
			requests[i].Body = strings.Replace(r.Body, `"assignee_id":1,`, `"assignee_id":USER,`, 1)
		}
	}
}

func (c Caller) record(do func(*Doer) relay.Outcome) ([]Request, error) {
	rec := &recorder{}
	client, err := kisi.New(kisi.Options{
		URL: c.URL, Integration: c.Integration, Contact: c.Contact, UserAgent: c.UserAgent, APIKey: "none", Transport: rec,
	})
	if err != nil {
		return nil, err
	}
	out := do(New(client, SendOptions{}))
	if len(rec.requests) == 0 {
		return nil, fmt.Errorf("nothing would be asked of Kisi: %w", out.Err)
	}
	return rec.requests, nil
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
	header := r.Header.Clone()
	header.Del("Authorization")
	rec.requests = append(rec.requests, Request{Method: r.Method, URL: r.URL.String(), Header: header, Body: string(body)})
	answer := `{"id":1,"message":"Unlocked!"}`
	if r.Method == http.MethodGet {
		answer = "[]"
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(answer)),
	}, nil
}
