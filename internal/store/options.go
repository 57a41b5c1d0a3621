package store

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Options say where the store is and how long it remembers. Only URL has no
// default that suits production.
type Options struct {
	// URL is one of these; rediss in place of redis means TLS:
	//
	//	redis://user:password@host:6379/0
	//	unix://user:password@/path/to/redis.sock?db=0
	//	redis-sentinel://user:password@host1:26379,host2:26379/0?master_name=mymaster
	//	redis-cluster://user:password@host1:6379,host2:6379
	//
	// redis+sentinel:// and redis+cluster:// mean the same, and so do redis://
	// with ?master_name=mymaster or ?cluster=true. The user and password are for
	// the Redis servers; sentinels that want their own take sentinel_username=
	// and sentinel_password=. Other query fields are those of go-redis.
	//
	// "" is an embedded Redis in this process, which no other process can share.
	URL string
	// Data is the folder in which an embedded Redis keeps what it is told, so that
	// it survives a restart and a crash; "" keeps it in memory. It cannot be given
	// together with URL.
	Data string
	// Prefix is the hash tag of every key: it keeps all keys on one node of a
	// cluster, and several doorhooks apart on one Redis. "" means "doorhook".
	Prefix string

	Lease     time.Duration // how long a worker holds a claimed job; 0 means 10s
	DedupTTL  time.Duration // how long an event's identity is remembered; 0 means 7 days
	Retention time.Duration // how long a job at rest is remembered; 0 means 7 days, or DedupTTL if that is longer
	LetterTTL time.Duration // how long a dead letter is kept; 0 means 30 days
	Events    int64         // how many events are kept, about; 0 means 10,000

	// MaxWaiting is how many jobs of a lane may be due and in nobody's hand, and
	// MaxWaitingAge for how long, before no more are accepted; 0 means 100,000 and 1h,
	// less than 0 any.
	MaxWaiting    int64
	MaxWaitingAge time.Duration

	// Now replaces the time of Redis in every script. It is for tests only:
	// with it, hosts whose clocks differ no longer agree.
	Now func() time.Time
}

const day = 24 * time.Hour

func (o Options) withDefaults() (Options, error) {
	o.Prefix = cmp.Or(o.Prefix, "doorhook")
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.DedupTTL = cmp.Or(o.DedupTTL, 7*day)
	o.Retention = cmp.Or(o.Retention, max(7*day, o.DedupTTL))
	o.LetterTTL = cmp.Or(o.LetterTTL, 30*day)
	o.Events = cmp.Or(o.Events, 10_000)
	o.MaxWaiting = cmp.Or(o.MaxWaiting, 100_000)
	o.MaxWaitingAge = cmp.Or(o.MaxWaitingAge, time.Hour)
	return o, o.check()
}

func (o Options) check() error {
	if strings.ContainsAny(o.Prefix, "{}") || strings.ContainsFunc(o.Prefix, unicode.IsSpace) {
		return fmt.Errorf("store: Prefix %q must not contain braces or whitespace: it is the hash tag of every key", o.Prefix)
	}
	for name, d := range map[string]time.Duration{
		"Lease": o.Lease, "DedupTTL": o.DedupTTL, "Retention": o.Retention, "LetterTTL": o.LetterTTL,
	} {
		if d < time.Millisecond {
			return fmt.Errorf("store: %s is %s; Redis counts in whole milliseconds, so it must be at least 1ms", name, d)
		}
	}
	if o.URL != "" && o.Data != "" {
		return errors.New("store: a folder for the data of the embedded Redis is given, and another Redis: choose one")
	}
	if o.Events < 1 {
		return fmt.Errorf("store: Events is %d; it must be at least 1", o.Events)
	}
	if o.Retention < o.DedupTTL {
		return errors.New("store: Retention must not be shorter than DedupTTL: " +
			"a booking whose version is forgotten lets in an old event that the sender repeats")
	}
	return nil
}
