package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
)

// These answer people. They use plain commands, and may cost a few of them.

// mostListed bounds a list, and with it what one answer holds in memory.
const mostListed = 1000

var lanes = [...]relay.Lane{relay.Doors, relay.Messages}

// Events gives accepted events, the newest first: those before the place in the
// list that an earlier answer ended at, or all if it is "".
func (s *Store) Events(ctx context.Context, before string, limit int) ([]relay.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	from := "+"
	if before != "" {
		from = "(" + before
	}
	entries, err := s.rdb.XRevRangeN(ctx, s.keys.events(), from, "-", int64(min(limit, mostListed))).Result()
	if err != nil {
		return nil, failed("list events", err)
	}
	out := make([]relay.Record, len(entries))
	for i, e := range entries {
		out[i] = recorded(e)
	}
	return out, nil
}

// Event gives one accepted event by its place in the list; false if it is not kept
// any more.
func (s *Store) Event(ctx context.Context, place string) (relay.Record, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	entries, err := s.rdb.XRange(ctx, s.keys.events(), place, place).Result()
	if err != nil || len(entries) == 0 {
		if err != nil {
			err = failed("read event "+place, err)
		}
		return relay.Record{}, false, err
	}
	return recorded(entries[0]), true, nil
}

// recorded reads an entry of the list: its head has the status, when the event was
// received, ms, and the job. What cannot be read is left out.
func recorded(e redis.XMessage) relay.Record {
	field := func(name string) string { text, _ := e.Values[name].(string); return text }
	var k kept
	_ = json.Unmarshal([]byte(field("record")), &k)
	if k.Event != nil {
		_ = json.Unmarshal(k.Event, &struct{ ID, Trigger *string }{&k.ID, &k.Trigger})
	}
	status, rest, _ := strings.Cut(field("head"), " ")
	received, job, _ := strings.Cut(rest, " ")
	return relay.Record{
		ID: e.ID, At: time.UnixMilli(number(received)).UTC(), Trigger: k.Trigger, EventID: short(k.ID),
		Status: relay.Status(status), JobID: job, Rules: k.Rules, Revision: k.Revision, Size: int64(k.Size), Event: k.Event,
	}
}

// Waiting gives the jobs of all lanes that are looked at next, the next first.
func (s *Store) Waiting(ctx context.Context, limit int) ([]relay.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	limit = max(0, min(limit, mostListed))
	var all []redis.Z
	for _, lane := range lanes {
		due, err := s.rdb.ZRangeWithScores(ctx, s.keys.due(lane), 0, int64(limit)-1).Result()
		if err != nil {
			return nil, failed("list waiting jobs", err)
		}
		all = append(all, due...)
	}
	slices.SortStableFunc(all, func(a, b redis.Z) int { return cmp.Compare(a.Score, b.Score) })
	var names []string
	for _, z := range all[:min(limit, len(all))] {
		name, _ := z.Member.(string)
		names = append(names, name)
	}
	return s.jobs(ctx, names)
}

// Recent gives the jobs that events changed last, the newest first.
func (s *Store) Recent(ctx context.Context, limit int) ([]relay.Job, error) {
	limit = min(limit, mostListed)
	var names []string
	seen := map[string]bool{}
	for before := ""; len(names) < limit; {
		events, err := s.Events(ctx, before, mostListed)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if before = e.ID; e.JobID != "" && !seen[e.JobID] && len(names) < limit {
				seen[e.JobID] = true
				names = append(names, short(e.JobID))
			}
		}
		if len(events) < mostListed {
			break
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return s.jobs(ctx, names)
}

// Job reads a job without taking it in hand.
func (s *Store) Job(ctx context.Context, id string) (relay.Job, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	jobs, err := s.jobs(ctx, []string{short(id)})
	if err != nil || len(jobs) == 0 {
		return relay.Job{}, false, err
	}
	return jobs[0], true, nil
}

// jobs reads jobs in one round trip. Those that are no more are left out; one that
// cannot be read is in the error, and the others are given all the same.
func (s *Store) jobs(ctx context.Context, names []string) ([]relay.Job, error) {
	if len(names) == 0 {
		return nil, nil
	}
	hashes, scores := make([]*redis.MapStringStringCmd, len(names)), make([][]*redis.FloatCmd, len(names))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			hashes[i] = p.HGetAll(ctx, s.keys.jobs()+name)
			for _, lane := range lanes {
				scores[i] = append(scores[i], p.ZScore(ctx, s.keys.due(lane), name))
			}
		}
		return nil
	})
	var answer redis.Error
	if err != nil && !errors.As(err, &answer) {
		return nil, failed("read jobs", err)
	}
	var out []relay.Job
	var broken []error
	for i, name := range names {
		hash, err := hashes[i].Result()
		if err != nil {
			broken = append(broken, failed("read job "+name, err))
			continue
		}
		if len(hash) == 0 {
			continue
		}
		j, err := decode(name, hash)
		if err != nil {
			broken = append(broken, fmt.Errorf("store: read job %s: %w", name, err))
			continue
		}
		j.DueAt = dueAt(j, scores[i])
		out = append(out, j)
	}
	return out, errors.Join(broken...)
}

// dueAt is when j is looked at next, by its scores in all lanes, of which it is in one.
func dueAt(j relay.Job, scores []*redis.FloatCmd) time.Time {
	for _, s := range scores {
		if score, err := s.Result(); err == nil {
			at := time.UnixMilli(int64(score)).UTC()
			if at.Before(j.ChangedAt) { // it goes before others
				return j.ChangedAt
			}
			return at
		}
	}
	return time.Time{}
}
