package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
)

const canary = "c4n4ry-s3cret"

// rules echo the payload, and do what the payload's field "do" says.
type rules struct{}

func (rules) Trigger(name string) (relay.Trigger, bool) {
	auths := map[string][]relay.Auth{
		"open":   {{Kind: "none"}},
		"skedda": {{Kind: "bearer", Secret: canary}, {Kind: "basic", Name: "zapier", Secret: canary}},
		"keyed":  {{Kind: "query", Name: "token", Secret: canary}, {Kind: "header", Name: "X-Key", Secret: canary}},
	}[name]
	return relay.Trigger{Name: name, From: "json", Auth: auths}, auths != nil
}

func (rules) Alias(path string) (relay.Trigger, bool) { return relay.Trigger{}, false }

func (rules) Has(string) bool { return true }

func (rules) Plan(ev relay.Event) relay.Plan {
	p := relay.Plan{Respond: []relay.NamedValue{{Name: "payload", Value: ev.Payload}}}
	object, _ := ev.Payload.(map[string]any)
	switch object["do"] {
	case "unlock":
		p.Rules = []relay.Match{{Rule: "front", Actions: []relay.Action{{Key: "front#0", Rule: "front", Kind: relay.Unlock}}}}
	case "cancel":
		p.Cancelled = true
	case "fail":
		p.Fatal = true
		p.Problems = []relay.Problem{{Where: "a.yaml:2:1", Message: "no id"}, {Where: "a.yaml:3:1", Message: "no booking"}}
	case "leak":
		p.Respond = []relay.NamedValue{{Name: "event", Value: ev}}
	}
	return p
}

// store accepts what it is given and has done it already.
type store struct{ err error }

func (s store) Accept(_ context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	return relay.Receipt{Status: relay.Accepted, JobID: relay.JobID(ev, p), Changes: 1}, s.err
}

func (store) Job(context.Context, string) (relay.Job, bool, error) {
	return relay.Job{Worked: 1, Have: []relay.Held{{Action: relay.Action{Key: "front#0"}, State: relay.Done}}}, true, nil
}

func (store) Now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func intakeOn(s store) *intake.Intake {
	return intake.New(rules{}, s, intake.Options{NewID: func() string { return "evt_1" }})
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

func TestContract(t *testing.T) {
	bearer := []string{"Authorization", "Bearer " + canary}
	basic := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("zapier:"+canary))}
	payload := func(s string) string {
		return `{"status":"accepted","event_id":"evt_1","job_id":"open:event:evt_1","actions":0,"payload":` + s + `}`
	}
	problem := func(kind, title string, status int, detail string) string {
		return fmt.Sprintf(`{"type":%q,"title":%q,"status":%d,"detail":%q}`, kind, title, status, detail)
	}
	urn := "urn:doorhook:problem:"
	tests := []struct {
		name, method, path, contentType, body string
		header                                []string
		status                                int
		want                                  string
	}{
		{name: "JSON", method: "POST", path: "/hooks/open", contentType: jsonType, body: `{"a":{"b":1}}`, status: 200, want: payload(`{"a":{"b":1}}`)},
		{name: "flattened", method: "PUT", path: "/hooks/open", contentType: jsonType, body: `{"a__b":1}`, status: 200, want: payload(`{"a":{"b":1}}`)},
		{name: "in an array", method: "POST", path: "/hooks/open", contentType: jsonType, body: `[{"a__b":1}]`, status: 200, want: payload(`{"a":{"b":1}}`)},
		{name: "curl -d", method: "POST", path: "/hooks/open", contentType: formType, body: `{"a":1}`, status: 200, want: payload(`{"a":1}`)},
		{name: "form", method: "POST", path: "/hooks/open", contentType: formType, body: `a__b=1&c=2&c=3`, status: 200, want: payload(`{"a":{"b":"1"},"c":["2","3"]}`)},
		{
			name: "multipart", method: "POST", path: "/hooks/open", contentType: "multipart/form-data; boundary=cut",
			body: "--cut\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--cut--\r\n", status: 200, want: payload(`{"a":"1"}`),
		},
		{name: "query", method: "GET", path: "/hooks/open?a=1&start__zone=UTC", status: 200, want: payload(`{"a":"1","start":{"zone":"UTC"}}`)},
		{name: "query and body", method: "POST", path: "/hooks/open?a=1&b=2", contentType: jsonType, body: `{"a":9}`, status: 200, want: payload(`{"a":9,"b":"2"}`)},
		{name: "nothing at all", method: "POST", path: "/hooks/open", status: 200, want: payload(`{}`)},
		{name: "bearer", method: "POST", path: "/hooks/skedda", header: bearer, status: 200, want: `{"status":"accepted","event_id":"evt_1","job_id":"skedda:event:evt_1","actions":0,"payload":{}}`},
		{name: "basic", method: "POST", path: "/hooks/skedda", header: basic, status: 200, want: `{"status":"accepted","event_id":"evt_1","job_id":"skedda:event:evt_1","actions":0,"payload":{}}`},
		{name: "query auth", method: "GET", path: "/hooks/keyed?token=" + canary, status: 200, want: `{"status":"accepted","event_id":"evt_1","job_id":"keyed:event:evt_1","actions":0,"payload":{}}`},
		{
			name: "waiting", method: "POST", path: "/hooks/open?wait=5", contentType: jsonType, body: `{"do":"unlock"}`, status: 200,
			want: `{"status":"done","event_id":"evt_1","job_id":"open:event:evt_1","rules":"front","actions":1,"payload":{"do":"unlock"}}`,
		},
		{
			name: "dry run", method: "POST", path: "/hooks/open?dry_run=1", contentType: jsonType, body: `{"do":"unlock"}`, status: 200,
			want: `{"status":"dry_run","event_id":"evt_1","rules":"front","actions":1,"plan":[{"rule":"front","kind":"unlock","requests":[]}],"payload":{"do":"unlock"}}`,
		},

		{
			name: "unreadable", method: "POST", path: "/hooks/open", contentType: jsonType, body: "{\n\"a\":NaN}", status: 400,
			want: `{"type":"urn:doorhook:problem:unreadable","title":"Unreadable request","status":400,"detail":"line 2, column 5: invalid character 'N' looking for beginning of value","line":2,"column":5,"offset":6}`,
		},
		{
			name: "unreadable from the first byte", method: "POST", path: "/hooks/open", contentType: jsonType, body: "x", status: 400,
			want: `{"type":"urn:doorhook:problem:unreadable","title":"Unreadable request","status":400,"detail":"line 1, column 1: invalid character 'x' looking for beginning of value","line":1,"column":1,"offset":0}`,
		},
		{name: "unreadable query", method: "GET", path: "/hooks/open?a=%zz", status: 400, want: problem(urn+"unreadable", "Unreadable request", 400, "the query string is not properly encoded")},
		{name: "bad wait", method: "POST", path: "/hooks/open?wait=soon", status: 400, want: problem(urn+"unreadable", "Unreadable request", 400, "the query parameter wait is a number of seconds, such as 10, or a duration, such as 1.5s")},
		{name: "no credentials", method: "POST", path: "/hooks/skedda", body: "{", status: 401, want: problem(urn+"unauthorized", "Not authorized", 401, "the caller did not show that it may call this trigger")},
		{name: "wrong credentials", method: "POST", path: "/hooks/keyed?token=x", status: 401, want: problem(urn+"unauthorized", "Not authorized", 401, "the caller did not show that it may call this trigger")},
		{name: "unknown trigger", method: "POST", path: "/hooks/nobody", status: 404, want: problem(urn+"unknown-trigger", "Unknown trigger", 404, "there is no such trigger")},
		{name: "no such route", method: "GET", path: "/hook/open", status: 404, want: problem("about:blank", "Not Found", 404, "there is nothing here; triggers are at /hooks/ and their name")},
		{name: "trailing slash", method: "POST", path: "/hooks/open/", status: 404, want: problem("about:blank", "Not Found", 404, "there is nothing here; triggers are at /hooks/ and their name")},
		{name: "other case", method: "POST", path: "/Hooks/open", status: 404, want: problem("about:blank", "Not Found", 404, "there is nothing here; triggers are at /hooks/ and their name")},
		{name: "wrong method", method: "DELETE", path: "/hooks/open", status: 405, want: problem("about:blank", "Method Not Allowed", 405, "the header Allow names the methods that can be used here")},
		{
			name: "wrong type", method: "POST", path: "/hooks/open", contentType: "text/html", body: "<p>", status: 415,
			want: problem(urn+"unsupported", "Unsupported body", 415, "doorhook cannot read this kind of body: send JSON, XML, a form or a query string, with its content type"),
		},
		{
			name: "compressed", method: "POST", path: "/hooks/open", contentType: jsonType, body: "{}", header: []string{"Content-Encoding", "br"}, status: 415,
			want: problem(urn+"unsupported", "Unsupported body", 415, "doorhook cannot read this kind of body: send it with the content encoding gzip, or without one"),
		},
		{
			name: "a cancellation of nothing", method: "POST", path: "/hooks/open", contentType: jsonType, body: `{"do":"cancel"}`, status: 422,
			want: `{"type":"urn:doorhook:problem:undecided","title":"Nothing could be decided","status":422,"detail":"a cancellation needs a booking","errors":["a cancellation needs a booking"]}`,
		},
		{
			name: "nothing could be decided", method: "POST", path: "/hooks/open", contentType: jsonType, body: `{"do":"fail"}`, status: 422,
			want: `{"type":"urn:doorhook:problem:undecided","title":"Nothing could be decided","status":422,"detail":"a.yaml:2:1: no id","errors":["a.yaml:2:1: no id","a.yaml:3:1: no booking"]}`,
		},
		{name: "live", method: "GET", path: "/livez", status: 200, want: `{"status":"live"}`},
		{name: "ready", method: "GET", path: "/readyz", status: 200, want: `{"status":"ready"}`},
	}
	s := start(t, intakeOn(store{}), isReady, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.do(t, tt.method, tt.path, tt.contentType, tt.body, tt.header...)
			if r.status != tt.status || r.body != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", r.status, r.body, tt.status, tt.want)
			}
			wantType := "application/json"
			if tt.status >= 400 {
				wantType = "application/problem+json"
			}
			if got := r.header.Get("Content-Type"); got != wantType {
				t.Errorf("content type %q", got)
			}
			if r.header.Get("Server") != "" || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", r.header)
			}
		})
	}
	if lines := strings.Count(s.log.String(), "msg=request"); lines != len(tests) {
		t.Errorf("%d lines in the log for %d requests", lines, len(tests))
	}
	if strings.Contains(s.log.String(), canary) {
		t.Error("the log holds the secret")
	}
}

func TestHeadersOfRefusals(t *testing.T) {
	s := start(t, intakeOn(store{err: relay.ErrUnavailable}), func(context.Context) error { return errors.New("no answer from Redis") },
		Options{RetryAfter: 1500 * time.Millisecond})
	tests := []struct {
		method, path string
		status       int
		header       string
		want         []string
	}{
		{"POST", "/hooks/skedda", 401, "Www-Authenticate", []string{"Bearer", `Basic realm="doorhook", charset="UTF-8"`}},
		{"POST", "/hooks/keyed", 401, "Www-Authenticate", []string{"Doorhook"}},
		{"HEAD", "/hooks/open", 405, "Allow", []string{"GET, POST, PUT"}},
		{"BREW", "/hooks/open", 405, "Allow", []string{"POST, PUT, GET"}},
		{"POST", "/livez", 405, "Allow", []string{"GET, HEAD"}},
		{"POST", "/hooks/open", 503, "Retry-After", []string{"2"}},
		{"GET", "/readyz", 503, "Retry-After", []string{"2"}},
	}
	for _, tt := range tests {
		r := s.do(t, tt.method, tt.path, "", "")
		if diff := cmp.Diff(tt.want, r.header[tt.header]); r.status != tt.status || diff != "" {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, r.status, diff)
		}
	}
	if r := s.do(t, "GET", "/readyz", "", ""); !strings.Contains(r.body, `"detail":"no answer from Redis"`) {
		t.Errorf("not ready for no reason: %s", r.body)
	}
	if r := s.do(t, "GET", "/livez", "", ""); r.status != 200 {
		t.Errorf("not alive without Redis: %d", r.status)
	}
}

func TestErrorsAreNotShown(t *testing.T) {
	var err error
	d := &desk{do: func(context.Context, intake.Request) (intake.Answer, error) { return intake.Answer{}, err }}
	s := start(t, d, isReady, Options{})
	tests := []struct {
		err    error
		status int
	}{
		{errors.New("dial redis at secret-host"), 500},
		{fmt.Errorf("secret-host: %w", relay.ErrUnavailable), 503},
		{fmt.Errorf("secret-host: %w", context.DeadlineExceeded), 503},
	}
	for _, tt := range tests {
		err = tt.err
		r := s.do(t, "POST", "/hooks/a", "", "{}")
		if r.status != tt.status || strings.Contains(r.body, "secret-host") {
			t.Errorf("%v: %d %s", tt.err, r.status, r.body)
		}
	}
	if strings.Count(s.log.String(), "secret-host") != len(tests) {
		t.Errorf("the operator was not told: %s", s.log)
	}
}

func TestOneLineForARequest(t *testing.T) {
	s := start(t, intakeOn(store{}), isReady, Options{})
	s.do(t, "POST", "/hooks/open?dry_run=1&private=query", jsonType, `{"private":"body"}`, "X-Private", "header")
	line := s.log.String()
	for _, want := range []string{"level=INFO", "method=POST", "route=/hooks/:trigger", "status=200", "took=", "trigger=open", "event=evt_1", "outcome=dry_run"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Contains(line, "rivate") {
		t.Errorf("private: %s", line)
	}
	s.do(t, "POST", "/"+strings.Repeat("hooks/", 3), "", "")
	s.do(t, "POST", "/hooks/"+strings.Repeat("x", 1000), "", "")
	if log := s.log.String(); !strings.Contains(log, "route=unmatched") || len(log) > 1500 {
		t.Errorf("log: %s", log)
	}
}

// A secret that was sent in each of the ways a trigger may ask for it comes back
// in no answer and stays in no log, whatever the rules answer.
func TestSecretsStayInside(t *testing.T) {
	s := start(t, intakeOn(store{}), isReady, Options{})
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("zapier:"+canary))
	for _, r := range []response{
		s.do(t, "POST", "/hooks/keyed?token="+canary, jsonType, `{"do":"leak"}`),
		s.do(t, "POST", "/hooks/keyed", jsonType, `{"do":"leak"}`, "X-Key", canary),
		s.do(t, "POST", "/hooks/skedda", jsonType, `{"do":"leak"}`, "Authorization", "Bearer "+canary),
		s.do(t, "POST", "/hooks/skedda", jsonType, `{"do":"leak"}`, "Authorization", basic),
		s.do(t, "POST", "/hooks/skedda", jsonType, `{"do":`, "Authorization", basic),
		s.do(t, "POST", "/hooks/keyed?token="+canary+"&a=%zz", jsonType, `{}`),
		s.do(t, "POST", "/hooks/keyed?token="+canary+"x", jsonType, `{}`),
		s.do(t, "DELETE", "/hooks/keyed?token="+canary, jsonType, `{}`),
		s.do(t, "POST", "/nothing?token="+canary, jsonType, `{}`),
	} {
		if strings.Contains(r.body, canary) || strings.Contains(r.body, strings.TrimPrefix(basic, "Basic ")) {
			t.Errorf("%d: %s", r.status, r.body)
		}
		if !json.Valid([]byte(r.body)) {
			t.Errorf("%d: not JSON: %s", r.status, r.body)
		}
	}
	if strings.Contains(s.log.String(), canary) {
		t.Error("the log holds the secret")
	}
}
