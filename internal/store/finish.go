package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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

// luaOwn notes whose the objects are that a job has in Kisi.
const luaOwn = `
local function own(from, to, ttl)
  for i = from, to do redis.call("SET", KEYS[i], name, "PX", ttl) end
end
`

// saveScript writes how far a job has got and renews its lease.
//
//	KEYS   1 job   2 due   3.. objects
//	ARGV   1 now   2 job name   3 token   4 have ("" nothing)   5 lease ms
//	       6 how long it is known whose an object is, ms
//	gives  now, 1 (0 if the lease is lost), changes
var saveScript = newScript(luaTime + luaHeld + luaOwn + `
local lease = text(ms + tonumber(ARGV[5]))
putHave()
own(3, #KEYS, ARGV[6])
redis.call("HSET", job, "lease", lease)
redis.call("ZADD", due, lease, name)
return {text(us), "1", held[3]}`)

// finishScript writes how far a job has got and lets it go.
//
//	KEYS   1 job   2 due   3 dead   4.. objects, letters
//	ARGV   1 now   2 job name   3 token   4 have ("" nothing)   5 changes at claim
//	       6 next ms ("" not before something happens)   7 retention ms ("" for ever)
//	       8 letter TTL ms   9 how many objects   10 how long it is known whose they
//	       are, ms   11.. letters: name, text
//	gives  now, 1 (0 if the lease is lost), whether the job is due at once
var finishScript = newScript(luaTime + luaLetters + luaHeld + luaOwn + `
putHave()
own(4, 3 + tonumber(ARGV[9]), ARGV[10])
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
keepLetters(KEYS[3], 4 + tonumber(ARGV[9]), 11, ARGV[8])
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
	reply, err := s.run(ctx, "save job "+short(j.ID), saveScript,
		append([]string{s.keys.job(j.ID), s.keys.due()}, s.objects(j)...),
		short(j.ID), j.Token, have, s.opts.Lease.Milliseconds(), s.opts.Retention.Milliseconds())
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
	objects := s.objects(j)
	keys := slices.Concat([]string{s.keys.job(j.ID), s.keys.due(), s.keys.dead()}, objects, names)
	args := append([]any{
		short(j.ID), j.Token, have, j.Changes, score(next), s.retention(j), s.opts.LetterTTL.Milliseconds(),
		len(objects), s.opts.Retention.Milliseconds(),
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

// objects are the keys that say whose the objects of j are. They live as long as a
// create without an answer may be looked for, which is what they are for.
func (s *Store) objects(j relay.Job) []string {
	var keys []string
	for _, h := range j.Have {
		if h.Object != 0 {
			keys = append(keys, s.keys.object(h.Action.Kind, h.Object))
		}
		for _, old := range h.Old {
			keys = append(keys, s.keys.object(h.Action.Kind, old))
		}
	}
	return keys
}

// adoptScript takes the first object that nobody else has.
//
//	KEYS   objects
//	ARGV   1 now   2 job name   3 how long it is known whose an object is, ms
//	gives  now, which of the keys, counted from 1; 0 if all are others'
var adoptScript = newScript(luaTime + `
for i, key in ipairs(KEYS) do
  local owner = redis.call("GET", key)
  if not owner or owner == ARGV[2] then
    redis.call("SET", key, ARGV[2], "PX", ARGV[3])
    return {text(us), tostring(i)}
  end
end
return {text(us), "0"}`)

// Adopt gives the first of objects that no other job has, and notes that j has it
// now; 0 if there is none. Two bookings may ask for the same, and what one of them
// was given must not be taken, and later deleted, for the other.
func (s *Store) Adopt(ctx context.Context, j relay.Job, k relay.Kind, objects []int64) (int64, error) {
	keys := make([]string, len(objects))
	for i, object := range objects {
		keys[i] = s.keys.object(k, object)
	}
	reply, err := s.run(ctx, "adopt for job "+short(j.ID), adoptScript, keys, short(j.ID), s.opts.Retention.Milliseconds())
	if err != nil {
		return 0, err
	}
	if i := num(reply, 1); i > 0 {
		return objects[i-1], nil
	}
	return 0, nil
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
