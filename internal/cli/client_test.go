package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"doorhook/internal/relay"

	"github.com/alicebob/miniredis/v2"
)

const canary = "c4n4ry-admin"

// site is what a doorhook that is asked would answer, and what it was asked.
type site struct {
	*httptest.Server
	asked []string
}

func startSite(t *testing.T, answer http.HandlerFunc) *site {
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
		if r.Header.Get("Authorization") != "Bearer "+canary {
			t.Errorf("Authorization: %q", r.Header.Get("Authorization"))
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// said is what a command printed.
type said struct {
	code     int
	out, err string
}

func (s *site) command(t *testing.T, args ...string) said {
	t.Helper()
	return command(t, map[string]string{"DOORHOOK_URL": s.URL, "DOORHOOK_ADMIN_TOKEN": canary + "\n"}, args...)
}

func command(t *testing.T, env map[string]string, args ...string) said {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(t.Context(), args, Env{Out: &out, Err: &errs, Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if strings.Contains(out.String()+errs.String(), canary) {
		t.Errorf("it prints the token: %s%s", &out, &errs)
	}
	return said{code, out.String(), errs.String()}
}

func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}
}

func refuses(status int, kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

func TestWhatIsAsked(t *testing.T) {
	const id = "t:booking:a/b?c#d %2F../é"
	tests := []struct {
		args  []string
		asked string
	}{
		{[]string{"jobs"}, "GET /api/v1/jobs?limit=50"},
		{[]string{"jobs", "list", "--limit", "3"}, "GET /api/v1/jobs?limit=3"},
		{[]string{"jobs", "--waiting"}, "GET /api/v1/jobs?limit=50&state=waiting"},
		{[]string{"jobs", "show", id}, "GET /api/v1/jobs/" + url.PathEscape(id)},
		{[]string{"events", "--limit", "1000"}, "GET /api/v1/events?limit=1000"},
		{[]string{"dead"}, "GET /api/v1/dead?limit=50"},
		{[]string{"replay", "--all"}, "POST /api/v1/replay"},
		{[]string{"catchup", "--since", "2026-10-09T12:00:00Z"}, "POST /api/v1/catchup"},
		{[]string{"doctor"}, "GET /api/v1/doctor"},
	}
	for _, tt := range tests {
		s := startSite(t, answers(`{"jobs":[],"job":{"id":"x"},"events":[],"dead":[],"replayed":[],"caught_up":[],"checks":[]}`))
		if got := s.command(t, tt.args...); got.code != 0 || strings.Join(s.asked, ", ") != tt.asked {
			t.Errorf("%q asked for %q, want %q; %+v", tt.args, s.asked, tt.asked, got)
		}
	}
}

func TestReplaySaysWhat(t *testing.T) {
	for want, args := range map[string][]string{`{"all":true}`: {"--all"}, `{"ids":["a,b","t:c:1:r#1"]}`: {"a,b", "t:c:1:r#1"}} {
		var body bytes.Buffer
		s := startSite(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = body.ReadFrom(r.Body)
			if kind := r.Header.Get("Content-Type"); kind != "application/json" {
				t.Errorf("content type %q", kind)
			}
			answers(`{"replayed":[]}`)(w, r)
		})
		if got := s.command(t, append([]string{"replay"}, args...)...); got.code != 0 || body.String() != want || got.out != "no dead letters\n" {
			t.Errorf("sent %s, want %s; %+v", &body, want, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	const problem = "application/problem+json"
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"another token", refuses(401, problem, `{"title":"Not authorized","detail":"the admin token is missing or wrong"}`), "answered 401 (the admin token is missing or wrong); set DOORHOOK_ADMIN_TOKEN here"},
		{"no token there", refuses(403, problem, `{"detail":"set DOORHOOK_ADMIN_TOKEN where it runs"}`), "answered 403 (set DOORHOOK_ADMIN_TOKEN where it runs)"},
		{"no Redis there", refuses(503, problem, `{"detail":"the store cannot be reached; ask again"}`), "answered 503 (the store cannot be reached; ask again)"},
		{"a proxy's page", refuses(502, "text/html", "<h1>Bad gateway</h1>"), "answered 502 (Bad Gateway); that is not how doorhook answers: check DOORHOOK_URL"},
		{"another program", refuses(404, "text/plain", "404 page not found"), "check DOORHOOK_URL"},
		{"another program's JSON", answers(`[]`), "something that is not doorhook's: check DOORHOOK_URL"},
		{"another program's object", answers(`{"hello":"world"}`), "the answer has no dead as this doorhook knows them"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}, "answered 302 (Found); the admin token is not sent on"},
		{"an end in between", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, "no answer from http://127.0.0.1"},
		{"a terminal's language", refuses(500, problem, `{"detail":"\u001b]0;x\u0007\u009b31m\nforged line"}`), "answered 500 (\uFFFD]0;x\uFFFD\uFFFD31m; forged line)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startSite(t, tt.answer)
			got := s.command(t, "dead")
			if got.code != exitFailed || got.out != "" || !strings.Contains(got.err, tt.want) || strings.Count(got.err, "\n") != 1 || len(s.asked) != 1 {
				t.Errorf("%+v, want %q", got, tt.want)
			}
		})
	}
}

func TestWhereNotToAsk(t *testing.T) {
	for address, want := range map[string]string{
		"http://doorhook.example":        "plain http to another machine",
		"http://10.0.0.1:8080":           "plain http to another machine",
		"http://localhost.example":       "plain http to another machine",
		"http://127.0.0.1.example":       "plain http to another machine",
		"ftp://doorhook.example":         "has to look like",
		"doorhook.example:8080":          "has to look like",
		"https://":                       "has to look like",
		"https://user:pw@doorhook.local": "has to look like",
		"https://doorhook.example/?a=b":  "has to look like",
		"":                               "say which doorhook to ask",
	} {
		got := command(t, map[string]string{"DOORHOOK_URL": address, "DOORHOOK_ADMIN_TOKEN": canary}, "jobs")
		if got.code != exitUsage || !strings.Contains(got.err, want) || strings.Contains(got.err, "pw") {
			t.Errorf("%q: %+v, want %q", address, got, want)
		}
	}
	for _, address := range []string{"http://localhost:1", "http://127.0.0.1:1/under/a/path", "http://[::1]:1", "https://doorhook.example"} {
		if _, err := newClient(address, canary); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if got := command(t, map[string]string{"DOORHOOK_URL": "http://127.0.0.1:1", "DOORHOOK_ADMIN_TOKEN": " \n"}, "jobs"); got.code != exitUsage || !strings.Contains(got.err, "set DOORHOOK_ADMIN_TOKEN") {
		t.Errorf("a blank token: %+v", got)
	}
}

// TestUnderAPath asks behind a proxy that gives doorhook a part of its addresses.
func TestUnderAPath(t *testing.T) {
	s := startSite(t, answers(`{"events":[]}`))
	if got := command(t, map[string]string{"DOORHOOK_URL": s.URL + "/doors/", "DOORHOOK_ADMIN_TOKEN": canary}, "events"); got.code != 0 || s.asked[0] != "GET /doors/api/v1/events?limit=50" {
		t.Errorf("asked for %q; %+v", s.asked, got)
	}
}

// TestNotWhole prints what there is, and what keeps it from being whole.
func TestNotWhole(t *testing.T) {
	s := startSite(t, answers(`{"replayed":[{"id":"d","status":"accepted"}],"error":"replayed 1 of 2: the store cannot be reached"}`))
	got := s.command(t, "replay", "--all")
	if got.code != exitFailed || !strings.Contains(got.out, "d            accepted") || !strings.Contains(got.err, "replayed 1 of 2") {
		t.Errorf("%+v", got)
	}
	got = s.command(t, "replay", "--all", "--json")
	if got.code != exitFailed || got.out != `{"error":"replayed 1 of 2: the store cannot be reached","replayed":[{"id":"d","status":"accepted"}]}`+"\n" {
		t.Errorf("%+v", got)
	}
}

func TestNoAnswerInTime(t *testing.T) {
	c, err := newClient("http://127.0.0.1:1", canary)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.unanswered(&url.Error{Op: "Get", URL: "x", Err: context.DeadlineExceeded}); err.Error() != "no answer from http://127.0.0.1:1 within 30s" {
		t.Error(err)
	}
	if err := c.unanswered(&url.Error{Op: "Get", URL: "x", Err: context.Canceled}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if c.http.Timeout != 30*time.Second {
		t.Errorf("it waits for %s", c.http.Timeout)
	}
}

// evil is what a sender may call its booking: it clears the screen, sets the title,
// forges a line, and turns the direction of writing around.
const evil = "b\x1b[2J\x1b]0;x\a\u009b31m\r\nforged\t\u202e\u2028\x7f\u0000'; rm -rf /"

// TestSendersCannotWriteToTheTerminal puts evil wherever a sender may have chosen
// the text, and looks at every byte that comes out.
func TestSendersCannotWriteToTheTerminal(t *testing.T) {
	text, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	answer := strings.ReplaceAll(`{
		"jobs": [{"id": EVIL, "trigger": "t", "booking": EVIL, "event_id": EVIL}],
		"job": {"id": EVIL, "trigger": EVIL, "booking": EVIL, "event_id": EVIL,
			"want": [{"key": "r", "rule": EVIL, "kind": "group_link", "args": {"email": EVIL}}],
			"have": [{"action": {"key": "r", "kind": "group_link"}, "state": "failed", "error": EVIL}, {"action": {"key": "x", "rule": EVIL, "kind": EVIL}, "object": 1, "error": EVIL}],
			"attempts": [{"action": EVIL, "step": EVIL, "result": EVIL, "error": EVIL, "times": 2}]},
		"events": [{"id": EVIL, "trigger": EVIL, "event_id": EVIL, "status": EVIL, "job_id": EVIL, "rules": EVIL, "event": {"payload": EVIL}}],
		"dead": [{"id": EVIL, "cause": EVIL, "trigger": EVIL, "rule": EVIL, "error": EVIL}],
		"replayed": [{"id": EVIL, "status": EVIL, "job_id": EVIL, "note": EVIL}],
		"checks": [{"name": EVIL, "health": EVIL, "says": EVIL, "advice": EVIL}],
		"error": EVIL
	}`, "EVIL", string(text))
	s := startSite(t, answers(answer))
	for _, args := range [][]string{{"jobs"}, {"jobs", "--waiting"}, {"jobs", "show", evil}, {"events"}, {"dead"}, {"replay", "--all"}, {"doctor"}} {
		for _, asJSON := range []bool{false, true} {
			if asJSON {
				args = append(args, "--json")
			}
			got := s.command(t, args...)
			if got.out == "" {
				t.Errorf("%q prints nothing: %s", args, got.err)
			}
			for _, printed := range []string{got.out, got.err} {
				if i := strings.IndexFunc(printed, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
					t.Errorf("%q prints %q", args, printed[max(0, i-20):i+1])
				}
				for line := range strings.Lines(printed) {
					if strings.HasPrefix(line, "forged") {
						t.Errorf("%q prints a line of the sender's", args)
					}
				}
			}
			if asJSON && !json.Valid([]byte(got.out)) {
				t.Errorf("%q prints no JSON: %s", args, got.out)
			}
		}
	}
	var back struct{ Dead []relay.DeadLetter }
	if err := json.Unmarshal([]byte(s.command(t, "dead", "--json").out), &back); err != nil || back.Dead[0].ID != evil {
		t.Errorf("what is escaped reads as something else: %+v %v", back.Dead, err)
	}
	refused := startSite(t, refuses(404, "application/problem+json", `{"type":"urn:doorhook:problem:unknown-job"}`))
	if got := refused.command(t, "jobs", "show", evil); got.code != exitFailed || strings.ContainsAny(got.err, "\x1b\u009b") || !strings.Contains(got.err, "there is no job b") {
		t.Errorf("%+v", got)
	}
}

// TestCatchup sends the time that a length of time means, and refuses as usage what
// doorhook does not do.
func TestCatchup(t *testing.T) {
	var asked struct {
		Since   time.Time
		Trigger string
	}
	s := startSite(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		answers(`{"caught_up":[{"trigger":"kisi","from":"2026-10-09T12:00:00Z","until":"2026-10-09T13:00:00Z","read":3,"new":1,"duplicates":2,"failed":0}]}`)(w, r)
	})
	got := s.command(t, "catchup", "--since", "2d", "--trigger", "kisi")
	if ago := time.Since(asked.Since); got.code != 0 || asked.Trigger != "kisi" || ago < 47*time.Hour || ago > 49*time.Hour {
		t.Errorf("asked since %s for %q; %+v", asked.Since, asked.Trigger, got)
	}
	const line = "kisi"
	if !strings.HasPrefix(got.out, "TRIGGER") || !strings.Contains(got.out, line) || !strings.Contains(got.out, "  3 ") {
		t.Errorf("printed %s", got.out)
	}
	failing := startSite(t, answers(`{"caught_up":[{"trigger":"kisi","read":3,"failed":1}]}`))
	if got := failing.command(t, "catchup", "--since", "1h"); got.code != 1 || !strings.Contains(got.err, "1 event could not be taken in") {
		t.Errorf("one failed: %+v", got)
	}
	for _, kind := range []string{"too-far-back", "not-kisi"} {
		s := startSite(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintf(w, `{"type":"urn:doorhook:problem:%s","detail":"too far back: the dedup window is 7d"}`, kind)
		})
		if got := s.command(t, "catchup", "--since", "30d"); got.code != 2 || kind == "too-far-back" && got.err != "doorhook: too far back: the dedup window is 7d\n" {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	for _, since := range []string{"yesterday", "-1h", "2026-10-09", "2999-01-01T00:00:00Z", ""} {
		if got := s.command(t, "catchup", "--since", since); got.code != 2 {
			t.Errorf("since %q: %+v", since, got)
		}
	}
}

func TestInterval(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "off": 0, "30m": 30 * time.Minute, "1d": 24 * time.Hour, "-1h": -1, "never": -1, "": -1} {
		var i interval
		if err := i.UnmarshalText([]byte(text)); (err == nil) != (want >= 0) || err == nil && time.Duration(i) != want {
			t.Errorf("%q: %s (%v)", text, time.Duration(i), err)
		}
	}
}

// TestDoctorKnowsHowMuchMayWait also straight at Redis.
func TestDoctorKnowsHowMuchMayWait(t *testing.T) {
	m := miniredis.RunT(t)
	for _, name := range []string{"t:event:1", "t:event:2"} {
		if _, err := m.ZAdd("{doorhook}:due", 200_000_000_000, name); err != nil { // since 1976
			t.Fatal(err)
		}
	}
	env := map[string]string{"DOORHOOK_REDIS": "redis://" + m.Addr(), "DOORHOOK_MAX_WAITING_AGE": "off"}
	for most, health := range map[string]string{"": "ok", "0": "ok", "3": "ok", "2": "failed"} {
		env["DOORHOOK_MAX_WAITING"] = most
		got := command(t, env, "doctor")
		if !regexp.MustCompile(`(?m)^` + health + ` +waiting work +2 jobs`).MatchString(got.out) {
			t.Errorf("%q may wait, want %s: %+v", most, health, got)
		}
	}
}
