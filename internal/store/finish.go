package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// settleScript writes how far jobs have got, and lets go of those that are finished. Each
// is done whole or not at all. It writes nothing of one whose lease is lost: to another
// worker, or to time, which another worker will notice.
//
// A message that is done is wanted by nobody but who looks at the newest: those keep
// their jobs, and of the others nothing stays. One that left dead letters, or was not
// sent, stays as long as any job.
//
//	KEYS   1 due   2 due messages   3 dead   4 sent, a list
//	ARGV   1 now   2 what every key starts with   3 lease ms   4 how long a job at rest,
//	       and whose an object is, is known, ms   5 letter TTL ms   6 how many finished
//	       messages are kept   7.. jobs, each of
//	       0 how many that are   1 letters: m waits among the messages, h stays in hand,
//	       e rests for ever, s is a message that is done   2 job name   3 token   4 have
//	       and 5 attempts ("" nothing)   6 changes at claim   7 next ms ("" not before
//	       something happens)
//	       and then whatever there is of: o key of an object · l name and text of a
//	       letter
//	gives  now, the lanes in which a job came due, and of each job, with spaces: ok,
//	       lost (the lease) or error; changes; what the error is
var settleScript = newScript(luaTime + luaDueNow + luaLetters + `
local ARGV, call, insert, prefix = ARGV, redis.call, table.insert, ARGV[2]
local dead, sent = KEYS[3], KEYS[4]
local at_rest, woke, finished = {[1] = {}, [2] = {}}, {}, {}
for _, key in ipairs({KEYS[1], KEYS[2], dead}) do call("ZCARD", key) end -- what is broken is so before anything is written
call("LLEN", sent)

local function settle(at)
  local flags, name = ARGV[at + 1], ARGV[at + 2]
  local function is(letter) return string.find(flags, letter, 1, true) end
  local lane = is("m") and 2 or 1
  local job, due = prefix .. "job:" .. name, KEYS[lane]
  local held = call("HMGET", job, "token", "lease", "head", "cancelled", "letters")
  local changes = string.match(held[3] or "", "^%d+")
  if held[1] ~= ARGV[at + 3] or tonumber(held[2]) <= ms then return "lost " .. (changes or "0") end

  -- Of a message that is done a field that says nothing may stay: it goes soon.
  local rests = not is("h") and changes == ARGV[at + 6] and ARGV[at + 7] == ""
  local done = rests and is("s") and held[5] ~= "1"
  local set, clear = {}, {}
  local function put(field, value)
    if value ~= "" or done then set[#set + 1], set[#set + 2] = field, value else insert(clear, field) end
  end
  put("have", ARGV[at + 4])
  put("attempts", ARGV[at + 5])
  if is("h") then
    local lease = text(ms + tonumber(ARGV[3]))
    put("lease", lease)
    call("ZADD", due, lease, name)
  else
    local behind = tonumber(changes) - tonumber(ARGV[at + 6])
    put("behind", behind > 0 and text(behind) or "")
    put("token", "")
    if done then
      put("sent", "1")
    else
      insert(clear, "lease")
      insert(clear, "since")
    end
    if rests then
      if not is("e") then call("PEXPIRE", job, ARGV[4]) end
    elseif changes ~= ARGV[at + 6] then
      call("ZADD", due, dueNow(held[4]), name)
      woke[lane] = true
    else
      call("ZADD", due, ARGV[at + 7], name)
    end
  end
  if #set > 0 then call("HSET", job, unpack(set)) end
  if #clear > 0 then call("HDEL", job, unpack(clear)) end
  if rests then -- if that was refused, it keeps its place
    insert(at_rest[lane], name)
    if done then insert(finished, name) end
  end

  local letters, i, stop = {}, at + 8, at + tonumber(ARGV[at])
  while i < stop do
    if ARGV[i] == "o" then
      call("SET", prefix .. ARGV[i + 1], name, "PX", ARGV[4])
      i = i + 2
    else
      insert(letters, ARGV[i + 1])
      insert(letters, ARGV[i + 2])
      i = i + 3
    end
  end
  if #letters > 0 then keepLetters(dead, prefix .. "letter:", letters, ARGV[5]) end
  return "ok " .. changes
end

local out, at = {text(us), ""}, 7
while at <= #ARGV do
  local ok, answer = pcall(settle, at)
  if not ok then answer = "error 0 " .. errorText(answer) end
  out[#out + 1] = answer
  at = at + tonumber(ARGV[at])
end
for lane, names in ipairs(at_rest) do
  if #names > 0 then call("ZREM", KEYS[lane], unpack(names)) end
end
if #finished > 0 then
  local over = call("LPUSH", sent, unpack(finished)) - tonumber(ARGV[6])
  local gone = {}
  for _, name in ipairs(over > 0 and call("RPOP", sent, over) or {}) do
    local last = prefix .. "job:" .. name
    if redis.pcall("HGET", last, "sent") == "1" then insert(gone, last) end -- or it has more to do since
  end
  if #gone > 0 then call("DEL", unpack(gone)) end
end
if woke[1] then out[2] = " " end
if woke[2] then out[2] = out[2] .. "messages " end
return out`)

// Save keeps the job in hand: it writes Have and renews the lease. It reports
// whether the job changed since it was claimed; then what is wanted is out of date,
// and the worker must stop and Finish. It fails with [relay.ErrLeaseLost] and
// writes nothing if the job is no longer in hand.
func (s *Store) Save(ctx context.Context, j relay.Job) (changed bool, err error) {
	changes, err := s.settle(ctx, "save", j, "h", "", nil)
	return changes != j.Changes, err
}

// Finish writes Have and lets the job go. It is due again at next, or, if next is
// zero, not before something happens; at once if it changed since it was claimed.
// It fails with [relay.ErrLeaseLost] and writes nothing, not even the letters, if
// the job is no longer in hand. Like Accept it may have had its effect when it
// fails with [relay.ErrUnavailable]; a second try then finds the lease lost.
func (s *Store) Finish(ctx context.Context, j relay.Job, next time.Time, letters []relay.DeadLetter) error {
	texts, err := letterArgs(letters)
	if err != nil {
		return fmt.Errorf("store: finish job %s: %w", short(j.ID), err)
	}
	flags := ""
	switch {
	case j.Standing(): // while something of it is in Kisi nothing else knows what to delete
		flags = "e"
	case done(j):
		flags = "s"
	}
	_, err = s.settle(ctx, "finish", j, flags, score(next), texts)
	return err
}

// settle gives how often the job has changed by now.
func (s *Store) settle(ctx context.Context, doing string, j relay.Job, flags, next string, letters []string) (changes int64, err error) {
	have, attempts, err := progress(j)
	if err != nil {
		return 0, err
	}
	if j.Lane == relay.Messages {
		flags += "m"
	}
	args := []string{"", flags, short(j.ID), j.Token, have, attempts, strconv.FormatInt(j.Changes, 10), next}
	for _, key := range objects(j) {
		args = append(args, "o", key)
	}
	answer, err := s.settling.do(ctx, withCount(withLetters(args, letters)))
	if err != nil {
		return 0, failed(doing+" job "+short(j.ID), err)
	}
	status, rest, _ := strings.Cut(answer, " ")
	if status != "ok" {
		err = fmt.Errorf("store: %s job %s: %w", doing, short(j.ID), relay.ErrLeaseLost)
	}
	return number(rest), err
}

// objects are the keys that say whose the objects of j are, without what every key starts
// with. They live as long as a create without an answer may be looked for, which is what
// they are for.
func objects(j relay.Job) []string {
	var keys []string
	for _, h := range j.Have {
		if h.Object != 0 {
			keys = append(keys, objectAs(h.Action.Kind, h.Object))
		}
		for _, old := range h.Old {
			keys = append(keys, objectAs(h.Action.Kind, old))
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

// mostSent is how many finished messages keep their jobs, for people to look at.
const mostSent = 1000

// done reports whether j is a message, and all of it is done.
func done(j relay.Job) bool {
	open := func(h relay.Held) bool { return h.State != relay.Done }
	return j.Lane == relay.Messages && !slices.ContainsFunc(j.Have, open)
}

func score(next time.Time) string {
	if next.IsZero() {
		return ""
	}
	return strconv.FormatInt(millis(next), 10)
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
