package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
)

// Inspect examines Redis: whether it serves, and whether it keeps what it is given.
func (s *Store) Inspect(ctx context.Context) []relay.Check {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	sent := s.clock.host()
	if err := s.Ping(ctx); err != nil {
		return []relay.Check{{
			Name: "Redis", Health: relay.Sick, Says: err.Error(),
			Advice: "check that it runs, takes writes, is Redis 6.2 or newer, and that the user and password of its URL are right; until then triggers are answered 503",
		}}
	}
	took := s.clock.host().Sub(sent)
	checks := []relay.Check{{Name: "Redis", Health: relay.Healthy, Says: fmt.Sprintf("%s takes writes and answers within %s", s.rdb.where, took.Round(10*time.Microsecond))}}
	checks = append(checks, s.inspectClock(), s.inspectMemory(), s.inspectWaiting(ctx))
	if s.embedded != nil {
		return append(checks, s.inspectEmbedded())
	}
	return append(checks, s.inspectServers(ctx)...)
}

// inspectClock compares the clock of Redis, which counts, with this host's, which
// the answer to Ping has just shown.
func (s *Store) inspectClock() relay.Check {
	off := s.Now().Sub(s.clock.host()).Round(time.Millisecond)
	c := relay.Check{Name: "clock", Health: relay.Healthy, Says: fmt.Sprintf("the clock of Redis, by which doors open, is %s from this host's", off.Abs())}
	if off.Abs() > 5*time.Second {
		c.Health, c.Advice = relay.Doubt, "have both hosts keep the time by NTP: actions come due by the clock of Redis"
	}
	return c
}

func (s *Store) inspectMemory() relay.Check {
	return relay.Check{Name: "memory of events", Health: relay.Healthy, Says: fmt.Sprintf(
		"an event sent again within %s is a duplicate; a booking at rest is known for %s, a dead letter for %s; about %d events are listed",
		period(s.opts.DedupTTL), period(s.opts.Retention), period(s.opts.LetterTTL), s.opts.Events)}
}

// inspectWaiting says how much is due that nobody has begun, beside what may be.
func (s *Store) inspectWaiting(ctx context.Context) relay.Check {
	var jobs int64
	var oldest time.Duration
	now := s.Now()
	for _, lane := range lanes {
		n, age, err := s.waiting(ctx, lane, now)
		if err != nil {
			return relay.Check{Name: "waiting work", Health: relay.Sick, Says: err.Error(), Advice: "check that Redis serves"}
		}
		jobs, oldest = max(jobs, n), max(oldest, age)
	}
	c := relay.Check{Name: "waiting work", Health: relay.Healthy, Says: fmt.Sprintf("%d jobs are due and not begun, the oldest for %s", jobs, oldest.Round(time.Second))}
	if over := s.opts.MaxWaiting > 0 && jobs >= s.opts.MaxWaiting || s.opts.MaxWaitingAge > 0 && oldest > s.opts.MaxWaitingAge; over {
		c.Health = relay.Sick
		c.Advice = "that is more than DOORHOOK_MAX_WAITING or DOORHOOK_MAX_WAITING_AGE allow, so triggers are answered 503, or will be when doorhook has run for so long: see whether a doorhook runs that works, and what its log says of Kisi and of receivers"
	}
	return c
}

// waiting is how many jobs of a lane are due and in nobody's hand, and for how long the
// oldest is, of those that are not cancelled.
func (s *Store) waiting(ctx context.Context, lane relay.Lane, now time.Time) (n int64, oldest time.Duration, err error) {
	due, ms := s.keys.due(lane), strconv.FormatInt(now.UnixMilli(), 10)
	if n, err = s.rdb.ZCount(ctx, due, "-inf", ms).Result(); err != nil {
		return 0, 0, failed("count waiting jobs", err)
	}
	first, err := s.rdb.ZRangeByScoreWithScores(ctx, due, &redis.ZRangeBy{Min: strconv.Itoa(firstScore), Max: ms, Count: 1}).Result()
	if err != nil {
		return 0, 0, failed("count waiting jobs", err)
	}
	if len(first) > 0 {
		oldest = now.Sub(time.UnixMilli(int64(first[0].Score)))
	}
	return n, oldest, nil
}

// period writes whole days as days.
func period(d time.Duration) string {
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

func (s *Store) inspectEmbedded() relay.Check {
	if s.embedded.Persistent() {
		return relay.Check{Name: "persistence", Health: relay.Healthy, Says: "the embedded Redis writes every change to disk before it is answered"}
	}
	return relay.Check{
		Name: "persistence", Health: relay.Doubt, Says: "the embedded Redis keeps everything in memory: a restart forgets all bookings, and their doors are not shut again",
		Advice: "set DOORHOOK_DATA to a folder, or DOORHOOK_REDIS to a Redis",
	}
}

// inspectServers asks each server that holds data; with one that may not be asked,
// as some providers have it, that is the finding.
func (s *Store) inspectServers(ctx context.Context) []relay.Check {
	var mu sync.Mutex
	var checks []relay.Check
	ask := func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "server", "persistence", "memory").Result()
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			checks = append(checks, relay.Check{
				Name: "persistence", Health: relay.Doubt, Says: fmt.Sprintf("%s does not say how it keeps data: %v", c.Options().Addr, err),
				Advice: "see that it has appendonly yes and maxmemory-policy noeviction",
			})
			return nil
		}
		checks = append(checks, judgeServer(readInfo(info))...)
		return nil
	}
	var err error
	switch c := s.rdb.UniversalClient.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, ask)
	case *redis.Client:
		err = ask(ctx, c)
	}
	if err != nil {
		checks = append(checks, relay.Check{Name: "persistence", Health: relay.Sick, Says: err.Error(), Advice: "see that all nodes of the cluster can be reached from here"})
	}
	return checks
}

// readInfo reads the answer to INFO.
func readInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// judgeServer says what the INFO of a server means for what it holds.
func judgeServer(info map[string]string) []relay.Check {
	persistence := relay.Check{Name: "persistence", Health: relay.Healthy, Says: "appendonly is on: at most the last second is lost if the machine loses power, nothing with appendfsync always"}
	switch {
	case info["aof_enabled"] == "1" && info["aof_last_write_status"] == "err":
		persistence = relay.Check{Name: "persistence", Health: relay.Sick, Says: "Redis cannot write its append-only file", Advice: "see its log; perhaps the disk is full"}
	case info["aof_enabled"] == "1":
	case info["aof_enabled"] == "":
		persistence = relay.Check{Name: "persistence", Health: relay.Doubt, Says: "Redis does not say how it keeps data", Advice: "see that it has appendonly yes"}
	default:
		persistence = relay.Check{
			Name: "persistence", Health: relay.Doubt, Says: "appendonly is off: what came since the last snapshot is lost if Redis ends",
			Advice: "set appendonly yes in redis.conf (CONFIG SET appendonly yes, then CONFIG REWRITE)",
		}
	}
	eviction := relay.Check{Name: "eviction", Health: relay.Healthy, Says: "Redis refuses writes when it is full and forgets nothing (noeviction)"}
	if policy := info["maxmemory_policy"]; policy != "noeviction" {
		eviction = relay.Check{
			Name: "eviction", Health: relay.Sick, Says: fmt.Sprintf("when Redis is full it forgets keys (maxmemory-policy %s): bookings would be lost, and with them what has to be taken back", policy),
			Advice: "set maxmemory-policy noeviction",
		}
		if info["maxmemory"] == "0" {
			eviction.Health = relay.Doubt // it is never full
		}
	}
	checks := []relay.Check{persistence, eviction}
	used, limit := number(info["used_memory"]), number(info["maxmemory"])
	if limit > 0 && used > limit/10*8 {
		checks = append(checks, relay.Check{
			Name: "room", Health: relay.Doubt, Says: fmt.Sprintf("Redis uses %d of %d MiB; when it is full, triggers are answered 503", used>>20, limit>>20),
			Advice: "give it more memory (maxmemory), or keep less: DOORHOOK_EVENTS, DOORHOOK_RETENTION",
		})
	}
	return checks
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
