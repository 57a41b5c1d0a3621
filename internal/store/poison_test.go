package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/relay"
	"doorhook/internal/worker"

	"github.com/redis/go-redis/v9"
)

// bell carries unlocks out by noting when, and dies of one kind of them.
type bell struct {
	mu   sync.Mutex
	rung map[string][]time.Time // by rule
}

func (b *bell) Create(_ context.Context, a relay.Action) relay.Outcome {
	b.mu.Lock()
	b.rung[a.Rule] = append(b.rung[a.Rule], time.Now())
	b.mu.Unlock()
	if a.Rule == "panics" {
		panic("poison")
	}
	return relay.Outcome{Verdict: relay.OK}
}

func (*bell) Change(context.Context, relay.Action, int64) relay.Outcome { return relay.Outcome{} }
func (*bell) Revoke(context.Context, relay.Action, int64) relay.Outcome { return relay.Outcome{} }
func (*bell) Person(context.Context, int64) (*relay.Person, relay.Outcome) {
	return nil, relay.Outcome{Verdict: relay.OK}
}

func (*bell) Doors(context.Context, []int64) relay.Outcome { return relay.Outcome{Verdict: relay.OK} }

func (*bell) Came(context.Context, []int64, time.Time, time.Time) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}

func (*bell) Locks(context.Context, relay.Action) relay.Outcome { return relay.Outcome{} }
func (*bell) Find(context.Context, relay.Action, time.Time, []int64) relay.Outcome {
	return relay.Outcome{}
}

// counted is a store that counts how often it is asked for work.
type counted struct {
	*Store
	claims atomic.Int64
}

func (c *counted) Claim(ctx context.Context, l relay.Lane, n int) (relay.Claim, error) {
	c.claims.Add(1)
	return c.Store.Claim(ctx, l, n)
}

// TestPoisonDiesAlone puts jobs of which nothing can become among those of a busy
// ten minutes. The others are done on time, each of the poisoned ones is in the log
// by its name, and none of them is looked at more often than others are.
func TestPoisonDiesAlone(t *testing.T) {
	poison := map[string]func(s *Store, key string){
		"have":  func(s *Store, key string) { s.rdb.HSet(ctx, key, "have", "{") },
		"want":  func(s *Store, key string) { s.rdb.HSet(ctx, key, "want:want", "nonsense") },
		"list":  func(s *Store, key string) { s.rdb.Del(ctx, key); s.rdb.LPush(ctx, key, "x") },
		"text":  func(s *Store, key string) { s.rdb.Set(ctx, key, "x", 0) },
		"empty": func(s *Store, key string) { s.rdb.HDel(ctx, key, "head") },
	}
	synctest.Test(t, func(t *testing.T) {
		s := &counted{Store: open(t, Options{})}
		start := time.Now()
		wants := func(name string, at time.Time) {
			a := relay.Action{Key: name, Rule: name, Kind: relay.Unlock, Args: []byte(`{"lock_id":1}`), At: at, NotAfter: start.Add(time.Hour)}
			accept(t, s.Store, relay.Plan{EventID: name, Rules: []relay.Match{{Rule: name, Actions: []relay.Action{a}}}})
		}
		for i := range 60 {
			wants(fmt.Sprint("good ", i), start.Add(time.Duration(i)*10*time.Second))
		}
		wants("panics", start)
		soon := float64(start.UnixMilli())
		for name, spoil := range poison {
			wants(name, start)
			id := "skedda:event:" + name
			spoil(s.Store, s.keys.jobs()+id)
			soon += 100 // each in a claim of its own
			s.rdb.ZAdd(ctx, s.keys.due(relay.Doors), redis.Z{Member: id, Score: soon})
		}
		var log bytes.Buffer
		b := &bell{rung: map[string][]time.Time{}}
		w, err := worker.New(s, b, slog.New(slog.NewTextHandler(&log, nil)), worker.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute-time.Second)
		defer cancel()
		w.Run(ctx)

		for i := range 60 {
			at, rung := start.Add(time.Duration(i)*10*time.Second), b.rung[fmt.Sprint("good ", i)]
			if len(rung) != 1 || rung[0].Before(at) || rung[0].After(at.Add(10*time.Millisecond)) {
				t.Errorf("good %d was done at %v, want once, at %s", i, rung, at)
			}
		}
		if n := len(b.rung["panics"]); n < 9 || n > 11 {
			t.Errorf("what panics was tried %d times in ten minutes, want about once a minute", n)
		}
		for name := range poison {
			if !strings.Contains(log.String(), "skedda:event:"+name) {
				t.Errorf("the log does not name the job %q", name)
			}
		}
		if !strings.Contains(log.String(), "job=skedda:event:panics") {
			t.Error("the log does not name the job that panics")
		}
		if strings.Contains(log.String(), "the store answers again") {
			t.Error("the log says that the store was away")
		}
		// Once a second in any case, once for what is done, and once a lease for what is poisoned.
		if n := s.claims.Load(); n > 600+2*60+60*int64(len(poison)) {
			t.Errorf("the store was asked %d times", n)
		}
		if t.Failed() {
			t.Log(log.String()[:min(log.Len(), 5000)])
		}
	})
}
