package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

// onEach runs a story on the embedded Redis and on a real one.
func onEach(t *testing.T, story func(t *testing.T, redis string)) {
	for name, url := range redises(t) {
		t.Run(name, func(t *testing.T) { story(t, url(t)) })
	}
}

// TestBookingFollowed is the main job: made, repeated, moved, shrunk, cancelled.
func TestBookingFollowed(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis)
		steps := []struct {
			name             string
			payload          map[string]any
			status           relay.Status
			asked            []string
			links, schedules int
		}{
			{"made", booking(1, 10, 11, "email", "a@example.com", "lock", 22281), relay.Finished, []string{"POST /group_links", "POST /schedules"}, 1, 1},
			{"the same again", booking(1, 10, 11, "email", "a@example.com", "lock", 22281), relay.Finished, nil, 1, 1},
			{"moved", booking(2, 12, 13, "email", "a@example.com", "lock", 22281), relay.Finished, []string{"PATCH /schedules/", "POST /group_links", "DELETE /group_links/"}, 1, 1},
			{"another door", booking(3, 12, 13, "email", "a@example.com", "lock", 22282), relay.Finished, []string{"DELETE /schedules/", "POST /schedules"}, 1, 1},
			{"without a link", booking(4, 12, 13, "lock", 22282), relay.Finished, []string{"DELETE /group_links/"}, 0, 1},
			{"an older message comes late", booking(2, 12, 13, "email", "a@example.com", "lock", 22281), relay.Stale, nil, 0, 1},
			{"cancelled", map[string]any{"booking": "b1", "version": 5, "status": "cancelled"}, relay.Finished, []string{"DELETE /schedules/"}, 0, 0},
			{"cancelled again", map[string]any{"booking": "b1", "version": 5, "status": "cancelled"}, relay.Finished, nil, 0, 0},
			{"an older message comes very late", booking(4, 12, 13, "lock", 22282), relay.Stale, nil, 0, 0},
		}
		for _, s := range steps {
			from := len(h.fake.Journal())
			h.settle(s.status, s.payload)
			if diff := cmp.Diff(s.asked, h.asked(from)); diff != "" {
				t.Errorf("%s: asked of Kisi (-want +got):\n%s", s.name, diff)
			}
			h.stands(s.links, s.schedules)
		}
	})
}

// TestCancelledFirst lets the cancellation overtake its booking, with and
// without a version of its own.
func TestCancelledFirst(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis)
		h.settle(relay.Finished, map[string]any{"booking": "b1", "version": 2, "status": "cancelled"})
		h.settle(relay.Stale, booking(1, 10, 11, "lock", 22281))
		h.settle(relay.Finished, map[string]any{"booking": "b2", "status": "cancelled"})
		p := booking(1, 10, 11, "lock", 22281)
		p["booking"] = "b2"
		h.settle(relay.Stale, p)
		h.stands(0, 0)
		if code, answer := h.post("/hooks/t", map[string]any{"status": "cancelled", "version": 1}); code != http.StatusUnprocessableEntity {
			t.Errorf("a cancellation of nothing answered %d %v", code, answer)
		}
	})
}

func TestGroupIsOneScheduleForEachLock(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis)
		h.settle(relay.Finished, booking(1, 10, 11, "group", 32693))
		want := []string{"GET /group_locks", "POST /schedules", "POST /schedules"}
		if diff := cmp.Diff(want, h.asked(0)); diff != "" {
			t.Errorf("asked of Kisi (-want +got):\n%s", diff)
		}
		var locks []int64
		for _, s := range h.fake.Schedules() {
			locks = append(locks, s.ScheduleableID)
		}
		slices.Sort(locks)
		if diff := cmp.Diff([]int64{22281, 22290}, locks); diff != "" {
			t.Error(diff)
		}
		h.settle(relay.Finished, booking(2, 10, 12, "group", 32693))
		h.stands(0, 2)
		h.settle(relay.Finished, booking(3, 10, 12, "group", 32694))
		h.stands(0, 2)
		h.settle(relay.Finished, map[string]any{"booking": "b1", "version": 4, "status": "cancelled"})
		h.stands(0, 0)
	})
}

func TestUnlock(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis)
		h.settle(relay.Finished, map[string]any{"event": "e1", "unlock": 22290})
		h.settle(relay.Duplicate, map[string]any{"event": "e1", "unlock": 22290})
		if u := h.fake.Unlocks(); len(u) != 1 || u[0].Lock != 22290 {
			t.Errorf("unlocked %+v", u)
		}
		// At its time, and neither before nor twice.
		started := time.Now()
		h.settle(relay.Pending, map[string]any{"event": "e2", "unlock": 22281, "after": "1500ms"})
		waitFor(t, "the unlock", func() bool { return len(h.fake.Unlocks()) == 2 })
		if took := time.Since(started); took < 1400*time.Millisecond {
			t.Errorf("unlocked after %s, which is too early", took)
		}
		// Cancelled before its time: the door stays shut.
		h.settle(relay.Pending, map[string]any{"booking": "b", "version": 1, "unlock": 22282, "after": "1s"})
		h.settle(relay.Finished, map[string]any{"booking": "b", "version": 2, "status": "cancelled"})
		time.Sleep(1500 * time.Millisecond)
		if u := h.fake.Unlocks(); len(u) != 2 {
			t.Errorf("a cancelled unlock was carried out: %+v", u)
		}
	})
}

// TestLockedDown shows Kisi's own words and what to do about them.
func TestLockedDown(t *testing.T) {
	h := startHouse(t, "")
	h.fake.LockDown(22290)
	answer := h.settle(relay.Failed, map[string]any{"unlock": 22290})
	if text := fmt.Sprint(answer["error"]); !strings.Contains(text, "fad001") || !strings.Contains(text, "lockdown") {
		t.Errorf("the error is %q", text)
	}
}

func TestWindowOver(t *testing.T) {
	h := startHouse(t, "")
	code, answer := h.post("/hooks/t?wait=5", booking(1, -72, -71, "lock", 22281, "email", "a@example.com"))
	if code != http.StatusOK || len(h.fake.Journal()) != 0 {
		t.Errorf("answered %d %v, and asked %v of Kisi", code, answer, h.asked(0))
	}
	if !strings.Contains(fmt.Sprint(answer["error"]), "over") {
		t.Errorf("the answer does not say why: %v", answer)
	}
}

// TestOneRuleFails lets the others go on, and keeps what the failing one wanted before.
func TestOneRuleFails(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis)
		answer := h.settle(relay.Finished, booking(1, 10, 11, "lock", 22281, "broken", map[string]any{}))
		if !strings.Contains(fmt.Sprint(answer["error"]), `rule "broken"`) {
			t.Errorf("the failure is not shown: %v", answer)
		}
		h.stands(0, 1)
	})
}

// TestKisiFails goes through what can become of a request. In every case
// exactly one link and one schedule stand in the end.
func TestKisiFails(t *testing.T) {
	faults := map[string]kisifake.Fault{
		"429":                             {Method: "POST", Status: 429, Times: 2},
		"503 before it was done":          {Method: "POST", Status: 503, Times: 2},
		"500 after it was done":           {Method: "POST", Then: kisifake.Crash, Times: 2},
		"connection reset after":          {Method: "POST", Then: kisifake.Reset, Times: 2},
		"no answer after it was done":     {Method: "POST", Then: kisifake.Hang, Times: 2},
		"a page of HTML after it is done": {Method: "POST", Junk: true, Times: 2},
		"an empty answer after":           {Method: "POST", Empty: true, Times: 2},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHouse(t, "", func(s *Settings, _ *kisifake.Options) { s.Kisi.Timeout = 300 * time.Millisecond })
			h.fake.Fail(fault)
			h.settle(relay.Finished, booking(1, 10, 11, "email", "a@example.com", "lock", 22281))
			h.stands(1, 1)
			h.fake.Fail(kisifake.Fault{Method: "DELETE", Status: 503})
			h.fake.Fail(kisifake.Fault{Method: "DELETE", Then: kisifake.Reset})
			h.settle(relay.Finished, map[string]any{"booking": "b1", "version": 2, "status": "cancelled"})
			h.stands(0, 0)
		})
	}
}

// TestTwoBookingsAskForTheSame lets two bookings ask for the same door at the same
// time under the same name, and loses the second one's request. What the first one
// has is not taken for the second's, and stays when the second is cancelled.
func TestTwoBookingsAskForTheSame(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis)
		front := func(booking string, version int, more ...any) map[string]any {
			return bookingOf(booking, version, 10, 11, append(more, "front", true)...)
		}
		h.settle(relay.Finished, front("a", 1))
		h.fake.Fail(kisifake.Fault{Method: "POST", Path: "/schedules", Status: 503})
		h.settle(relay.Finished, front("b", 1))
		h.stands(0, 2)
		h.settle(relay.Finished, front("b", 2, "status", "cancelled"))
		h.stands(0, 1)
		h.settle(relay.Finished, front("a", 2, "status", "cancelled"))
		h.stands(0, 0)
	})
}

// TestRejected is a request that Kisi will never take: it is not repeated, and
// the next message of the booking may do better.
func TestRejected(t *testing.T) {
	h := startHouse(t, "")
	answer := h.settle(relay.Failed, booking(1, 10, 11, "lock", 4711, "email", "a@example.com"))
	if !strings.Contains(fmt.Sprint(answer["error"]), "POST /schedules: Kisi answered 422") {
		t.Errorf("the error is %v", answer["error"])
	}
	h.stands(1, 0)
	asked := len(h.fake.Journal())
	h.settle(relay.Finished, booking(2, 10, 11, "lock", 22281, "email", "a@example.com"))
	if got := h.asked(asked); len(got) != 1 {
		t.Errorf("asked %v", got)
	}
}

// TestSignsInOnce shares one sign-in, and makes one more when Kisi forgets it.
func TestSignsInOnce(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis, func(s *Settings, o *kisifake.Options) {
			o.Email, o.Password, o.Domain = "owner@example.com", canaryPassword, "venue"
			s.Kisi = Kisi{Email: o.Email, Password: canaryPassword, Domain: "venue"}
		})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				h.post("/hooks/t?wait=20", map[string]any{"event": i, "unlock": 22290})
			})
		}
		wg.Wait()
		if n := len(h.fake.Logins()); n != 1 {
			t.Errorf("signed in %d times", n)
		}
		h.fake.Revoke(h.fake.Logins()[0])
		h.settle(relay.Finished, map[string]any{"event": "later", "unlock": 22290})
		if n := len(h.fake.Unlocks()); n != 11 {
			t.Errorf("unlocked %d times", n)
		}
	})
}

func TestHeaders(t *testing.T) {
	h := startHouse(t, "", func(s *Settings, _ *kisifake.Options) { s.Kisi.Contact = "owner@example.com" })
	h.settle(relay.Finished, map[string]any{"unlock": 22290})
	c := h.fake.Journal()[0]
	for name, want := range map[string]string{
		"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "doorhook/test",
		"X-Kisi-Integration-Identifier": "Skedda", "X-Kisi-Integration-Contact": "owner@example.com",
	} {
		if got := c.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestOnce posts one event a hundred times at once.
func TestOnce(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis)
		var mu sync.Mutex
		statuses := map[any]int{}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, answer := h.post("/hooks/t", map[string]any{"event": "same", "unlock": 22290})
				mu.Lock()
				defer mu.Unlock()
				statuses[answer["status"]]++
			})
		}
		wg.Wait()
		if diff := cmp.Diff(map[any]int{"accepted": 1, "duplicate": 99}, statuses); diff != "" {
			t.Error(diff)
		}
		waitFor(t, "the unlock", func() bool { return len(h.fake.Unlocks()) > 0 })
		if n := len(h.fake.Unlocks()); n != 1 {
			t.Errorf("unlocked %d times", n)
		}
	})
}

// TestStopHandsBack stops a doorhook while Kisi is slow, and starts another: the
// request under way is counted, and nothing is lost or done twice.
func TestStopHandsBack(t *testing.T) {
	server := realRedis(t)
	h := startHouse(t, server.url)
	h.fake.Fail(kisifake.Fault{Method: "POST", Path: "/group_links", Delay: 500 * time.Millisecond})
	if code, answer := h.post("/hooks/t", booking(1, 10, 11, "email", "a@example.com", "lock", 22281)); code != 200 {
		t.Fatal(code, answer)
	}
	waitFor(t, "a claim", func() bool { return strings.Contains(h.log.String(), "trigger") })
	h.stop()
	h.start()
	h.settle(relay.Finished, booking(1, 10, 11, "email", "a@example.com", "lock", 22281))
	h.stands(1, 1)
}

// TestRedisGone accepts nothing while Redis is away, and says when to come back.
func TestRedisGone(t *testing.T) {
	server := realRedis(t)
	h := startHouse(t, server.url)
	server.stop()
	resp, err := http.Post(h.url+"/hooks/t", "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger got %d", resp.StatusCode)
	}
	if code, answer := h.post("/hooks/t", map[string]any{"event": "e", "unlock": 22290}); code != http.StatusServiceUnavailable {
		t.Errorf("answered %d %v", code, answer)
	}
	for path, want := range map[string]int{"/readyz": http.StatusServiceUnavailable, "/livez": http.StatusOK} {
		resp, err := http.Get(h.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s answered %d, want %d", path, resp.StatusCode, want)
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	good := Settings{
		Rules: fstest.MapFS{"t.yaml": {Data: []byte(testRules)}}, RulesDir: "rules", Getenv: func(string) string { return canaryToken },
		Listen: "127.0.0.1:0", Kisi: Kisi{APIKey: canaryKey},
	}
	tests := []struct {
		name string
		edit func(*Settings)
		want string
	}{
		{"a public listener without a token", func(s *Settings) { s.Listen = "0.0.0.0:0" }, "DOORHOOK_ADMIN_TOKEN"},
		{"any address without a token", func(s *Settings) { s.Listen = ":0" }, "DOORHOOK_ADMIN_TOKEN"},
		{"a blank token", func(s *Settings) { s.Listen, s.AdminToken = ":0", " " }, "DOORHOOK_ADMIN_TOKEN"},
		{"no address", func(s *Settings) { s.Listen = "8080" }, "host:port"},
		{"no key", func(s *Settings) { s.Kisi.APIKey = "" }, "KISI_API_KEY"},
		{"a key and a sign-in", func(s *Settings) { s.Kisi.Email, s.Kisi.Password = "a@b", "p" }, "KISI_API_KEY"},
		{"a sign-in without a password", func(s *Settings) { s.Kisi = Kisi{Email: "a@b"} }, "KISI_PASSWORD"},
		{"plain http to Kisi", func(s *Settings) { s.Kisi.URL = "http://kisi.example" }, "https"},
		{"a lease shorter than a request", func(s *Settings) { s.Lease = 2 * time.Second }, "DOORHOOK_LEASE"},
		{"no Redis there", func(s *Settings) { s.Redis = "redis://u:canary-password@127.0.0.1:1/0" }, "127.0.0.1:1"},
		{"an empty secret", func(s *Settings) { s.Getenv = func(string) string { return "" } }, "DOORHOOK_TOKEN"},
		{"bad rules", func(s *Settings) { s.Rules = fstest.MapFS{"t.yaml": {Data: []byte("trigger: t")}} }, "auth: is missing"},
		{"no rules", func(s *Settings) { s.Rules = fstest.MapFS{} }, "no rule file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := good
			tt.edit(&s)
			a, err := New(t.Context(), s)
			if err == nil {
				a.Close()
				t.Fatal("it starts")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("it says %q, want %q in it and no secret", err, tt.want)
			}
		})
	}
	s := good
	s.Listen, s.AdminToken = "0.0.0.0:0", "token"
	a, err := New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	var bad rules.Errors
	s.Rules = fstest.MapFS{"t.yaml": {Data: []byte("trigger: t")}}
	if _, err := New(t.Context(), s); !errors.As(err, &bad) {
		t.Errorf("bad rules give %T", err)
	}
}

func TestDemo(t *testing.T) {
	out := &safeBuffer{}
	err := RunDemo(context.Background(), Demo{
		Rules: os.DirFS("../../rules"), RulesDir: "rules", Exit: true, Out: out,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"POST /group_links", "PATCH /schedules/", "DELETE /group_links/", "seen before", "DELETE /schedules/", "sam@example.com"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story lacks %q:\n%s", want, out)
		}
	}
}
