package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections() // the tests' own
	err := goleak.Find(
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),             // fasthttp's clock never stops
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"), // it may sleep for a second after Close
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Canaries: none of these may ever be seen outside a request to whom it belongs.
const (
	canaryToken    = "canary-hook-token"
	canaryKey      = "canary-kisi-key"
	canaryPassword = "canary-kisi-password"
)

const noServer = "redis-server is not installed: apt-get install redis-server"

// redisBinary is the real server, which CI must have.
func redisBinary(t testing.TB) (string, bool) {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(noServer)
	}
	return bin, err == nil
}

// redises are what a story runs on.
func redises(t testing.TB) map[string]func(t testing.TB) string {
	t.Helper()
	all := map[string]func(t testing.TB) string{"embedded": func(testing.TB) string { return "" }}
	if bin, ok := redisBinary(t); ok {
		all["redis"] = func(t testing.TB) string { return startRedis(t, bin).url }
	} else {
		t.Log(noServer, "(this runs on the embedded Redis alone)")
	}
	return all
}

// realRedis is for stories that need a server of its own.
func realRedis(t *testing.T, args ...string) redisServer {
	t.Helper()
	bin, ok := redisBinary(t)
	if !ok {
		t.Skip(noServer)
	}
	return startRedis(t, bin, args...)
}

// waitFor waits for what comes at once on an idle machine, and gives a busy one time.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come within two minutes", what)
}

// house is a running doorhook with a pretend Kisi behind it.
type house struct {
	t    *testing.T
	fake *kisifake.Server
	url  string
	log  *safeBuffer
	stop func()

	settings Settings
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const testRules = `
trigger: t
auth: [{bearer: "${env.DOORHOOK_TOKEN}"}]
timezone: UTC
id: payload.event
booking: payload.booking
version: payload.version
cancelled: payload.status == "cancelled"
let:
  start: time(payload.start)
  end: time(payload.end)
respond:
  title: ${payload.title}
rules:
  - name: link
    when: payload.email != nil
    do: [{group_link: {group_id: 32693, name: "Booking ${payload.booking}", email: "${payload.email}", valid_from: "${start}", valid_until: "${end}"}}]
  - name: door
    when: payload.lock != nil
    do: [{schedule: {lock_id: "${payload.lock}", starts_at: "${start}", ends_at: "${end}"}}]
  - name: group
    when: payload.group != nil
    do: [{schedule: {group_id: "${payload.group}", starts_at: "${start}", ends_at: "${end}"}}]
  - name: front
    when: payload.front == true
    do: [{schedule: {lock_id: 22290, name: Front door, starts_at: "${start}", ends_at: "${end}"}}]
  - name: unlock
    when: payload.unlock != nil
    at: now() + duration(payload.after ?? "0s")
    do: [{unlock: {lock_id: "${payload.unlock}"}}]
  - name: broken
    when: payload.broken != nil && payload.broken.deep.down
    do: [{unlock: {lock_id: 1}}]
`

// startHouse starts a house; edit may change its settings before.
func startHouse(t *testing.T, redis string, edit ...func(*Settings, *kisifake.Options)) *house {
	t.Helper()
	h := &house{t: t, log: &safeBuffer{}}
	opts := kisifake.Options{Key: canaryKey, Rate: -1}
	s := Settings{
		Rules: fstest.MapFS{"t.yaml": {Data: []byte(testRules)}}, RulesDir: "rules",
		Getenv: func(string) string { return canaryToken }, Listen: "127.0.0.1:0", Redis: redis, Version: "test",
		Kisi: Kisi{APIKey: canaryKey, Integration: "Skedda"}, Log: slog.New(slog.NewJSONHandler(h.log, nil)),
	}
	for _, e := range edit {
		e(&s, &opts)
	}
	h.fake = kisifake.New(opts)
	url, err := h.fake.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.fake.Close)
	s.Kisi.URL = url
	h.settings = s
	h.start()
	t.Cleanup(h.checkCanaries)
	return h
}

// start runs a doorhook until the test ends or h.stop is called.
func (h *house) start() {
	h.t.Helper()
	a, err := New(h.t.Context(), h.settings)
	if err != nil {
		h.t.Fatal(err)
	}
	h.url = a.URL()
	h.stop = run(h.t, a)
	h.t.Cleanup(h.stop)
}

// run runs a until stop is called.
func run(t testing.TB, a *App) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// checkCanaries greps for secrets in everything that was logged and recorded.
func (h *house) checkCanaries() {
	seen := h.log.String()
	for _, c := range h.fake.Journal() {
		seen += fmt.Sprintf("%+v", c)
	}
	for _, canary := range []string{canaryToken, canaryKey, canaryPassword} {
		if i := strings.Index(seen, canary); i >= 0 {
			h.t.Errorf("%s is in a log or a record: …%s…", canary, seen[max(0, i-100):i])
		}
	}
}

// post sends an event and gives the answer.
func (h *house) post(path string, payload map[string]any) (int, map[string]any) {
	h.t.Helper()
	body, err := json.Marshal(payload)
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+canaryToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if strings.Contains(string(text), "canary") {
		h.t.Errorf("a secret in an answer: %s", text)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		h.t.Fatalf("%d %q: %v", resp.StatusCode, text, err)
	}
	return resp.StatusCode, answer
}

// settle sends an event, waits for its actions, and checks the status.
func (h *house) settle(want relay.Status, payload map[string]any) map[string]any {
	h.t.Helper()
	code, answer := h.post("/hooks/t?wait=20", payload)
	if code != http.StatusOK || answer["status"] != string(want) {
		h.t.Fatalf("answered %d %v, want %s\n%s", code, answer, want, h.log)
	}
	return answer
}

// booking is a booking of tomorrow, from hour to hour.
func booking(version, from, to int, more ...any) map[string]any {
	return bookingOf("b1", version, from, to, more...)
}

func bookingOf(id string, version, from, to int, more ...any) map[string]any {
	day := time.Now().UTC().AddDate(0, 0, 1).Truncate(24 * time.Hour)
	p := map[string]any{
		"booking": id, "version": version,
		"start": day.Add(time.Duration(from) * time.Hour).Format(time.RFC3339), "end": day.Add(time.Duration(to) * time.Hour).Format(time.RFC3339),
	}
	for i := 0; i+1 < len(more); i += 2 {
		p[more[i].(string)] = more[i+1]
	}
	return p
}

// stands checks how many objects there are in Kisi.
func (h *house) stands(links, schedules int) {
	h.t.Helper()
	if l, s := h.fake.GroupLinks(), h.fake.Schedules(); len(l) != links || len(s) != schedules {
		h.t.Errorf("in Kisi are %d links and %d schedules, want %d and %d:\n%+v\n%+v\n%s", len(l), len(s), links, schedules, l, s, h.log)
	}
}

// asked are the requests that Kisi got since the last call, as METHOD /path.
func (h *house) asked(from int) []string {
	var out []string
	for _, c := range h.fake.Journal()[from:] {
		out = append(out, c.Method+" "+strings.TrimRight(c.Path, "0123456789"))
	}
	return out
}
