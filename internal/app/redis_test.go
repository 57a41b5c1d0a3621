package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/store"
)

// brisk makes a house whose leases end within a test, and that Kisi's limit does not
// slow down.
func brisk(s *Settings, _ *kisifake.Options) {
	s.Kisi.Timeout, s.Kisi.Rate, s.Lease = time.Second, 1000, 4100*time.Millisecond
}

// slow makes Kisi take its time over all that it makes, so that jobs are in hand.
func (h *house) slow(d time.Duration) {
	h.fake.Fail(kisifake.Fault{Method: http.MethodPost, Delay: d, Times: -1})
}

// midway does something when Kisi has done what it was asked, and has not answered.
type midway struct{ do atomic.Pointer[func()] }

func (m *midway) watch(_ *Settings, o *kisifake.Options) {
	o.OnCall = func(kisifake.Call) {
		if do := m.do.Swap(nil); do != nil {
			(*do)()
		}
	}
}

// once does it the next time, and waits until it is done.
func (m *midway) once(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	tell := func() { defer close(done); do() }
	m.do.Store(&tell)
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		t.Fatal("nothing was asked of Kisi")
	}
}

// reply is what a sender gets; code 0 is no answer.
type reply struct {
	code   int
	header http.Header
	answer map[string]any
}

func (r reply) is(s relay.Status) bool {
	return r.code == http.StatusOK && r.answer["status"] == string(s)
}

// send sends an event once, as a sender does that waits for 3 s. Many goroutines may
// send at a time.
func (h *house) send(payload map[string]any, edit ...func(*http.Request)) reply {
	h.t.Helper()
	body, err := json.Marshal(payload)
	if err != nil {
		h.t.Error(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/hooks/t", bytes.NewReader(body))
	if err != nil {
		h.t.Error(err)
		return reply{}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+canaryToken)
	for _, e := range edit {
		e(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}
	}
	defer resp.Body.Close()
	r := reply{code: resp.StatusCode, header: resp.Header}
	if err := json.NewDecoder(resp.Body).Decode(&r.answer); err != nil && req.Context().Err() == nil {
		h.t.Errorf("%d: %v", r.code, err)
	}
	return r
}

// hangUp is a sender that does not wait for its answer.
func hangUp(r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	time.AfterFunc(2*time.Millisecond, cancel)
	*r = *r.WithContext(ctx)
}

var wholeSeconds = regexp.MustCompile(`^[1-9][0-9]*$`)

// refused checks that a sender is told to come back.
func (h *house) refused(r reply) {
	h.t.Helper()
	if r.code != http.StatusServiceUnavailable || !wholeSeconds.MatchString(r.header.Get("Retry-After")) {
		h.t.Errorf("answered %d %v with Retry-After %q, want 503 and whole seconds", r.code, r.answer, r.header.Get("Retry-After"))
	}
}

// taken checks that an event that was refused is accepted, as if it were new.
func (h *house) taken(payload map[string]any) {
	h.t.Helper()
	if r := h.send(payload); !r.is(relay.Accepted) {
		h.t.Errorf("what was refused, sent again, got %d %v", r.code, r.answer)
	}
}

// deliver sends an event until it is accepted, and counts how often it was not.
func (h *house) deliver(payload map[string]any) (refusals int) {
	h.t.Helper()
	for ; refusals < 100; refusals++ {
		r := h.send(payload)
		if r.is(relay.Accepted) || r.is(relay.Duplicate) { // the answer may have been lost
			return refusals
		}
		if r.code != 0 {
			h.refused(r)
		}
		time.Sleep(50 * time.Millisecond)
	}
	h.t.Errorf("%v was never accepted", payload)
	return refusals
}

// numbered is booking n, with a link and a schedule that are like no other's.
func numbered(n int) map[string]any {
	return bookingOf(fmt.Sprint(n), 1, n, n+1, "event", fmt.Sprintf("e%d", n), "email", "a@example.com", "lock", 22281)
}

// onceEach waits until bookings 0 to n-1 are carried out and all jobs let go, and
// checks that each has its link and its schedule and never had another.
func (h *house) onceEach(server redisServer, n int) {
	h.t.Helper()
	defer func() {
		if h.t.Failed() {
			h.t.Log(h.log)
		}
	}()
	waitFor(h.t, "the end of all work", func() bool {
		return len(h.fake.GroupLinks()) >= n && len(h.fake.Schedules()) >= n && server.busy(h.t) == 0
	})
	h.stands(n, n)
	links, schedules := map[string]bool{}, map[time.Time]bool{}
	for _, l := range h.fake.GroupLinks() {
		links[l.Name] = true
	}
	for _, s := range h.fake.Schedules() {
		schedules[s.StartsAt] = true
	}
	if len(links) != n || len(schedules) != n {
		h.t.Errorf("the links are those of %d bookings, the schedules those of %d, want %d", len(links), len(schedules), n)
	}
	h.made(n, n)
	server.whole(h.t)
}

// made checks how many objects Kisi ever made.
func (h *house) made(links, schedules int) {
	h.t.Helper()
	got := map[string]int{}
	for _, c := range h.fake.Journal() {
		if c.Method == http.MethodPost && c.Status < 300 {
			got[c.Path]++
		}
	}
	if got["/group_links"] != links || got["/schedules"] != schedules {
		h.t.Errorf("made were %v, want %d links and %d schedules", got, links, schedules)
	}
}

// unsaved counts how often a worker could not note how far a job had got.
func (h *house) unsaved() int {
	return strings.Count(h.log.String(), "it comes up again when its lease ends")
}

// ready asks whether an event would be accepted.
func (h *house) ready() bool {
	h.t.Helper()
	resp, err := http.Get(h.url + "/readyz")
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		h.refused(reply{code: resp.StatusCode, header: resp.Header})
	}
	return resp.StatusCode == http.StatusOK
}

// TestRedisKilledUnderLoad kills Redis three times while senders send and Kisi is
// asked. What was answered 200 is carried out once; what was refused, or whose
// sender hung up, is accepted when it is sent again.
func TestRedisKilledUnderLoad(t *testing.T) {
	t.Parallel()
	server := realRedis(t, durable...)
	var kisi midway
	h := startHouse(t, server.url, brisk, kisi.watch)
	h.slow(20 * time.Millisecond)
	var sent, refusals atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(sent.Add(1) - 1)
				if n%5 == 0 {
					h.send(numbered(n), hangUp)
				}
				refusals.Add(int64(h.deliver(numbered(n))))
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		kisi.once(t, server.stop)
		time.Sleep(100 * time.Millisecond)
		server.start()
	}
	stop()
	wg.Wait()
	if refusals.Load() == 0 {
		t.Error("no event was refused, so nothing is shown")
	}
	h.onceEach(server, int(sent.Load()))
}

// TestUnlockedOnce kills Redis while Kisi opens a door, and starts it again at once.
// What Kisi said has to be saved then: an unlock cannot be looked up, and would be
// sent again when the lease ends.
func TestUnlockedOnce(t *testing.T) {
	t.Parallel()
	server := realRedis(t, durable...)
	var kisi midway
	h := startHouse(t, server.url, brisk, kisi.watch)
	h.slow(100 * time.Millisecond)
	h.deliver(map[string]any{"event": "e", "unlock": 22290})
	kisi.once(t, server.stop)
	server.start()
	waitFor(t, "the end of all work", func() bool { return server.busy(t) == 0 })
	if u := h.fake.Unlocks(); len(u) != 1 {
		t.Errorf("the door opened %d times: %+v\n%s", len(u), u, h.log)
	}
}

// TestRedisFull fills Redis, first to the brim, then altogether while a job is in
// hand. A refused event leaves nothing behind, and is accepted when there is room.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	server := realRedis(t, append(durable, "--maxmemory-policy", "noeviction")...)
	var kisi midway
	h := startHouse(t, server.url, brisk, kisi.watch)
	h.slow(100 * time.Millisecond)
	n := 0
	for ; n < 10; n++ { // connections need room too
		h.deliver(numbered(n))
	}

	server.ask(t, "SETRANGE", "filler", "8000000", "x")
	server.ask(t, "CONFIG", "SET", "maxmemory", strconv.Itoa(server.memory(t)+40<<10))
	for ; ; n++ { // which write it is that finds no room is chance
		if r := h.send(numbered(n)); !r.is(relay.Accepted) || n == 500 {
			h.refused(r)
			break
		}
	}
	server.whole(t)
	server.ask(t, "DEL", "filler")
	h.taken(numbered(n))
	n++
	waitFor(t, "the end of all work", func() bool { return server.busy(t) == 0 })

	unsaved := h.unsaved()
	h.deliver(numbered(n))
	n++
	kisi.once(t, func() { server.ask(t, "SETRANGE", "filler", "9000000", "x") })
	for more := range 5 {
		h.refused(h.send(numbered(n + more)))
		if left := server.names(t, fmt.Sprintf("*e%d", n+more)); len(left) > 0 {
			t.Errorf("a refused event left %v", left)
		}
	}
	server.whole(t)
	if h.ready() {
		t.Error("/readyz says that events would be accepted")
	}
	waitFor(t, "what Kisi did and nobody can note", func() bool { return h.unsaved() > unsaved })
	server.ask(t, "DEL", "filler")
	for more := range 5 {
		h.taken(numbered(n + more))
	}
	h.onceEach(server, n+5)
}

// TestRedisHangs stops Redis for longer than a lease, while a job is in hand here and
// another one at another doorhook.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	server := realRedis(t, durable...)
	var kisi midway
	h := startHouse(t, server.url, brisk, kisi.watch)
	h.fake.Fail(kisifake.Fault{Method: http.MethodPost, Status: http.StatusServiceUnavailable, Times: -1})
	h.deliver(numbered(0))
	waitFor(t, "two failures", func() bool { return len(h.fake.Journal()) >= 2 && server.busy(t) == 0 })
	h.stop()
	h.fake.Heal()
	other, err := store.Open(t.Context(), store.Options{URL: server.url, Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var theirs relay.Claim
	waitFor(t, "the next attempt", func() bool {
		theirs, err = other.Claim(t.Context(), relay.Doors, 1)
		return err == nil && len(theirs.Jobs) == 1
	})

	h.start()
	h.slow(100 * time.Millisecond)
	for n := 1; n <= 4; n++ {
		h.deliver(numbered(n))
	}
	var resume func()
	kisi.once(t, func() { resume = server.pause() })
	defer resume()
	started := time.Now()
	if h.ready() {
		t.Error("/readyz says that events would be accepted")
	}
	h.refused(h.send(numbered(5)))
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("two refusals took %s", took)
	}
	<-time.After(h.settings.Lease + 100*time.Millisecond - time.Since(started))
	resume()

	for name, err := range map[string]error{
		"save":   second(other.Save(t.Context(), theirs.Jobs[0])),
		"finish": other.Finish(t.Context(), theirs.Jobs[0], time.Time{}, nil),
	} {
		if !errors.Is(err, relay.ErrLeaseLost) {
			t.Errorf("%s after the lease: %v", name, err)
		}
	}
	h.deliver(numbered(5))
	if !h.ready() {
		t.Error("/readyz says that no event would be accepted")
	}
	h.onceEach(server, 6)
}

// TestDueWhileRedisHangs lets doors come due while Redis hangs. They open when it is
// back: what a worker asked of Redis meanwhile, and gave up on, takes no job away.
func TestDueWhileRedisHangs(t *testing.T) {
	t.Parallel()
	server := realRedis(t)
	h := startHouse(t, server.url, brisk)
	for n := range 3 {
		h.deliver(map[string]any{"event": n, "unlock": 22290, "after": "1s"})
	}
	resume := server.pause()
	defer resume()
	<-time.After(3200 * time.Millisecond)
	resume()
	resumed := time.Now()
	waitFor(t, "the unlocks", func() bool { return len(h.fake.Unlocks()) == 3 })
	if took := time.Since(resumed); took > 2*time.Second {
		t.Errorf("doors that were due opened %s after Redis was back", took)
	}
}

func second(_ bool, err error) error { return err }

// TestSentinelPromotes kills a master, whose replica has all that was answered.
// doorhook goes on with the replica.
func TestSentinelPromotes(t *testing.T) {
	t.Parallel()
	master := realRedis(t, "--port", freePort(t), "--repl-diskless-sync-delay", "0")
	replica := realRedis(t, "--port", freePort(t), "--replicaof", strings.ReplaceAll(master.address, ":", " "))
	waitFor(t, "the replica", func() bool { return replica.info(t, "master_link_status") == "up" })
	var kisi midway
	h := startHouse(t, startSentinel(t, master), brisk, kisi.watch)
	h.slow(100 * time.Millisecond)
	for n := range 12 { // more than are in hand at a time
		h.deliver(numbered(n))
	}
	kisi.once(t, func() { replica.catchUp(t, master); master.stop() })
	h.refused(h.send(numbered(12)))
	for n := 12; n < 20; n++ {
		h.deliver(numbered(n))
	}
	h.onceEach(replica, 20)
}

// TestCluster plays the main story on two nodes of a cluster. While one is away the
// other goes on; so does the one when it is back.
func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	houses, homes := map[int]*house{}, []int{}
	for i := 0; len(homes) < 2; i++ {
		prefix := fmt.Sprintf("house%d", i)
		home := homeOf(t, nodes, prefix)
		if houses[home] == nil {
			homes = append(homes, home)
			houses[home] = startHouse(t, clusterURL(nodes), brisk, func(s *Settings, _ *kisifake.Options) { s.Prefix = prefix })
		}
	}
	made := booking(1, 10, 11, "event", "e1", "email", "a@example.com", "lock", 22281)
	for home, h := range houses {
		h.settle(relay.Finished, made)
		h.settle(relay.Duplicate, made)
		h.settle(relay.Finished, booking(2, 12, 13, "event", "e2", "email", "a@example.com", "lock", 22282))
		h.stands(1, 1)
		if len(nodes[home].names(t, "{"+h.settings.Prefix+"}:*")) == 0 {
			t.Errorf("%s has nothing where its slot is", h.settings.Prefix)
		}
	}

	moved := booking(3, 14, 15, "event", "e3", "lock", 22282)
	one, other := houses[homes[0]], houses[homes[1]]
	nodes[homes[0]].stop()
	one.refused(one.send(moved))
	if r := other.send(moved); !r.is(relay.Accepted) {
		t.Errorf("on the other node it got %d %v", r.code, r.answer)
	}
	nodes[homes[0]].start()
	one.deliver(moved)
	for _, h := range houses {
		h.settle(relay.Duplicate, moved)
		h.stands(0, 1)
		h.settle(relay.Finished, booking(4, 0, 0, "event", "e4", "status", "cancelled"))
		h.stands(0, 0)
	}
}

// TestClusterPromotes kills the node of our slot for good. Its replica takes the
// slot over, and doorhook goes on there.
func TestClusterPromotes(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	home, replica := nodes[homeOf(t, nodes, "doorhook")], startNode(t)
	replica.follow(t, home, nodes)
	var kisi midway
	h := startHouse(t, clusterURL(nodes), brisk, kisi.watch)
	h.slow(100 * time.Millisecond)
	for n := range 5 {
		h.deliver(numbered(n))
	}
	kisi.once(t, func() { replica.catchUp(t, home); home.stop() })
	h.refused(h.send(numbered(5)))
	waitFor(t, "the promotion", func() bool { return replica.info(t, "role") == "master" })
	promoted := time.Now()
	waitFor(t, "doorhook at the replica", h.ready)
	if took := time.Since(promoted); took > 3*time.Second {
		t.Errorf("doorhook found the replica %s after its promotion", took)
	}
	for n := 5; n < 8; n++ {
		h.deliver(numbered(n))
	}
	h.onceEach(replica, 8)
}

// TestTwoHousesOneRedis lets two installations that differ in nothing but their
// prefix share a Redis. Each has a Kisi of its own.
func TestTwoHousesOneRedis(t *testing.T) {
	t.Parallel()
	server := realRedis(t)
	var houses []*house
	for _, prefix := range []string{"door", "doorhook"} {
		houses = append(houses, startHouse(t, server.url, func(s *Settings, o *kisifake.Options) {
			o.Email, o.Password, s.Prefix = "owner@example.com", canaryPassword, prefix
			s.Kisi = Kisi{Email: o.Email, Password: canaryPassword, Rate: 1000}
		}))
	}
	made := booking(1, 10, 11, "event", "e1", "email", "a@example.com", "lock", 22281)
	for _, h := range houses {
		h.settle(relay.Finished, made)
		h.settle(relay.Duplicate, made)
		h.settle(relay.Pending, map[string]any{"event": "later", "unlock": 22290, "after": "1h"})
		h.settle(relay.Failed, bookingOf("b2", 1, 10, 11, "event", "e2", "lock", 4711, "broken", map[string]any{})) // dead letters
		h.stands(1, 1)
	}
	one, other := houses[0], houses[1]
	one.settle(relay.Finished, booking(2, 0, 0, "event", "e3", "status", "cancelled"))
	one.stands(0, 0)
	other.stands(1, 1)
	other.settle(relay.Finished, booking(2, 12, 13, "event", "e3", "email", "a@example.com", "lock", 22282))
	one.stands(0, 0)
	other.stands(1, 1)
	for _, h := range houses {
		if n := len(h.fake.Logins()); n != 1 {
			t.Errorf("%s signed in %d times", h.settings.Prefix, n)
		}
	}

	channels := server.ask(t, "EVAL", `return table.concat(redis.call("PUBSUB", "CHANNELS"), " ")`, "0")
	kinds := map[string]bool{}
	for _, name := range append(server.names(t, "*"), strings.Fields(channels)...) {
		if !strings.HasPrefix(name, "{door}:") && !strings.HasPrefix(name, "{doorhook}:") {
			t.Errorf("%s is no house's", name)
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(name, "{door}:"), ":")
		kinds[kind] = true
	}
	for _, kind := range []string{"seen", "job", "due", "events", "dead", "letter", "object", "login", "turns", "ping", "wake"} {
		if !kinds[kind] {
			t.Errorf("no key of kind %q was written, so less is shown than it seems", kind)
		}
	}
}

// TestOneEventAtOnce posts one event of a booking a hundred times at once.
func TestOneEventAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis, brisk)
		statuses := make(chan any, 100)
		var wg sync.WaitGroup
		for range cap(statuses) {
			wg.Go(func() {
				r := h.send(numbered(1))
				for r.code == http.StatusServiceUnavailable { // a slow machine
					r = h.send(numbered(1))
				}
				statuses <- r.answer["status"]
			})
		}
		wg.Wait()
		close(statuses)
		count := map[any]int{}
		for s := range statuses {
			count[s]++
		}
		if diff := cmp.Diff(map[any]int{"accepted": 1, "duplicate": 99}, count); diff != "" {
			t.Error(diff)
		}
		h.settle(relay.Duplicate, numbered(1)) // waits for the actions
		h.stands(1, 1)
		h.made(1, 1)
	})
}

// TestRefusalBurnsNothing refuses requests that carry the id of an event to come. The
// event is accepted all the same: who guesses an id, or sends half a message, must
// not keep a door shut.
func TestRefusalBurnsNothing(t *testing.T) {
	t.Parallel()
	const whole, half = `{"event":"ID","unlock":22290}`, `{"event":"ID","unlock":`
	const cancelled = `{"event":"ID","status":"cancelled"}` // and no booking
	const undecided = `{"event":"ID","booking":"b","version":"x"}`
	large := `{"event":"ID","unlock":22290,"more":"` + strings.Repeat("x", 3000) + `"}`
	as := func(*http.Request) {}
	query := func(text string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = text } }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis, brisk, func(s *Settings, _ *kisifake.Options) { s.BodyLimit = 2000 })
		for i, tt := range []struct {
			name   string
			status int
			body   string
			edit   func(*http.Request)
		}{
			{"half a message", http.StatusBadRequest, half, as},
			{"a query that cannot be read", http.StatusBadRequest, whole, query("wait=%zz")},
			{"a wait that is no number", http.StatusBadRequest, whole, query("wait=soon")},
			{"a wrong secret", http.StatusUnauthorized, whole, header("Authorization", "Bearer guessed")},
			{"no secret", http.StatusUnauthorized, whole, header("Authorization", "")},
			{"another trigger", http.StatusNotFound, whole, func(r *http.Request) { r.URL.Path = "/hooks/other" }},
			{"too large", http.StatusRequestEntityTooLarge, large, as},
			{"an unsupported body", http.StatusUnsupportedMediaType, whole, header("Content-Type", "image/png")},
			{"a compressed body", http.StatusUnsupportedMediaType, whole, header("Content-Encoding", "br")},
			{"a cancellation of nothing", http.StatusUnprocessableEntity, cancelled, as},
			{"nothing could be decided", http.StatusUnprocessableEntity, undecided, as},
			{"only planned", http.StatusOK, whole, query("dry_run=1")},
		} {
			id := fmt.Sprintf("e%d", i)
			body := strings.ReplaceAll(tt.body, "ID", id)
			r := h.send(nil, tt.edit, func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
			})
			if r.code != tt.status {
				t.Errorf("%s: answered %d %v, want %d", tt.name, r.code, r.answer, tt.status)
			}
			if n := len(h.fake.Unlocks()); n != i {
				t.Fatalf("%s: it opened a door", tt.name)
			}
			if r := h.send(map[string]any{"event": id, "unlock": 22290}); !r.is(relay.Accepted) {
				t.Fatalf("%s: then the event got %d %v", tt.name, r.code, r.answer)
			}
			waitFor(t, "the unlock", func() bool { return len(h.fake.Unlocks()) == i+1 })
		}
	})
}

// TestRefusedForNowBurnsNothing is the same for an event that Redis was not there for.
func TestRefusedForNowBurnsNothing(t *testing.T) {
	t.Parallel()
	server := realRedis(t, durable...)
	h := startHouse(t, server.url, brisk)
	server.stop()
	h.refused(h.send(numbered(0)))
	server.start()
	h.taken(numbered(0))
	h.onceEach(server, 1)
}
