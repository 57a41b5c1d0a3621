package store

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

const noServer = "redis-server is not on the PATH: install it (Debian: apt-get install redis-server) " +
	"to run the store's tests on the Redis that production uses"

// shared is the one real server that most tests use, each with its own prefix.
var shared struct {
	sync.Once
	server *server
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if shared.server != nil {
			shared.server.kill()
			os.RemoveAll(shared.server.dir)
		}
		os.Exit(code)
	}))
}

// server is a redis-server of this test's own, ended by its process id.
type server struct {
	bin, dir string
	port     int
	args     []string
	cmd      *exec.Cmd
}

func (s *server) url() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", s.port) }

func newServer(dir string, args ...string) (*server, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return &server{bin: bin, dir: dir, port: l.Addr().(*net.TCPAddr).Port, args: args}, nil
}

func (s *server) start() error { return s.startWith("--save", "") }

// startWith takes what comes first on the command line; a configuration file must.
func (s *server) startWith(first ...string) error {
	args := append(first, "--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--logfile", filepath.Join(s.dir, "log"), "--daemonize", "no")
	s.cmd = exec.Command(s.bin, append(args, s.args...)...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", s.port), MaintNotificationsConfig: noNotices()})
	defer rdb.Close()
	var err error
	for range 200 {
		if err = rdb.Ping(context.Background()).Err(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("redis-server does not answer: %w", err)
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func needServer(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(noServer)
	}
	t.Skip(noServer)
}

// ownServer is for tests that end, fill or reconfigure it.
func ownServer(t testing.TB, args ...string) *server {
	t.Helper()
	needServer(t)
	s, err := newServer(t.TempDir(), args...)
	if err == nil {
		t.Cleanup(s.kill)
		err = s.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sharedServer(t testing.TB) string {
	t.Helper()
	needServer(t)
	var err error
	shared.Do(func() {
		var dir string
		if dir, err = os.MkdirTemp("", "doorhook-redis-"); err != nil {
			return
		}
		if shared.server, err = newServer(dir, "--appendonly", "yes", "--appendfsync", "no"); err == nil {
			err = shared.server.start()
		}
	})
	if err != nil || shared.server == nil {
		t.Fatalf("shared redis-server: %v", err)
	}
	return shared.server.url()
}

// each runs a test on the embedded kind of Redis and on the real one.
func each(t *testing.T, f func(t *testing.T, b *bed)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		m.ClockTTL(true)
		f(t, newBed(t, "redis://"+m.Addr()))
	})
	t.Run("redis", func(t *testing.T) {
		f(t, newBed(t, sharedServer(t)))
	})
}

var beds atomic.Int64

// bed is a place in one Redis that one test has for itself, with its own clock.
type bed struct {
	url, prefix string
	clock       *testClock
	rdb         *redis.Client // to look past the store
}

func newBed(t testing.TB, url string) *bed {
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.MaintNotificationsConfig = noNotices()
	rdb := redis.NewClient(o)
	t.Cleanup(func() { rdb.Close() })
	return &bed{url: url, prefix: fmt.Sprintf("t%d", beds.Add(1)), clock: newTestClock(), rdb: rdb}
}

func (b *bed) options() Options {
	return Options{URL: b.url, Prefix: b.prefix, Now: b.clock.Now}
}

func (b *bed) open(t testing.TB) *Store { return open(t, b.options()) }

func (b *bed) key(rest string) string { return "{" + b.prefix + "}:" + rest }

func (b *bed) all(t testing.TB) []string {
	t.Helper()
	var names []string
	for iter := b.rdb.Scan(ctx, 0, b.key("*"), 1000).Iterator(); iter.Next(ctx); {
		if iter.Val() != b.key("ping") {
			names = append(names, strings.TrimPrefix(iter.Val(), b.key("")))
		}
	}
	return names
}

// records is what the list of events says, oldest first.
func (b *bed) records(t testing.TB) []map[string]any {
	t.Helper()
	entries, err := b.rdb.XRange(ctx, b.key("events"), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]map[string]any, len(entries))
	for i, e := range entries {
		out[i] = e.Values
	}
	return out
}

func (b *bed) statuses(t testing.TB) string {
	t.Helper()
	var out []string
	for _, r := range b.records(t) {
		status, _, _ := strings.Cut(r["head"].(string), " ")
		out = append(out, status)
	}
	return strings.Join(out, " ")
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

var ctx = context.Background()

type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func newTestClock() *testClock {
	return &testClock{t: time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// The words of the tests.

func event(id string) relay.Event {
	return relay.Event{
		ID: id, Trigger: "skedda", ReceivedAt: time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC),
		Payload: map[string]any{"name": "Ada"}, Headers: map[string]any{"X-Secret": "canary"},
	}
}

func action(rule, args string) relay.Action {
	return relay.Action{Key: rule + "/0", Rule: rule, Kind: relay.Unlock, Args: []byte(args)}
}

func match(rule, args string) relay.Match {
	return relay.Match{Rule: rule, Actions: []relay.Action{action(rule, args)}}
}

func version(v float64) *float64 { return new(v) }

// booking is a plan for booking b1 in which rule "open" wants args.
func booking(eventID string, v *float64, args string) relay.Plan {
	p := relay.Plan{EventID: eventID, Booking: "b1", Version: v}
	if args != "" {
		p.Rules = []relay.Match{match("open", args)}
	}
	return p
}

func cancel(eventID string, v *float64) relay.Plan {
	return relay.Plan{EventID: eventID, Booking: "b1", Version: v, Cancelled: true}
}

const b1 = "skedda:booking:b1"

func accept(t testing.TB, s *Store, p relay.Plan) relay.Receipt {
	t.Helper()
	r, err := s.Accept(ctx, event(p.EventID), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func claim(t testing.TB, s *Store, n int) relay.Claim {
	t.Helper()
	c, err := s.Claim(ctx, relay.Doors, n)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func claimOne(t testing.TB, s *Store) relay.Job {
	t.Helper()
	c := claim(t, s, 10)
	if len(c.Jobs) != 1 {
		t.Fatalf("claimed %d jobs, want 1", len(c.Jobs))
	}
	return c.Jobs[0]
}

func claimNone(t testing.TB, s *Store) relay.Claim {
	t.Helper()
	c := claim(t, s, 10)
	if len(c.Jobs) != 0 {
		t.Fatalf("claimed %d jobs, want none", len(c.Jobs))
	}
	return c
}

func finish(t testing.TB, s *Store, j relay.Job, next time.Time, letters ...relay.DeadLetter) {
	t.Helper()
	if err := s.Finish(ctx, j, next, letters); err != nil {
		t.Fatal(err)
	}
}

func job(t testing.TB, s *Store, id string) relay.Job {
	t.Helper()
	j, ok, err := s.Job(ctx, id)
	if err != nil || !ok {
		t.Fatalf("job %s: found %v, error %v", id, ok, err)
	}
	return j
}

// want is what a job wants, as text.
func want(j relay.Job) string {
	var out []string
	for _, a := range j.Want {
		out = append(out, a.Rule+string(a.Args))
	}
	return strings.Join(out, " ")
}
