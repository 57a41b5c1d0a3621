package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/alicebob/miniredis/v2"
)

func TestRedisGoneAndBack(t *testing.T) {
	srv := ownServer(t, "--appendonly", "yes", "--appendfsync", "always")
	b := newBed(t, srv.url())
	s := b.open(t)
	accept(t, s, booking("e1", version(1), `{"n":1}`))
	j := claimOne(t, s)
	srv.kill()
	started := time.Now()
	for name, call := range map[string]func() error{
		"accept":  func() error { _, err := s.Accept(ctx, event("e2"), booking("e2", version(2), `{"n":2}`)); return err },
		"claim":   func() error { _, err := s.Claim(ctx, relay.Doors, 1); return err },
		"save":    func() error { _, err := s.Save(ctx, j); return err },
		"finish":  func() error { return s.Finish(ctx, j, time.Time{}, nil) },
		"job":     func() error { _, _, err := s.Job(ctx, b1); return err },
		"letters": func() error { _, err := s.Letters(ctx, 1); return err },
		"ping":    func() error { return s.Ping(ctx) },
		"login": func() error {
			_, err := s.Login(ctx, "a", "", func(context.Context) (string, error) { return "x", nil })
			return err
		},
	} {
		if err := call(); !errors.Is(err, relay.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(started); took > 16*time.Second {
		t.Errorf("eight refusals took %s", took)
	}
	drain(s)
	if err := srv.start(); err != nil {
		t.Fatal(err)
	}
	hears(t, s) // whoever waited for a hint looks again
	if got := want(job(t, s, b1)); got != `open{"n":1}` {
		t.Errorf("what was accepted before is %s", got)
	}
	if r := accept(t, s, booking("e2", version(2), `{"n":2}`)); r.Status != relay.Accepted {
		t.Errorf("the retry is %s", r.Status)
	}
	if r := accept(t, s, booking("e1", version(1), `{"n":1}`)); r.Status != relay.Duplicate {
		t.Errorf("an older repeat is %s", r.Status)
	}
	finish(t, s, j, time.Time{})
	if got := want(claimOne(t, s)); got != `open{"n":2}` {
		t.Errorf("wants %s", got)
	}
	// Others' hints come again too, on a subscription that was made anew.
	other := b.open(t)
	drain(s)
	accept(t, other, relay.Plan{EventID: "e3", Booking: "b3", Rules: []relay.Match{match("open", `{}`)}})
	hears(t, s)
}

func TestRefusalsAreOutages(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, Options{URL: "redis://" + m.Addr()})
	for text, outage := range map[string]bool{
		"LOADING Redis is loading the dataset in memory":                                                  true,
		"READONLY You can't write against a read only replica.":                                           true,
		"OOM command not allowed when used memory > 'maxmemory'.":                                         true,
		"MASTERDOWN Link with MASTER is down":                                                             true,
		"CLUSTERDOWN The cluster is down":                                                                 true,
		"NOREPLICAS Not enough good replicas to write.":                                                   true,
		"MISCONF Redis is configured to save RDB snapshots":                                               true,
		"BUSY Redis is busy running a script.":                                                            true,
		"ERR max number of clients reached":                                                               true,
		"ERR Script attempted to access a non local key in a cluster node script: 1f, on @user_script:9.": true,
		"ERR Error running script: @user_script:3: -OOM command not al":                                   true,
		"ERR unknown command":                                                                             false,
		"WRONGTYPE Operation against a key holding the wrong kind":                                        false,
	} {
		m.SetError(text)
		_, err := s.Accept(ctx, event("e1"), booking("e1", nil, `{}`))
		if err == nil || errors.Is(err, relay.ErrUnavailable) != outage {
			t.Errorf("%s: %v", text, err)
		}
	}
	m.SetError("")
	if r := accept(t, s, booking("e1", nil, `{}`)); r.Status != relay.Accepted || r.Changes != 1 {
		t.Errorf("afterwards: %+v", r)
	}
}

func TestRealRefusals(t *testing.T) {
	srv := ownServer(t)
	b := newBed(t, srv.url())
	s := b.open(t)
	accept(t, s, booking("e0", nil, `{}`)) // the script is known
	refused := func(name string) {
		t.Helper()
		if _, err := s.Accept(ctx, event("e1"), booking("e1", nil, `{}`)); !errors.Is(err, relay.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Ping(ctx); !errors.Is(err, relay.ErrUnavailable) {
			t.Errorf("ping, %s: %v", name, err)
		}
	}
	set := func(args ...any) {
		t.Helper()
		if err := b.rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("CONFIG", "SET", "maxmemory", "1")
	refused("out of memory")
	set("CONFIG", "SET", "maxmemory", "0")
	set("CONFIG", "SET", "min-replicas-to-write", "1")
	refused("no replicas")
	set("CONFIG", "SET", "min-replicas-to-write", "0")
	if got := job(t, s, b1); got.Changes != 1 || b.rdb.Exists(ctx, b.key("seen:skedda:e1")).Val() != 0 {
		t.Error("a refused script left something")
	}
	set("REPLICAOF", "127.0.0.1", "1")
	refused("a replica")
	set("REPLICAOF", "NO", "ONE")
	if r := accept(t, s, booking("e1", nil, `{}`)); r.Status != relay.Accepted || r.Changes != 2 {
		t.Errorf("afterwards: %+v", r)
	}
}

// A publish that is not allowed must not undo the promise that an accept is whole.
func TestAcceptWithoutTheRightToPublish(t *testing.T) {
	srv := ownServer(t)
	b := newBed(t, srv.url())
	if err := b.rdb.Do(ctx, "ACL", "SETUSER", "mute", "on", ">pw", "~*", "+@all", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	works(t, open(t, Options{URL: fmt.Sprintf("redis://mute:pw@127.0.0.1:%d", srv.port), Prefix: b.prefix}))
}

func TestASilentRedisIsGivenUpOn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	started := time.Now()
	_, err = Open(ctx, Options{URL: "redis://" + l.Addr().String()})
	if !errors.Is(err, relay.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(started); took < time.Second || took > 4*time.Second {
		t.Errorf("gave up after %s", took)
	}
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	started = time.Now()
	if _, err := Open(soon, Options{URL: "redis://" + l.Addr().String()}); err == nil || time.Since(started) > time.Second {
		t.Errorf("the caller's own deadline: %v after %s", err, time.Since(started))
	}
}

// Redis restarts without its scripts, and without anything else.
func TestScriptsAreForgotten(t *testing.T) {
	srv := ownServer(t)
	b := newBed(t, srv.url())
	s := b.open(t)
	accept(t, s, booking("e1", nil, `{}`))
	if err := b.rdb.ScriptFlush(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if r := accept(t, s, booking("e2", nil, `{}`)); r.Status != relay.Accepted || r.Changes != 2 {
		t.Errorf("receipt %+v", r)
	}
}

func TestHostClocksDoNotMatter(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		var stores []*Store
		for _, off := range []time.Duration{-5 * time.Hour, 0, 7 * time.Hour} {
			o := b.options()
			o.Now = nil
			s := open(t, o)
			s.clock.host = func() time.Time { return time.Now().Add(off) }
			if err := s.Ping(ctx); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(s.Now()).Abs(); d > time.Second {
				t.Errorf("a host that is %s off is %s off in the store", off, d)
			}
			stores = append(stores, s)
		}
		accept(t, stores[0], booking("e1", nil, `{}`))
		c := claim(t, stores[2], 1)
		if len(c.Jobs) != 1 || time.Since(c.Now).Abs() > time.Second || time.Until(c.Next) > stores[2].Lease() {
			t.Fatalf("claim %+v", c)
		}
		if stores[2].Now().Before(c.Now) {
			t.Error("the clock is behind the claim that set it")
		}
		claimNone(t, stores[1])
		finish(t, stores[2], c.Jobs[0], time.Time{})
		accept(t, stores[2], booking("e2", nil, `{}`))
		claimOne(t, stores[0])
	})
}

func drain(s *Store) {
	for {
		select {
		case <-s.Wake(relay.Doors):
		case <-time.After(50 * time.Millisecond):
			return
		}
	}
}

func hears(t *testing.T, s *Store) {
	t.Helper()
	select {
	case <-s.Wake(relay.Doors):
	case <-time.After(8 * time.Second):
		t.Error("no hint came")
	}
}

func TestWake(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s, other := b.open(t), b.open(t)
		quiet := func(name string, st *Store) {
			t.Helper()
			select {
			case <-st.Wake(relay.Doors):
				t.Errorf("%s: a hint for nothing", name)
			case <-time.After(30 * time.Millisecond):
			}
		}
		drain(s)
		drain(other)
		accept(t, s, booking("e1", version(2), `{}`))
		hears(t, s)
		hears(t, other)
		quiet("its own hint came back", s)
		accept(t, s, booking("e1", version(2), `{}`))
		accept(t, s, booking("e0", version(1), `{}`))
		quiet("duplicate and stale", s)
		j := claimOne(t, s)
		accept(t, s, booking("e2", version(3), `{}`))
		quiet("in hand", other)
		quiet("in hand", s)
		finish(t, s, j, time.Time{})
		hears(t, s) // it changed, so it is due at once
	})
}

// TestAFinishThatIsRefusedKeepsItsPlace has Redis full when a job is let go of that is to
// rest with something standing.
func TestAFinishThatIsRefusedKeepsItsPlace(t *testing.T) {
	srv := ownServer(t)
	b := newBed(t, srv.url())
	s := b.open(t)
	accept(t, s, booking("e1", nil, `{"n":1}`))
	j := claimOne(t, s)
	j.Have = []relay.Held{{Action: j.Want[0], State: relay.Done, Object: 7}}
	if !j.Standing() {
		t.Fatal("it has nothing standing")
	}
	full := func(bytes int) {
		t.Helper()
		if err := b.rdb.Do(ctx, "CONFIG", "SET", "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	full(1)
	if err := s.Finish(ctx, j, time.Time{}, nil); !errors.Is(err, relay.ErrUnavailable) {
		t.Fatal(err)
	}
	full(0)
	b.clock.add(s.Lease() + time.Second)
	if got := len(claim(t, s, 10).Jobs); got != 1 {
		t.Errorf("%d jobs come up again when the lease ends, want 1", got)
	}
}
