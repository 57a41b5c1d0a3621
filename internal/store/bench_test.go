package store

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"doorhook/internal/relay"
)

func onBoth(b *testing.B, f func(b *testing.B, s *Store)) {
	b.Run("embedded", func(b *testing.B) { f(b, open(b, Options{})) })
	b.Run("redis", func(b *testing.B) {
		f(b, open(b, Options{URL: sharedServer(b), Prefix: fmt.Sprintf("bench%d", beds.Add(1))}))
	})
}

func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	for i := range n {
		id := fmt.Sprint(i)
		p := relay.Plan{EventID: id, Booking: id, Version: version(1), Rules: []relay.Match{match("open", `{"lock_id":1}`)}}
		if _, err := s.Accept(ctx, event(id), p); err != nil {
			b.Fatal(err)
		}
	}
}

// The embedded Redis slows with the number of jobs, so that is fixed here: events
// of 100 bookings in turn.
func BenchmarkAccept(b *testing.B) {
	onBoth(b, func(b *testing.B, s *Store) {
		fill(b, s, 100)
		for i := 0; b.Loop(); i++ {
			id := fmt.Sprintf("e%d", i)
			p := relay.Plan{EventID: id, Booking: fmt.Sprint(i % 100), Version: new(float64(i)), Rules: []relay.Match{match("open", `{"lock_id":1}`)}}
			if _, err := s.Accept(ctx, event(id), p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// One job at a time, out of 100 that are due.
func BenchmarkClaimFinish(b *testing.B) {
	onBoth(b, func(b *testing.B, s *Store) {
		fill(b, s, 100)
		for b.Loop() {
			c, err := s.Claim(ctx, relay.Doors, 1)
			if err != nil || len(c.Jobs) != 1 {
				b.Fatalf("%d jobs, %v", len(c.Jobs), err)
			}
			if err := s.Finish(ctx, c.Jobs[0], c.Now.Add(-time.Second), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Events of bookings of their own, many at a time, as they come from a web server.
func BenchmarkAcceptTogether(b *testing.B) {
	onBoth(b, func(b *testing.B, s *Store) {
		var n atomic.Int64
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				id := fmt.Sprint("e", n.Add(1))
				if _, err := s.Accept(ctx, doorOpened(id), message(id)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
