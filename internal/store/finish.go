package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"doorhook/internal/relay"
)

// luaHeld checks the lease before anything is written, and says 0 if it is lost:
// to another worker, or to time, which another worker will notice.
const luaHeld = `
local job, due, name, token, have = KEYS[1], KEYS[2], ARGV[2], ARGV[3], ARGV[4]
local held = redis.call("HMGET", job, "token", "lease", "changes")
if held[1] ~= token or tonumber(held[2]) <= ms then return {text(us), "0"} end
local function putHave()
  if have == "" then redis.call("HDEL", job, "have") else redis.call("HSET", job, "have", have) end
end
`

// saveScript writes how far a job has got and renews its lease.
//
//	KEYS   1 job   2 due
//	ARGV   1 now   2 job name   3 token   4 have ("" nothing)   5 lease ms
//	gives  now, 1 (0 if the lease is lost), changes
var saveScript = newScript(luaTime + luaHeld + `
local lease = text(ms + tonumber(ARGV[5]))
putHave()
redis.call("HSET", job, "lease", lease)
redis.call("ZADD", due, lease, name)
return {text(us), "1", held[3]}`)

// finishScript writes how far a job has got and lets it go.
//
//	KEYS   1 job   2 due   3 dead   4.. letters
//	ARGV   1 now   2 job name   3 token   4 have ("" nothing)   5 changes at claim
//	       6 next ms ("" not before something happens)   7 retention ms ("" for ever)
//	       8 letter TTL ms   9.. letters: name, text
//	gives  now, 1 (0 if the lease is lost), whether the job is due at once
var finishScript = newScript(luaTime + luaLetters + luaHeld + `
putHave()
redis.call("HSET", job, "worked", ARGV[5])
redis.call("HDEL", job, "token", "lease")
local moved = held[3] ~= ARGV[5]
if moved then
  redis.call("ZADD", due, text(ms), name)
elseif ARGV[6] ~= "" then
  redis.call("ZADD", due, ARGV[6], name)
else
  redis.call("ZREM", due, name)
  if ARGV[7] ~= "" then redis.call("PEXPIRE", job, ARGV[7]) end
end
keepLetters(KEYS[3], 4, 9, ARGV[8])
return {text(us), "1", moved and "1" or ""}`)

// Save keeps the job in hand: it writes Have and renews the lease. It reports
// whether the job changed since it was claimed; then what is wanted is out of date,
// and the worker must stop and Finish. It fails with [relay.ErrLeaseLost] and
// writes nothing if the job is no longer in hand.
func (s *Store) Save(ctx context.Context, j relay.Job) (changed bool, err error) {
	have, err := encodeHave(j)
	if err != nil {
		return false, err
	}
	reply, err := s.run(ctx, "save job "+short(j.ID), saveScript, []string{s.keys.job(j.ID), s.keys.due()},
		short(j.ID), j.Token, have, s.opts.Lease.Milliseconds())
	if err != nil {
		return false, err
	}
	return num(reply, 2) != j.Changes, lost(reply, "save", j)
}

// Finish writes Have and lets the job go. It is due again at next, or, if next is
// zero, not before something happens; at once if it changed since it was claimed.
// It fails with [relay.ErrLeaseLost] and writes nothing, not even the letters, if
// the job is no longer in hand. Like Accept it may have had its effect when it
// fails with [relay.ErrUnavailable]; a second try then finds the lease lost.
func (s *Store) Finish(ctx context.Context, j relay.Job, next time.Time, letters []relay.DeadLetter) error {
	have, err := encodeHave(j)
	if err != nil {
		return err
	}
	names, texts, err := letterArgs(s.keys, letters)
	if err != nil {
		return fmt.Errorf("store: finish job %s: %w", short(j.ID), err)
	}
	keys := append([]string{s.keys.job(j.ID), s.keys.due(), s.keys.dead()}, names...)
	args := append([]any{
		short(j.ID), j.Token, have, j.Changes, score(next), s.retention(j), s.opts.LetterTTL.Milliseconds(),
	}, texts...)
	reply, err := s.run(ctx, "finish job "+short(j.ID), finishScript, keys, args...)
	if err != nil {
		return err
	}
	if str(reply, 2) != "" {
		s.signal()
	}
	return lost(reply, "finish", j)
}

func lost(reply []any, doing string, j relay.Job) error {
	if num(reply, 1) == 1 {
		return nil
	}
	return fmt.Errorf("store: %s job %s: %w", doing, short(j.ID), relay.ErrLeaseLost)
}

// retention is how long a job at rest is remembered. While something of it is in
// Kisi nothing else knows what to delete, so then it stays.
func (s *Store) retention(j relay.Job) string {
	if j.Standing() {
		return ""
	}
	return fmt.Sprint(s.opts.Retention.Milliseconds())
}

func score(next time.Time) string {
	if next.IsZero() {
		return ""
	}
	return fmt.Sprint(millis(next))
}

// encodeHave gives "" for nothing, so that a script sees it without reading JSON.
func encodeHave(j relay.Job) (string, error) {
	if len(j.Have) == 0 {
		return "", nil
	}
	b, err := json.Marshal(j.Have)
	if err != nil {
		return "", fmt.Errorf("store: job %s: have: %w", short(j.ID), err)
	}
	return string(b), nil
}
