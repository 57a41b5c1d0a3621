// Package store keeps jobs, events and dead letters in Redis, and knows every key
// and every script there is. It does not know what an action does: what is wanted
// and what stands pass through it as they are.
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"doorhook/internal/embedded"
	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Store is a connection to Redis. It is safe for use by many goroutines.
type Store struct {
	opts     Options
	keys     keys
	clock    clock
	rdb      client
	embedded *embedded.Redis // nil if Redis is elsewhere
	name     string          // tells our own hints from others'
	patience time.Duration   // limit on one call
	mostSent int             // finished messages that keep their jobs

	accepting, settling group

	wake       map[relay.Lane]chan struct{} // does not change
	subscribed *redis.PubSub                // nil if embedded
	listening  sync.WaitGroup
	closing    sync.Once
	closed     error
}

// Open connects, and checks that Redis can do all that the store needs. The
// Store must be closed.
func Open(ctx context.Context, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		opts: o, keys: newKeys(o.Prefix), clock: clock{fixed: o.Now, host: time.Now},
		name: rand.Text(), patience: 2 * time.Second, mostSent: mostSent, wake: map[relay.Lane]chan struct{}{},
	}
	for _, lane := range lanes {
		s.wake[lane] = make(chan struct{}, 1)
	}
	logging.Disable() // go-redis writes to stderr what it also returns
	if err := s.connect(o.URL); err != nil {
		return nil, err
	}
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not serve: %w; check that it runs there, is Redis 6.2 or newer, "+
			"takes writes, and that the user and password of its URL are right", s.rdb.where, err), s.Close())
	}
	s.gather()
	s.listen(ctx)
	return s, nil
}

// gather says what travels together.
func (s *Store) gather() {
	o, k := s.opts, s.keys
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	s.accepting = group{
		store: s, script: acceptScript, slow: slowCall,
		keys: []string{k.due(relay.Doors), k.due(relay.Messages), k.events(), k.dead(), k.opened()},
		common: []string{
			k.tag, ms(o.DedupTTL), ms(o.LetterTTL), strconv.FormatInt(o.Events, 10), s.name, ms(openedTTL),
			atMost(o.MaxWaiting), atMost(o.MaxWaitingAge.Milliseconds()), strconv.FormatInt(s.Now().UnixMilli(), 10),
		},
	}
	s.settling = group{
		store: s, script: settleScript, slow: slowCall,
		keys:   []string{k.due(relay.Doors), k.due(relay.Messages), k.dead(), k.sent()},
		common: []string{k.tag, ms(o.Lease), ms(o.Retention), ms(o.LetterTTL), strconv.Itoa(s.mostSent)},
	}
}

// atMost is how a script takes a limit: "" is none.
func atMost(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func (s *Store) connect(url string) (err error) {
	if url != "" {
		s.rdb, err = newClient(url)
		return err
	}
	if s.opts.Now != nil && s.opts.Data == "" {
		s.embedded, err = embedded.OpenIn(s.opts.Now)
	} else {
		s.embedded, err = embedded.Open(s.opts.Data)
	}
	if err != nil {
		return err
	}
	s.rdb = embeddedClient(s.embedded)
	return nil
}

// Close ends the connection and all that Open started. What an embedded Redis
// held in memory is gone.
func (s *Store) Close() error {
	s.closing.Do(func() {
		if s.subscribed != nil {
			s.closed = s.subscribed.Close()
		}
		s.listening.Wait()
		s.accepting.close()
		s.settling.close()
		s.closed = errors.Join(s.closed, s.rdb.Close())
		if s.embedded != nil {
			s.closed = errors.Join(s.closed, s.embedded.Close())
		}
	})
	return s.closed
}

// Embedded reports whether Redis lives in this process, so that no other can share it.
func (s *Store) Embedded() bool { return s.embedded != nil }

// Lasting reports whether what is accepted outlives this process.
func (s *Store) Lasting() bool { return s.embedded == nil || s.embedded.Persistent() }

// Lease is how long a claimed job is held.
func (s *Store) Lease() time.Duration { return s.opts.Lease }

// Retention is how long a job at rest is remembered.
func (s *Store) Retention() time.Duration { return s.opts.Retention }

// Now is the store's clock: the host's, corrected by what the newest answer of
// Redis showed. Hosts whose clocks differ agree in it.
func (s *Store) Now() time.Time { return s.clock.now() }

// pingScript does what a script of ours has to be able to do. A replica, a full
// Redis or one before 6.2 fails here, and not in the middle of an accept.
//
//	KEYS  1 ping
//	ARGV  1 now
//	gives now
var pingScript = newScript(luaTime + `
redis.call("ZADD", KEYS[1], "LT", ms, "ping")
redis.call("PEXPIRE", KEYS[1], 60000)
return {text(us)}`).unlogged()

// Ping reports whether an event could be accepted now.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.run(ctx, "ping", pingScript, []string{s.keys.ping()})
	return err
}
