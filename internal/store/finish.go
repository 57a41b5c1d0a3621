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
local job, due, name, token = KEYS[1], KEYS[2], ARGV[2], ARGV[3]
local held = redis.call("HMGET", job, "token", "lease", "changes", "cancelled")
if held[1] ~= token or tonumber(held[2]) <= ms then return {text(us), "0"} end
local function put(field, value)
  if value == "" then redis.call("HDEL", job, field) else redis.call("HSET", job, field, value) end
end
local function putProgress()
  put("have", ARGV[4])
  put("attempts", ARGV[5])
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
//	ARGV   1 now   2 job name   3 token   4 have, 5 attempts ("" nothing)
//	       6 lease ms   7 how long it is known whose an object is, ms
//	gives  now, 1 (0 if the lease is lost), changes
var saveScript = newScript(luaTime + luaHeld + luaOwn + `
local lease = text(ms + tonumber(ARGV[6]))
putProgress()
own(3, #KEYS, ARGV[7])
redis.call("HSET", job, "lease", lease)
redis.call("ZADD", due, lease, name)
return {text(us), "1", held[3]}`)

// finishScript writes how far a job has got and lets it go.
//
// A message that is done is wanted by nobody but who looks at the newest: those keep
// their jobs, and of the others nothing stays. One that left dead letters, or was not
// sent, stays as long as any job.
//
//	KEYS   1 job   2 due   3 dead   4 sent, a list   5.. objects, letters
//	ARGV   1 now   2 job name   3 token   4 have, 5 attempts ("" nothing)
//	       6 changes at claim   7 next ms ("" not before something happens)
//	       8 retention ms ("" for ever)   9 letter TTL ms   10 how many objects
//	       11 how long it is known whose they are, ms   12 how many finished
//	       messages are kept ("" if it is none, or not done)   13 what jobs' keys
//	       start with   14.. letters: name, text
//	gives  now, 1 (0 if the lease is lost), whether the job is due at once
var finishScript = newScript(luaTime + luaDueNow + luaLetters + luaHeld + luaOwn + `
putProgress()
own(5, 4 + tonumber(ARGV[10]), ARGV[11])
redis.call("HSET", job, "worked", ARGV[6])
redis.call("HDEL", job, "token", "lease")
local moved = held[3] ~= ARGV[6]
if moved then
  redis.call("ZADD", due, dueNow(held[4]), name)
elseif ARGV[7] ~= "" then
  redis.call("ZADD", due, ARGV[7], name)
else
  redis.call("ZREM", due, name)
  if ARGV[8] ~= "" then redis.call("PEXPIRE", job, ARGV[8]) end
  if ARGV[12] ~= "" and redis.call("HGET", job, "letters") ~= "1" then
    redis.call("HSET", job, "sent", "1")
    local over = redis.call("LPUSH", KEYS[4], name) - tonumber(ARGV[12])
    for i = 1, over do
      local last = ARGV[13] .. redis.call("RPOP", KEYS[4])
      if redis.call("HGET", last, "sent") then redis.call("DEL", last) end -- or it has more to do since
    end
  end
end
keepLetters(KEYS[3], 5 + tonumber(ARGV[10]), 14, ARGV[9])
return {text(us), "1", moved and "1" or ""}`)

// Save keeps the job in hand: it writes Have and renews the lease. It reports
// whether the job changed since it was claimed; then what is wanted is out of date,
// and the worker must stop and Finish. It fails with [relay.ErrLeaseLost] and
// writes nothing if the job is no longer in hand.
func (s *Store) Save(ctx context.Context, j relay.Job) (changed bool, err error) {
	have, attempts, err := progress(j)
	if err != nil {
		return false, err
	}
	reply, err := s.run(ctx, "save job "+short(j.ID), saveScript,
		append([]string{s.keys.job(j.ID), s.keys.due(j.Lane)}, s.objects(j)...),
		short(j.ID), j.Token, have, attempts, s.opts.Lease.Milliseconds(), s.opts.Retention.Milliseconds())
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
	have, attempts, err := progress(j)
	if err != nil {
		return err
	}
	names, texts, err := letterArgs(s.keys, letters)
	if err != nil {
		return fmt.Errorf("store: finish job %s: %w", short(j.ID), err)
	}
	objects := s.objects(j)
	keys := slices.Concat([]string{s.keys.job(j.ID), s.keys.due(j.Lane), s.keys.dead(), s.keys.sent()}, objects, names)
	args := append([]any{
		short(j.ID), j.Token, have, attempts, j.Changes, score(next), s.retention(j), s.opts.LetterTTL.Milliseconds(),
		len(objects), s.opts.Retention.Milliseconds(), s.sentKept(j), s.keys.jobs(),
	}, texts...)
	reply, err := s.run(ctx, "finish job "+short(j.ID), finishScript, keys, args...)
	if err != nil {
		return err
	}
	if str(reply, 2) != "" {
		s.signal(j.Lane)
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

// mostSent is how many finished messages keep their jobs, for people to look at.
const mostSent = 1000

// sentKept is how many finished messages are kept if j is one, and "" if it is not.
func (s *Store) sentKept(j relay.Job) string {
	open := func(h relay.Held) bool { return h.State != relay.Done }
	if j.Lane != relay.Messages || j.Standing() || slices.ContainsFunc(j.Have, open) {
		return ""
	}
	return fmt.Sprint(s.mostSent)
}

func score(next time.Time) string {
	if next.IsZero() {
		return ""
	}
	return fmt.Sprint(millis(next))
}

// progress is how far j has got, as its hash has it.
func progress(j relay.Job) (have, attempts string, err error) {
	if have, err = encode(j.Have); err != nil {
		return "", "", fmt.Errorf("store: job %s: have: %w", short(j.ID), err)
	}
	if attempts, err = encode(j.Attempts); err != nil {
		return "", "", fmt.Errorf("store: job %s: attempts: %w", short(j.ID), err)
	}
	return have, attempts, nil
}

// encode gives "" for nothing, so that a script sees it without reading JSON.
func encode[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}
