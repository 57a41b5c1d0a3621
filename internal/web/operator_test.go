package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"doorhook/internal/relay"
)

// office is an operator's side that keeps what it was asked, and has one of each.
type office struct {
	asked []string
	err   error // of the next answer
	empty bool
}

func (o *office) note(format string, args ...any) {
	o.asked = append(o.asked, fmt.Sprintf(format, args...))
}

func one[T any](o *office, v T) ([]T, error) {
	if o.empty || errors.Is(o.err, relay.ErrUnavailable) {
		return nil, o.err
	}
	return []T{v}, o.err
}

func (o *office) Recent(_ context.Context, limit int) ([]relay.Job, error) {
	o.note("recent %d", limit)
	return one(o, relay.Job{ID: "t:booking:1", Want: []relay.Action{}, Have: []relay.Held{}})
}

func (o *office) Waiting(_ context.Context, limit int) ([]relay.Job, error) {
	o.note("waiting %d", limit)
	return one(o, relay.Job{ID: "t:booking:1", Want: []relay.Action{}, Have: []relay.Held{}})
}

func (o *office) Job(_ context.Context, id string) (relay.Job, bool, error) {
	o.note("job %s", id)
	return relay.Job{ID: id, Want: []relay.Action{}, Have: []relay.Held{}}, id != "gone", o.err
}

func (o *office) Events(_ context.Context, before string, limit int) ([]relay.Record, error) {
	o.note("events %q %d", before, limit)
	return one(o, relay.Record{ID: "1-0", Trigger: "t", EventID: "e", Status: relay.Accepted, Event: json.RawMessage(`{"id":"e"}`)})
}

func (o *office) Letters(_ context.Context, limit int) ([]relay.DeadLetter, error) {
	o.note("letters %d", limit)
	return one(o, relay.DeadLetter{ID: "d", Cause: relay.ByKisi, Trigger: "t", Error: "no"})
}

func (o *office) Replay(_ context.Context, ids []string) ([]relay.Replayed, error) {
	o.note("replay %q", ids)
	return one(o, relay.Replayed{ID: "d", Status: relay.Accepted, JobID: "t:booking:1"})
}

func (o *office) Catchup(_ context.Context, since time.Time, trigger string) ([]relay.CaughtUp, error) {
	o.note("catchup %s %q", since.Format(time.RFC3339), trigger)
	switch trigger {
	case "old":
		return nil, fmt.Errorf("%w: by far", relay.ErrTooFarBack)
	case "json":
		return nil, relay.ErrNotKisi
	}
	return []relay.CaughtUp{{Trigger: "kisi", From: since, Until: since.Add(time.Hour), Read: 3, New: 1, Duplicates: 2}}, o.err
}

func (o *office) Doctor(context.Context) ([]relay.Check, error) {
	o.note("doctor")
	return one(o, relay.Check{Name: "rules", Health: relay.Healthy, Says: "t"})
}

const adminToken = "c4n4ry-admin"

func startOffice(t *testing.T, o *office, token relay.Secret) *site {
	t.Helper()
	return startWith(t, &desk{}, o, isReady, Options{AdminToken: token, RetryAfter: 1500 * time.Millisecond})
}

func TestOperatorContract(t *testing.T) {
	const (
		job        = `{"id":"t:booking:1","trigger":"","event_id":"","changes":0,"worked":0,"want":[],"have":[]}`
		event      = `{"id":"1-0","at":"0001-01-01T00:00:00Z","trigger":"t","event_id":"e","status":"accepted","event":{"id":"e"}}`
		letter     = `{"id":"d","at":"0001-01-01T00:00:00Z","cause":"kisi","trigger":"t","error":"no"}`
		badCatchup = `{"type":"urn:doorhook:problem:unreadable","title":"Unreadable request","status":400,"detail":"say since when: {\"since\": \"2026-10-09T12:00:00Z\"}, and perhaps \"trigger\""}`
		badReplay  = `{"type":"urn:doorhook:problem:unreadable","title":"Unreadable request","status":400,"detail":"say what to replay: {\"ids\": [\"…\", …]}, or {\"all\": true}"}`
		badLimit   = `{"type":"urn:doorhook:problem:unreadable","title":"Unreadable request","status":400,"detail":"the query parameter limit is a number from 1 to 1000"}`
		wrongType  = `{"type":"urn:doorhook:problem:unsupported","title":"Unsupported body","status":415,"detail":"doorhook cannot read this kind of body: send JSON, with Content-Type: application/json"}`
		noSuchJob  = `{"type":"urn:doorhook:problem:unknown-job","title":"Unknown job","status":404,"detail":"there is no such job, or not any more: one at rest is forgotten after the retention"}`
		storeAway  = `{"type":"urn:doorhook:problem:unavailable","title":"Unavailable","status":503,"detail":"the store cannot be reached; ask again"}`
		notAllowed = `{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"the header Allow names the methods that can be used here"}`
	)
	down := &office{err: fmt.Errorf("dial secret-host: %w", relay.ErrUnavailable)}
	slow := &office{err: context.DeadlineExceeded, empty: true}
	partly := &office{err: errors.New("job t:booking:2 cannot be read")}
	tests := []struct {
		name, method, path, contentType, body string
		office                                *office // one that has one of each, if nil
		status                                int
		want, asked                           string
	}{
		{name: "jobs", method: "GET", path: "jobs", status: 200, want: `{"jobs":[` + job + `]}`, asked: "recent 50"},
		{name: "jobs, so many", method: "GET", path: "jobs?limit=1000", status: 200, want: `{"jobs":[` + job + `]}`, asked: "recent 1000"},
		{name: "jobs that wait", method: "GET", path: "jobs?state=waiting&limit=1", status: 200, want: `{"jobs":[` + job + `]}`, asked: "waiting 1"},
		{name: "no jobs", method: "GET", path: "jobs", office: &office{empty: true}, status: 200, want: `{"jobs":[]}`, asked: "recent 50"},
		{
			name: "jobs of which one cannot be read", method: "GET", path: "jobs", office: partly, status: 200,
			want: `{"error":"job t:booking:2 cannot be read","jobs":[` + job + `]}`, asked: "recent 50",
		},
		{name: "a job", method: "GET", path: "jobs/t:booking:1", status: 200, want: `{"job":` + job + `}`, asked: "job t:booking:1"},
		{
			name: "a job whose sender likes slashes", method: "GET", path: "jobs/" + url.PathEscape("t:booking:a/b?c#d%2F../é"), status: 200,
			want: strings.Replace(`{"job":`+job+`}`, "t:booking:1", "t:booking:a/b?c#d%2F../é", 1), asked: "job t:booking:a/b?c#d%2F../é",
		},
		{name: "no such job", method: "GET", path: "jobs/gone", status: 404, want: noSuchJob, asked: "job gone"},
		{name: "events", method: "GET", path: "events", status: 200, want: `{"events":[` + event + `]}`, asked: `events "" 50`},
		{name: "older events", method: "GET", path: "events?before=1767225600000-3&limit=2", status: 200, want: `{"events":[` + event + `]}`, asked: `events "1767225600000-3" 2`},
		{name: "dead letters", method: "GET", path: "dead?limit=7", status: 200, want: `{"dead":[` + letter + `]}`, asked: "letters 7"},
		{
			name: "replay one", method: "POST", path: "replay", contentType: jsonType, body: `{"ids":["d","t:booking:a, b:1:r#1"]}`, status: 200,
			want: `{"replayed":[{"id":"d","status":"accepted","job_id":"t:booking:1"}]}`, asked: `replay ["d" "t:booking:a, b:1:r#1"]`,
		},
		{
			name: "replay all", method: "POST", path: "replay", contentType: "application/json; charset=utf-8", body: `{"all":true}`, status: 200,
			want: `{"replayed":[{"id":"d","status":"accepted","job_id":"t:booking:1"}]}`, asked: "replay []",
		},
		{name: "doctor", method: "GET", path: "doctor", status: 200, want: `{"checks":[{"name":"rules","health":"ok","says":"t"}]}`, asked: "doctor"},

		{
			name: "catch up", method: "POST", path: "catchup", contentType: jsonType, body: `{"since":"2026-01-01T00:00:00Z","trigger":"kisi"}`, status: 200,
			want:  `{"caught_up":[{"trigger":"kisi","from":"2026-01-01T00:00:00Z","until":"2026-01-01T01:00:00Z","read":3,"new":1,"duplicates":2,"failed":0}]}`,
			asked: `catchup 2026-01-01T00:00:00Z "kisi"`,
		},
		{
			name: "catch up too far", method: "POST", path: "catchup", contentType: jsonType, body: `{"since":"2026-01-01T00:00:00Z","trigger":"old"}`, status: 422,
			want: `{"type":"urn:doorhook:problem:too-far-back","title":"Too far back","status":422,"detail":"too far back: by far"}`, asked: `catchup 2026-01-01T00:00:00Z "old"`,
		},
		{
			name: "catch up with no Kisi", method: "POST", path: "catchup", contentType: jsonType, body: `{"since":"2026-01-01T00:00:00Z","trigger":"json"}`, status: 422,
			want:  `{"type":"urn:doorhook:problem:not-kisi","title":"Not a trigger of Kisi","status":422,"detail":"there is no such trigger that Kisi calls: catching up is for rule files with from: kisi whose auth has a key that is set"}`,
			asked: `catchup 2026-01-01T00:00:00Z "json"`,
		},
		{name: "catch up since when?", method: "POST", path: "catchup", contentType: jsonType, body: `{"trigger":"kisi"}`, status: 400, want: badCatchup},
		{name: "catch up by a form", method: "POST", path: "catchup", contentType: formType, body: `{"since":"2026-01-01T00:00:00Z"}`, status: 415, want: wrongType},
		{name: "replay what?", method: "POST", path: "replay", contentType: jsonType, status: 400, want: badReplay},
		{name: "replay nothing", method: "POST", path: "replay", contentType: jsonType, body: `{}`, status: 400, want: badReplay},
		{name: "replay an empty list", method: "POST", path: "replay", contentType: jsonType, body: `{"ids":[]}`, status: 400, want: badReplay},
		{name: "replay one and all", method: "POST", path: "replay", contentType: jsonType, body: `{"ids":["d"],"all":true}`, status: 400, want: badReplay},
		{name: "replay not JSON", method: "POST", path: "replay", contentType: jsonType, body: `all`, status: 400, want: badReplay},
		{name: "replay by a form", method: "POST", path: "replay", contentType: formType, body: `{"all":true}`, status: 415, want: wrongType},
		{name: "replay by plain text", method: "POST", path: "replay", contentType: "text/plain", body: `{"all":true}`, status: 415, want: wrongType},
		{name: "replay untyped", method: "POST", path: "replay", body: `{"all":true}`, status: 415, want: wrongType},
		{name: "limit 0", method: "GET", path: "jobs?limit=0", status: 400, want: badLimit},
		{name: "limit 1001", method: "GET", path: "events?limit=1001", status: 400, want: badLimit},
		{name: "limit x", method: "GET", path: "dead?limit=x", status: 400, want: badLimit},
		{
			name: "another state", method: "GET", path: "jobs?state=dead", status: 400,
			want: `{"type":"urn:doorhook:problem:unreadable","title":"Unreadable request","status":400,"detail":"the query parameter state is waiting, or left out"}`,
		},
		{
			name: "before what?", method: "GET", path: "events?before=-", status: 400,
			want: `{"type":"urn:doorhook:problem:unreadable","title":"Unreadable request","status":400,"detail":"the query parameter before is the id of a listed event"}`,
		},
		{name: "the store is away", method: "GET", path: "dead", office: down, status: 503, want: storeAway, asked: "letters 50"},
		{name: "the store is away from a job", method: "GET", path: "jobs/x", office: down, status: 503, want: storeAway, asked: "job x"},
		{name: "the store is slow", method: "GET", path: "events", office: slow, status: 503, want: storeAway, asked: `events "" 50`},
		{name: "no GET replays", method: "GET", path: "replay?all=true", status: 405, want: notAllowed},
		{name: "no POST reads", method: "POST", path: "jobs", contentType: jsonType, body: "{}", status: 405, want: notAllowed},
		{name: "nothing there", method: "GET", path: "nothing", status: 404, want: `{"type":"about:blank","title":"Not Found","status":404,"detail":"there is nothing here; triggers are at /hooks/ and their name"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.office
			if o == nil {
				o = &office{}
			}
			o.asked = nil
			s := startOffice(t, o, adminToken)
			r := s.do(t, tt.method, "/api/v1/"+tt.path, tt.contentType, tt.body, "Authorization", "Bearer "+adminToken, "Origin", "https://elsewhere.example")
			if asked := strings.Join(o.asked, ", "); r.status != tt.status || r.body != tt.want || asked != tt.asked {
				t.Errorf("got  %d %s, having asked %q\nwant %d %s, %q", r.status, r.body, asked, tt.status, tt.want, tt.asked)
			}
			if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("headers %v", r.header)
			}
			if tt.status == 503 && r.header.Get("Retry-After") != "2" || tt.status == 405 && r.header.Get("Allow") == "" {
				t.Errorf("headers %v", r.header)
			}
		})
	}
}

var operatorRoutes = []struct{ method, path string }{
	{"GET", "/api/v1/jobs"},
	{"GET", "/api/v1/jobs/x"},
	{"GET", "/api/v1/events"},
	{"GET", "/api/v1/dead"},
	{"POST", "/api/v1/replay"},
	{"POST", "/api/v1/catchup"},
	{"GET", "/api/v1/doctor"},
	{"GET", "/api/"},
	{"GET", "/api/v2/anything"},
	{"DELETE", "/api/v1/jobs"},
	{"OPTIONS", "/api/v1/jobs"},
}

func TestOnlyAnOperatorMayAsk(t *testing.T) {
	o := &office{}
	s := startOffice(t, o, adminToken)
	for _, route := range operatorRoutes {
		for name, header := range map[string][]string{
			"nothing":         nil,
			"another token":   {"Authorization", "Bearer " + adminToken + "x"},
			"a part of it":    {"Authorization", "Bearer " + adminToken[:4]},
			"an empty one":    {"Authorization", "Bearer "},
			"another scheme":  {"Authorization", "Basic " + adminToken},
			"two tokens":      {"Authorization", "Bearer " + adminToken, "Authorization", "Bearer " + adminToken},
			"another header":  {"X-Token", adminToken},
			"a trigger's own": {"Authorization", "Bearer " + canary},
		} {
			r := s.do(t, route.method, route.path, jsonType, `{"all":true}`, header...)
			if r.status != 401 || r.header.Get("Www-Authenticate") != "Bearer" || !strings.Contains(r.body, "DOORHOOK_ADMIN_TOKEN") {
				t.Errorf("%s %s with %s: %d %v %s", route.method, route.path, name, r.status, r.header, r.body)
			}
		}
	}
	if len(o.asked) > 0 {
		t.Errorf("strangers asked for %v", o.asked)
	}
	if r := s.do(t, "GET", "/api/v1/doctor", "", "", "authorization", "bearer  "+adminToken); r.status != 200 {
		t.Errorf("a scheme in small letters: %d", r.status)
	}
	if strings.Contains(s.log.String(), adminToken) {
		t.Errorf("the log holds the token: %s", s.log)
	}
}

// A web page in a browser reaches a doorhook on loopback. Without a token it gets nothing.
func TestWithoutAdminTokenNobodyMayAsk(t *testing.T) {
	for _, token := range []relay.Secret{"", " \n"} {
		o := &office{}
		s := startOffice(t, o, token)
		for _, route := range operatorRoutes {
			for _, header := range [][]string{nil, {"Authorization", "Bearer "}, {"Authorization", "Bearer " + strings.TrimSpace(token.Reveal()) + " "}} {
				r := s.do(t, route.method, route.path, jsonType, `{"all":true}`, header...)
				if r.status != 403 || !strings.Contains(r.body, "set DOORHOOK_ADMIN_TOKEN") || !strings.Contains(r.body, "urn:doorhook:problem:no-admin-token") {
					t.Errorf("%s %s: %d %s", route.method, route.path, r.status, r.body)
				}
			}
		}
		if len(o.asked) > 0 {
			t.Errorf("strangers asked for %v", o.asked)
		}
	}
}

// Files with secrets end in a line break, which no header can hold.
func TestAdminTokenIsTrimmed(t *testing.T) {
	s := startOffice(t, &office{}, adminToken+"\n")
	if r := s.do(t, "GET", "/api/v1/doctor", "", "", "Authorization", "Bearer "+adminToken); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestStrangersGetNoRoomInTheAPI refuses a stranger's body before it has come.
func TestStrangersGetNoRoomInTheAPI(t *testing.T) {
	s := startOffice(t, &office{}, adminToken)
	for head, want := range map[string]int{"": 401, "Authorization: Bearer " + adminToken + "\r\n": 200} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		body := `{"ids":["` + strings.Repeat("x", 100_000) + `"]}`
		fmt.Fprintf(conn, "POST /api/v1/replay HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n", head, len(body))
		if head != "" { // the stranger's answer comes without its body
			fmt.Fprint(conn, body)
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q: %v", head, err)
		} else if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%q: answered %d, want %d", head, resp.StatusCode, want)
		}
		conn.Close()
	}
}

func TestOperatorErrorsAreNotShown(t *testing.T) {
	s := startOffice(t, &office{err: errors.New("secret-host"), empty: true}, adminToken)
	r := s.do(t, "GET", "/api/v1/dead", "", "", "Authorization", "Bearer "+adminToken)
	if r.status != 500 || strings.Contains(r.body, "secret-host") || !strings.Contains(s.log.String(), "secret-host") {
		t.Errorf("%d %s; log: %s", r.status, r.body, s.log)
	}
}
