package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
)

// message is a plan that asks for one send and nothing else.
func message(eventID string) relay.Plan {
	a := action("tell", `{"url":"https://example.com"}`)
	a.Kind = relay.Send
	return relay.Plan{EventID: eventID, Rules: []relay.Match{{Rule: "tell", Actions: []relay.Action{a}}}}
}

// claimMessages takes what is due of the messages.
func claimMessages(t testing.TB, s *Store, n int) []relay.Job {
	t.Helper()
	c, err := s.Claim(ctx, relay.Messages, n)
	if err != nil {
		t.Fatal(err)
	}
	return c.Jobs
}

func oneMessage(t testing.TB, s *Store) relay.Job {
	t.Helper()
	jobs := claimMessages(t, s, 10)
	if len(jobs) != 1 {
		t.Fatalf("claimed %d messages, want 1", len(jobs))
	}
	return jobs[0]
}

// sent notes in j that all it wants was carried out.
func sent(j relay.Job, state relay.State) relay.Job {
	j.Have = nil
	for _, a := range j.Want {
		j.Have = append(j.Have, relay.Held{Action: a, State: state, Changes: j.Changes, TriedAt: time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC), Answer: "200 OK"})
	}
	return j
}

const m1 = "skedda:event:m1"

// TestLanes keeps messages and doors apart, from the first event of a job to its last.
func TestLanes(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, message("m1"))
		accept(t, s, booking("e1", nil, `{}`))
		if d := claimOne(t, s); d.ID != b1 || d.Lane != relay.Doors {
			t.Errorf("of the doors came %s of lane %q", d.ID, d.Lane)
		}
		j := oneMessage(t, s)
		if j.ID != m1 || j.Lane != relay.Messages {
			t.Errorf("of the messages came %s of lane %q", j.ID, j.Lane)
		}
		if _, err := s.Save(ctx, j); err != nil {
			t.Fatal(err)
		}
		b.clock.add(s.Lease() + time.Second) // the worker died
		j = oneMessage(t, s)
		finish(t, s, j, b.clock.Now().Add(time.Hour))
		b.clock.add(-time.Second)

		claimOne(t, s) // its lease ran out as well
		waiting, err := s.Waiting(ctx, 10)
		if err != nil || len(waiting) != 2 || waiting[0].ID != b1 || waiting[1].ID != m1 {
			t.Errorf("waiting are %+v, %v", waiting, err)
		}
		if first, err := s.Waiting(ctx, 1); err != nil || len(first) != 1 || first[0].ID != b1 {
			t.Errorf("the next is %+v, %v", first, err)
		}
		if due := job(t, s, m1).DueAt; due.Sub(b.clock.Now()).Round(time.Minute) != time.Hour {
			t.Errorf("due at %s", due)
		}

		// Rules that were changed meanwhile ask for a door.
		p := relay.Plan{Rules: []relay.Match{match("open", `{}`)}}
		if r, err := s.Replay(ctx, event("m1"), p, relay.Replay{Changes: 1}); err != nil || r.Status != relay.Accepted {
			t.Fatalf("%+v, %v", r, err)
		}
		claimNone(t, s)
		if j := oneMessage(t, s); len(j.Want) != 1 || j.Want[0].Kind != relay.Unlock {
			t.Errorf("wants %+v", j.Want)
		}
	})
}

// TestLanesWake wakes the workers of the lane that has something to do, here and in other
// processes.
func TestLanesWake(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, other := b.open(t), b.open(t)
		drain(s)
		drain(other)
		for _, st := range []*Store{s, other} {
			select { // of having been connected
			case <-st.Wake(relay.Messages):
			default:
			}
		}
		accept(t, s, message("m1"))
		for _, st := range []*Store{s, other} {
			select {
			case <-st.Wake(relay.Messages):
			case <-time.After(8 * time.Second):
				t.Error("no hint came")
			}
			select {
			case <-st.Wake(relay.Doors):
				t.Error("a door was said to be due")
			case <-time.After(30 * time.Millisecond):
			}
		}
	})
}

// TestClockOfEachLane puts the clock back: the messages come up again when a lease ends,
// also if the doors noticed first.
func TestClockOfEachLane(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, message("m1"))
		accept(t, s, booking("e1", nil, `{}`))
		claimOne(t, s)
		oneMessage(t, s)
		b.clock.add(-5 * time.Minute)
		claimNone(t, s)
		if n := len(claimMessages(t, s, 10)); n != 0 {
			t.Errorf("%d were claimed twice", n)
		}
		b.clock.add(s.Lease() + time.Second)
		claimOne(t, s)
		oneMessage(t, s)
	})
}

// TestFinishedMessages leaves nothing of a message that is done but that it was seen, once
// there are newer ones. What was not sent, or left a dead letter, stays.
func TestFinishedMessages(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		s.mostSent = 20
		s.gather()
		send := func(id string, p relay.Plan, state relay.State, letters ...relay.DeadLetter) {
			t.Helper()
			if r := accept(t, s, p); r.Status != relay.Accepted {
				t.Fatalf("%s: %s", id, r.Status)
			}
			finish(t, s, sent(oneMessage(t, s), state), time.Time{}, letters...)
		}
		send("dead", message("dead"), relay.Dead, relay.DeadLetter{ID: "l"})
		send("late", message("late"), relay.TooLate)
		faulty := message("faulty")
		faulty.Problems, faulty.Undecided = []relay.Problem{{Rule: "other", Message: "no"}}, []string{"other"}
		send("faulty", faulty, relay.Done)
		send("again", message("again"), relay.Done)
		for i := range s.mostSent {
			if i == s.mostSent-1 { // it has more to do since, when its turn to be forgotten comes
				if r, err := s.Replay(ctx, event("again"), message("again"), relay.Replay{Changes: 1}); err != nil || r.Status != relay.Accepted {
					t.Fatalf("%+v, %v", r, err)
				}
				again := claimMessages(t, s, 1)
				finish(t, s, again[0], b.clock.Now().Add(time.Hour))
			}
			send("", message(fmt.Sprint("m", i)), relay.Done)
		}
		send("", message("last"), relay.Done)

		if n := b.rdb.LLen(ctx, b.key("sent")).Val(); n != int64(s.mostSent) {
			t.Errorf("%d are listed", n)
		}
		want := map[string]bool{"dead": true, "late": true, "faulty": true, "again": true, "m0": false, "m1": true, "last": true}
		for id, kept := range want {
			if _, ok, err := s.Job(ctx, "skedda:event:"+id); ok != kept || err != nil {
				t.Errorf("%s: kept %v, %v", id, ok, err)
			}
			if seen := b.rdb.Exists(ctx, b.key("seen:skedda:"+id)).Val(); seen != 1 {
				t.Errorf("%s was never seen", id)
			}
		}
		if h := job(t, s, "skedda:event:last").Have; len(h) != 1 || h[0].Answer != "200 OK" {
			t.Errorf("the newest has %+v", h)
		}
		if ttl := b.rdb.TTL(ctx, b.key("job:skedda:event:last")).Val(); ttl <= 0 || ttl > s.Retention() {
			t.Errorf("the newest stays for %s", ttl)
		}
		if r := accept(t, s, message("m0")); r.Status != relay.Duplicate || r.JobID != "skedda:event:m0" {
			t.Errorf("what was forgotten comes again: %+v", r)
		}
		// Four more than are listed have their jobs, five more were seen; then there are two
		// letters and their index, the events, the list, what is due and the clock.
		if names := b.all(t); len(names) != 2*s.mostSent+4+5+7 {
			counts := map[string]int{}
			for _, name := range names {
				kind, _, _ := strings.Cut(name, ":")
				counts[kind]++
			}
			t.Errorf("left are %v", counts)
		}
	})
}

// TestMessageIsOneRoundTrip accepts an event, and the same again, with one command each.
func TestMessageIsOneRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, c := b.open(t), &counter{}
		accept(t, s, message("m0")) // the scripts are new to the server
		j := oneMessage(t, s)
		if _, err := s.Save(ctx, j); err != nil {
			t.Fatal(err)
		}
		finish(t, s, sent(j, relay.Done), time.Time{})
		s.rdb.AddHook(c)
		accept(t, s, message("m1"))
		if got := fmt.Sprint(c.commands); got != "[evalsha]" {
			t.Errorf("an event: %s", got)
		}
		c.commands = nil
		if r := accept(t, s, message("m1")); r.Status != relay.Duplicate || fmt.Sprint(c.commands) != "[evalsha]" {
			t.Errorf("a duplicate: %s, %v", r.Status, c.commands)
		}
		c.commands = nil
		for _, j := range claimMessages(t, s, 10) {
			if _, err := s.Save(ctx, j); err != nil {
				t.Fatal(err)
			}
			finish(t, s, sent(j, relay.Done), time.Time{})
		}
		if got := fmt.Sprint(c.commands); got != "[evalsha evalsha evalsha]" {
			t.Errorf("claim, save and finish: %s", got)
		}
	})
}

// doorOpened is an event as Kisi sends it.
func doorOpened(uuid string) relay.Event {
	return relay.Event{ID: uuid, Trigger: "kisi", ReceivedAt: time.Now(), Payload: map[string]any{
		"uuid": uuid, "actor_type": "User", "actor_id": 77, "actor_name": "Jo", "object_type": "Lock", "object_id": 123, "object_name": "Main Entrance",
		"organization_id": 1, "place_id": 5, "success": true, "type": "lock.unlock", "error_code": nil, "error_message": nil, "created_at": "2022-10-06T13:49:35Z",
	}}
}

// TestBytesOfAMessage measures what a message that is done costs a Redis for as long as
// it is remembered, beside the two lists of the newest.
func TestBytesOfAMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("it sends thousands")
	}
	server := ownServer(t)
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimSuffix(strings.TrimPrefix(server.url(), "redis://"), "/0"), MaintNotificationsConfig: noNotices()})
	t.Cleanup(func() { rdb.Close() })
	s := open(t, Options{URL: server.url()})
	used := func() int64 {
		info := readInfo(rdb.Info(ctx, "memory").Val())
		return number(info["used_memory"])
	}
	n := 0
	send := func(events int) {
		for i := range events {
			n++
			uuid := fmt.Sprintf("d7cf0237-a492-4e5d-b20c-%012d", n)
			if _, err := s.Accept(ctx, doorOpened(uuid), message(uuid)); err != nil {
				t.Fatal(err)
			}
			if i%200 < 199 && i != events-1 {
				continue
			}
			for _, j := range claimMessages(t, s, mostAtOnce) {
				finish(t, s, sent(j, relay.Done), time.Time{})
			}
		}
	}
	empty := used()
	send(11_000) // until both lists are full
	lists := used()
	const events = 20_000
	send(events)
	each := (used() - lists) / events
	bytes := func(key string) int64 { return rdb.MemoryUsage(ctx, "{doorhook}:"+key, 0).Val() }
	var jobs int64
	for _, name := range rdb.LRange(ctx, "{doorhook}:sent", 0, -1).Val() {
		jobs += bytes("job:" + name)
	}
	t.Logf("beyond the lists: %d bytes an event; the list of events: %d KiB for %d; the finished messages: %d KiB for %d (list %d KiB); empty %d KiB",
		each, bytes("events")>>10, rdb.XLen(ctx, "{doorhook}:events").Val(), jobs>>10, rdb.LLen(ctx, "{doorhook}:sent").Val(), bytes("sent")>>10, empty>>10)
	if each >= 400 {
		t.Errorf("an event that is done costs %d bytes", each)
	}
	if size := rdb.DBSize(ctx).Val(); size > int64(n+mostSent+20) {
		t.Errorf("%d keys for %d events", size, n)
	}
}

// TestBytesOfAWaitingJob measures what a booking with a link and a schedule costs a Redis
// while it waits, with all its keys, beside the list of events.
func TestBytesOfAWaitingJob(t *testing.T) {
	if testing.Short() {
		t.Skip("it sends thousands")
	}
	server := ownServer(t)
	s := open(t, Options{URL: server.url(), Events: 10})
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimSuffix(strings.TrimPrefix(server.url(), "redis://"), "/0"), MaintNotificationsConfig: noNotices()})
	t.Cleanup(func() { rdb.Close() })
	day := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	wait := func(from, to int) int64 {
		for i := from; i < to; i++ {
			id := fmt.Sprintf("bk_%08d", i)
			starts := day.Add(time.Duration(i) * time.Minute)
			a := relay.Action{
				Key: "guest pass/0", Rule: "guest pass", Kind: relay.GroupLink, At: starts.Add(-time.Hour), NotAfter: starts.Add(time.Hour), Ends: starts.Add(time.Hour),
				Args: relay.Encode(map[string]any{"group_id": 4711, "name": "Ada Lovelace, Studio B", "email": fmt.Sprintf("ada.%d@example.com", i), "valid_from": starts, "valid_until": starts.Add(time.Hour)}),
			}
			b := relay.Action{
				Key: "front door/0", Rule: "front door", Kind: relay.Schedule, At: starts.Add(-time.Hour), NotAfter: starts.Add(time.Hour), Ends: starts.Add(time.Hour),
				Args: relay.Encode(map[string]any{"lock_id": 22290, "name": "Studio B " + id, "starts_at": starts, "ends_at": starts.Add(time.Hour)}),
			}
			ev := event(id + ":created")
			p := relay.Plan{
				EventID: ev.ID, Booking: id, Version: version(float64(1772618400000000 + i)), Revision: "0123456789ab",
				Rules: []relay.Match{{Rule: "guest pass", Actions: []relay.Action{a}}, {Rule: "front door", Actions: []relay.Action{b}, Place: 1}},
			}
			if _, err := s.Accept(ctx, ev, p); err != nil {
				t.Fatal(err)
			}
			j := claimOne(t, s)
			finish(t, s, j, starts.Add(-time.Hour))
		}
		return number(readInfo(rdb.Info(ctx, "memory").Val())["used_memory"])
	}
	before := wait(0, 1024)
	const jobs = 3 * 1024
	each := (wait(1024, 1024+jobs) - before) / jobs
	t.Logf("a waiting job: %d bytes; its hash: %d, its place in line: %d", each, rdb.MemoryUsage(ctx, "{doorhook}:job:skedda:booking:bk_00001500", 0).Val(), rdb.MemoryUsage(ctx, "{doorhook}:due", 0).Val()/4096)
	if each >= 1536 {
		t.Errorf("a waiting job costs %d bytes", each)
	}
}

// TestABrokenMessageIsForgotten among those that are done, when it is its turn.
func TestABrokenMessageIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		s.mostSent = 1
		s.gather()
		b.rdb.LPush(ctx, b.key("sent"), "broken")
		b.rdb.LPush(ctx, b.key("job:broken"), "x")
		for _, id := range []string{"m1", "m2"} {
			accept(t, s, message(id))
			finish(t, s, sent(oneMessage(t, s), relay.Done), time.Time{})
		}
		if _, ok, err := s.Job(ctx, m1); ok || err != nil {
			t.Errorf("the message before the newest is kept: %v", err)
		}
	})
}
