package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"doorhook/internal/relay"
)

// acceptScript takes in one event, all of it or nothing.
//
//	KEYS   1 job   2 due   3 events   4 dead   5 seen (the job's key again if the
//	       event has no identity: it must be on the same node)   6 when the trigger
//	       granted what, a list   7 when which lock was opened   8 due messages
//	       9.. letters
//	ARGV   1 now   2 job name   3 job id   4 trigger   5 booking   6 event id
//	       7 deduplicated   8 fatal   9 version ("" none)   10 version is a time in µs
//	       11 cancelled   12 dedup TTL ms   13 letter TTL ms   14 events kept
//	       15 wake channel   16 our name   17 "" or, of a replay, how many changes
//	       the job may have had   18 what letters' keys start with   19 when the
//	       event was received, µs
//	       20 how many follow of each: fields of the record, 21 rules with what
//	       they want and its sum, 22 undecided rules, 23 names of letters that this
//	       event replays
//	       24 how many actions may be granted in a minute ("" any number), and the
//	       letter if it would be more: 25 name, 26 text   27 revision of the rules
//	       28 the lock that somebody opened ("" none)   29 when, ms   30 how long that is
//	       remembered, ms   31 lane of a new job
//	       32.. what follows, then the letters: name, text
//	gives  now, status, job id, changes, whether the job came due, its lane
//
// A job's hash: id trigger booking event received record revision version unversioned
// changes changed worked cancelled tombstone token lease lane letters sent have
// attempts, and for each rule that wants something want:<rule> and sum:<rule>. Of
// these, letters says that rules left some of the event, and sent that the job is in
// the list of finished messages.
var acceptScript = newScript(luaTime + luaDueNow + luaLetters + luaGrants + luaOpened + `
local job, due, events, dead, seen, grants = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local name, id, booking = ARGV[2], ARGV[3], ARGV[5]
local dedup, cancelled = ARGV[7] ~= "", ARGV[11] ~= ""
local version, timed = tonumber(ARGV[9]), ARGV[10] ~= ""
local replay = ARGV[17] ~= ""
local recordAt = 32
local wantAt = recordAt + tonumber(ARGV[20])
local undecidedAt = wantAt + 3 * tonumber(ARGV[21])
local replaysAt = undecidedAt + tonumber(ARGV[22])
local lettersAt = replaysAt + tonumber(ARGV[23])

local function record(status, jobID)
  noteOpened(KEYS[7], ARGV[28], ARGV[29], ARGV[30]) -- whatever became of the event, somebody was there
  return redis.call("XADD", events, "MAXLEN", "~", ARGV[14], "*",
    "status", status, "job", jobID, "received", text(ms), unpack(ARGV, recordAt, wantAt - 1))
end
local function remember(jobID)
  if dedup then redis.call("SET", seen, jobID, "PX", ARGV[12]) end
end
local function letters()
  for i = replaysAt, lettersAt - 1 do
    redis.call("DEL", ARGV[18] .. ARGV[i])
    redis.call("ZREM", dead, ARGV[i])
  end
  keepLetters(dead, 9, lettersAt, ARGV[13])
end
local function answer(status, jobID, changes, wakes, lane)
  return {text(us), status, jobID, tostring(changes or 0), wakes or "", lane or ""}
end

if ARGV[8] ~= "" then
  record("failed", "")
  letters()
  return answer("failed", "")
end

local old = redis.call("HMGET", job, "version", "tombstone", "token", "lease", "have", "changes", "cancelled", "lane")
local known, removed = tonumber(old[1] or ""), tonumber(old[2] or "")
local inHand = old[3] and tonumber(old[4]) > ms
local exists, gone = old[6], old[7]
local lane = exists and (old[8] or "") or ARGV[31]
if lane == "messages" then due = KEYS[8] end

if dedup and not replay then
  local first = redis.call("GET", seen)
  if first then return answer("duplicate", first, first == id and exists) end
end

-- A replay was planned from what the job was then.
if replay and (exists or "0") ~= ARGV[17] then return answer("stale", id, exists) end

-- A cancellation without a version left a tombstone: nothing says that an event with
-- a version is newer than it, unless the version itself does.
local stale = false
if version and removed then
  if timed then stale = version <= removed else stale = not (known and version > known) end
elseif version and known then
  -- Of two with one version, created and cancelled within one second perhaps, the
  -- cancellation counts.
  stale = version < known or (version == known and gone and not cancelled)
end
if stale then
  record("stale", id)
  remember(id)
  return answer("stale", id, exists)
end

-- What a rule asks for is granted if the job does not want just that already.
local limit, granted = tonumber(ARGV[24]), 0
if limit then
  for i = wantAt, undecidedAt - 1, 3 do
    local sum, n = string.match(ARGV[i + 2], "^(%x+ (%d+)) ")
    local had = redis.call("HGET", job, "sum:" .. ARGV[i]) or ""
    if string.match(had, "^%x+ %d+") ~= sum then granted = granted + tonumber(n) end
  end
  if beyond(grants, granted, limit) then
    local jobID = exists and id or ""
    record("failed", jobID)
    keepLetter(dead, ARGV[18] .. ARGV[25], ARGV[25], ARGV[26], ARGV[13])
    return answer("failed", jobID, exists)
  end
end

local keep, drop, hadWant = {}, {}, false
for i = wantAt, undecidedAt - 1, 3 do keep["want:" .. ARGV[i]] = true end
for i = undecidedAt, replaysAt - 1 do keep["want:" .. ARGV[i]] = true end
for _, field in ipairs(redis.call("HKEYS", job)) do
  if string.sub(field, 1, 5) == "want:" then
    hadWant = true
    if cancelled or not keep[field] then drop[#drop + 1] = field end
  end
end

local idle = not cancelled and replaysAt == wantAt
if idle and not exists and booking == "" then
  record("ignored", "")
  remember("")
  letters()
  return answer("ignored", "")
end

local changes = redis.call("HINCRBY", job, "changes", 1)
redis.call("HSET", job, "id", id, "trigger", ARGV[4], "booking", booking, "event", ARGV[6], "changed", text(ms), "received", ARGV[19], "revision", ARGV[27])
if version then
  redis.call("HSET", job, "version", ARGV[9])
  redis.call("HDEL", job, "unversioned")
else
  redis.call("HSET", job, "unversioned", "1")
end
if cancelled then redis.call("HSET", job, "cancelled", "1") else redis.call("HDEL", job, "cancelled") end
if cancelled and not version then
  redis.call("HSET", job, "tombstone", replay and ARGV[19] or text(us))
else
  redis.call("HDEL", job, "tombstone")
end
if lane == "messages" then
  redis.call("HSET", job, "lane", lane, "letters", #KEYS > 8 and "1" or "")
  redis.call("HDEL", job, "sent")
end
for _, field in ipairs(drop) do redis.call("HDEL", job, field, "sum:" .. string.sub(field, 6)) end
if not cancelled then
  for i = wantAt, undecidedAt - 1, 3 do redis.call("HSET", job, "want:" .. ARGV[i], ARGV[i + 1], "sum:" .. ARGV[i], ARGV[i + 2]) end
end
if granted > 0 then grant(grants, granted, limit) end
redis.call("PERSIST", job) -- it may have been on its way out

-- In hand, its score is the end of the lease: an earlier one would give the job to a
-- second worker. Waiting, it keeps an earlier score, or one that is updated all the
-- time would never come up.
if not inHand then redis.call("ZADD", due, "LT", dueNow(cancelled), name) end

local status = "accepted"
if idle and not hadWant and not old[5] then status = "ignored" end
redis.call("HSET", job, "record", record(status, id))
remember(id)
letters()
if inHand then return answer(status, id, changes) end
redis.pcall("PUBLISH", ARGV[15], ARGV[16] .. " " .. lane) -- a hint: whoever may not publish may still accept
return answer(status, id, changes, "1", lane)`)

const (
	maxVersion   = 1 << 53  // beyond it Lua cannot tell neighbours apart
	keptEvent    = 16 << 10 // bytes of an event that the list of events keeps
	recordFields = 5
)

// Accept takes in an event with what it asks for, in one step: a crash before it
// costs the sender one retry, a crash after it costs nothing. When it fails with
// [relay.ErrUnavailable] the answer may have been lost after Redis took the event
// in; that is safe, since the sender's retry is then a duplicate, or, without an
// identity, asks the same job for the same thing again if its event id is the same.
func (s *Store) Accept(ctx context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	return s.accept(ctx, ev, p, nil)
}

// Replay takes in an event once more, although it was accepted before, and lets go
// of the dead letters that it left. It has no effect, and is stale, if the job has
// changed since it was planned.
func (s *Store) Replay(ctx context.Context, ev relay.Event, p relay.Plan, r relay.Replay) (relay.Receipt, error) {
	return s.accept(ctx, ev, p, &r)
}

func (s *Store) accept(ctx context.Context, ev relay.Event, p relay.Plan, r *relay.Replay) (relay.Receipt, error) {
	c, err := s.acceptance(ev, p, r)
	if err != nil {
		return relay.Receipt{}, fmt.Errorf("store: accept event %s: %w", short(ev.ID), err)
	}
	reply, err := s.run(ctx, "accept event "+short(ev.ID), acceptScript, c.keys, c.args...)
	if err != nil {
		return relay.Receipt{}, err
	}
	if str(reply, 4) != "" {
		s.signal(relay.Lane(str(reply, 5)))
	}
	receipt := relay.Receipt{Status: relay.Status(str(reply, 1)), JobID: str(reply, 2), EventID: ev.ID, Changes: num(reply, 3)}
	if receipt.Status == relay.Failed && !p.Fatal {
		receipt.Error = c.refusal.Error
	}
	return receipt, nil
}

// acceptance is what acceptScript is called with.
type acceptance struct {
	keys    []string
	args    []any
	refusal relay.DeadLetter // if it would grant too much
}

func (s *Store) acceptance(ev relay.Event, p relay.Plan, r *relay.Replay) (acceptance, error) {
	version, err := versionText(p.Version)
	if err != nil {
		return acceptance{}, err
	}
	whole, err := ev.JSON() // once, for all that keeps it
	if err != nil {
		return acceptance{}, fmt.Errorf("payload: %w", err)
	}
	id := relay.JobID(ev, p)
	k, letters := s.keys, s.letters(ev, whole, p, id)
	c := acceptance{keys: []string{
		k.job(id), k.due(relay.Doors), k.events(), k.dead(), k.job(id), k.grants(ev.Trigger), k.opened(), k.due(relay.Messages),
	}}
	if p.EventID != "" {
		c.keys[4] = k.seen(ev.Trigger, p.EventID)
	}
	changes, replays := "", []string(nil)
	if r != nil {
		changes, replays = strconv.FormatInt(r.Changes, 10), r.Letters
	}
	fields := record(ev, whole, p, r != nil && r.Unkept)
	wants, err := wantTexts(p)
	if err != nil {
		return acceptance{}, err
	}
	limit, name, text := "", "", ""
	if p.GrantsPerMinute > 0 {
		if c.refusal, text, err = s.refusal(ev, whole, p, id); err != nil {
			return acceptance{}, err
		}
		limit, name = strconv.Itoa(p.GrantsPerMinute), short(c.refusal.ID)
		replays = append(slices.Clip(replays), c.refusal.ID) // if it is accepted now, it was refused before
	}
	lock, opened := openedArgs(p.Opened)
	c.add(short(id), id, ev.Trigger, p.Booking, ev.ID,
		flag(p.EventID != ""), flag(p.Fatal), version, flag(p.Timed), flag(p.Cancelled),
		s.opts.DedupTTL.Milliseconds(), s.opts.LetterTTL.Milliseconds(), s.opts.Events, k.wake(), s.name,
		changes, k.letters(), ev.ReceivedAt.UnixMicro(), len(fields), len(wants)/3, len(p.Undecided), len(replays),
		limit, name, text, p.Revision, lock, opened, openedTTL.Milliseconds(), string(p.Lane()))
	c.addTexts(fields)
	c.addTexts(wants)
	c.addTexts(p.Undecided)
	for _, id := range replays {
		c.add(short(id))
	}
	return c, c.addLetters(k, letters)
}

func (c *acceptance) add(args ...any) { c.args = append(c.args, args...) }

func (c *acceptance) addTexts(texts []string) {
	for _, t := range texts {
		c.args = append(c.args, t)
	}
}

func (c *acceptance) addLetters(k keys, letters []relay.DeadLetter) error {
	keys, args, err := letterArgs(k, letters)
	c.keys = append(c.keys, keys...)
	c.add(args...)
	return err
}

func versionText(v *float64) (string, error) {
	switch {
	case v == nil:
		return "", nil
	case math.IsNaN(*v) || math.Abs(*v) >= maxVersion:
		return "", fmt.Errorf("version %v: a version must be a number below 2^53", *v)
	}
	return strconv.FormatFloat(*v, 'f', -1, 64), nil
}

// record is what the list of events keeps of one, in pairs. It is bounded: an event
// that is very large is not kept whole.
func record(ev relay.Event, whole json.RawMessage, p relay.Plan, unkept bool) []string {
	fields := append(make([]string, 0, 2*recordFields), "id", short(ev.ID), "trigger", ev.Trigger, "rules", p.RuleNames(), "revision", p.Revision)
	if unkept {
		return fields
	}
	if len(whole) > keptEvent {
		return append(fields, "size", strconv.Itoa(len(whole)))
	}
	return append(fields, "event", string(whole))
}

// letters are the problems of a plan as dead letters.
func (s *Store) letters(ev relay.Event, whole json.RawMessage, p relay.Plan, job string) []relay.DeadLetter {
	if len(p.Problems) == 0 {
		return nil
	}
	if p.Fatal && p.Booking == "" { // it might have been a booking's
		job = ""
	}
	out := make([]relay.DeadLetter, len(p.Problems))
	for i, id := range p.LetterIDs(ev) {
		problem := &p.Problems[i]
		out[i] = relay.DeadLetter{
			ID: id, At: s.Now().UTC(), Cause: relay.ByRule, Trigger: ev.Trigger, EventID: ev.ID, JobID: job,
			Rule: problem.Rule, Error: problem.Error(), Problem: problem, Revision: p.Revision,
		}
	}
	out[0].Event = whole
	for i := range out[1:] {
		out[i+1].First = out[0].ID
		out[0].Others = append(out[0].Others, out[i+1].ID)
	}
	return out
}
