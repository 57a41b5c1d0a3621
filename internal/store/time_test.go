package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestManyWaiting has a night's bookings wait for their times, in an order of its
// own, and looks whenever the next of them is due, and shortly before. A look takes
// what is due, all of it and nothing else, and is quick however many wait.
func TestManyWaiting(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		waiting, quick := 20_000, 5*time.Millisecond
		if strings.HasSuffix(t.Name(), "miniredis") { // it sorts all of them each time
			waiting, quick = 300, 100*time.Millisecond
		}
		const period = 30 * time.Minute
		o := b.options()
		o.Lease = 2 * period // who claims here never finishes
		s, start := open(t, o), b.clock.Now()
		due := map[time.Time][]string{}
		pipe := b.rdb.Pipeline()
		for i := range waiting {
			id := fmt.Sprintf("skedda:booking:%d", i)
			at := start.Add(rand.N(period).Truncate(time.Second))
			due[at] = append(due[at], id)
			pipe.HSet(ctx, b.key("job:"+id), "head", "1 - 0-0 0 0  ")
			pipe.ZAdd(ctx, b.key("due"), redis.Z{Member: id, Score: float64(at.UnixMilli())})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		var took []time.Duration
		for _, next := range slices.SortedFunc(maps.Keys(due), time.Time.Compare) {
			b.clock.add(next.Sub(b.clock.Now()) - time.Millisecond)
			if c := claimNone(t, s); !c.Next.Equal(next) {
				t.Fatalf("a millisecond before %s, the next is said to be due at %s", next, c.Next)
			}
			b.clock.add(time.Millisecond)
			started := time.Now()
			c := claim(t, s, mostAtOnce)
			took = append(took, time.Since(started))
			var got []string
			for _, j := range c.Jobs {
				got = append(got, j.ID)
			}
			slices.Sort(got)
			slices.Sort(due[next])
			if !slices.Equal(got, due[next]) {
				t.Fatalf("at %s %v was claimed, want %v", next, got, due[next])
			}
		}
		slices.Sort(took)
		t.Logf("%d jobs wait: a claim takes %s, the slowest of %d took %s", waiting, took[len(took)/2], len(took), took[len(took)-1])
		if median := took[len(took)/2]; median > quick {
			t.Errorf("with %d jobs waiting a claim takes %s, want at most %s", waiting, median, quick)
		}
	})
}
