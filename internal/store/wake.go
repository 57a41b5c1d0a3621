package store

import (
	"context"
	"strings"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
)

// Wake gives a hint that a job of a lane may be due before the last Claim's Next. It holds
// one hint; several of them are as good as one. Hints can be lost, and can come to
// nothing: whoever waits for one must also look again after a while.
func (s *Store) Wake(l relay.Lane) <-chan struct{} { return s.wake[l] }

func (s *Store) signal(l relay.Lane) {
	select {
	case s.wake[l] <- struct{}{}:
	default: // one is waiting already
	}
}

// woke signals all lanes in text, each of which has a space after it.
func (s *Store) woke(text string) {
	for lane, rest, ok := strings.Cut(text, " "); ok; lane, rest, ok = strings.Cut(rest, " ") {
		s.signal(relay.Lane(lane))
	}
}

// listen passes on other processes' hints until Close. An embedded Redis has no
// other processes.
func (s *Store) listen(ctx context.Context) {
	if s.embedded != nil {
		return
	}
	s.subscribed = s.rdb.Subscribe(ctx, s.keys.wake())
	heard := s.subscribed.ChannelWithSubscriptions()
	s.listening.Go(func() {
		for m := range heard { // it reconnects by itself, and ends with Close
			s.hear(m)
		}
	})
}

func (s *Store) hear(m any) {
	switch m := m.(type) {
	case *redis.Message:
		if name, lane, _ := strings.Cut(m.Payload, " "); name != s.name {
			s.signal(relay.Lane(lane))
		}
	case *redis.Subscription: // connected again: hints were lost meanwhile
		for _, lane := range lanes {
			s.signal(lane)
		}
	}
}
