package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// claimScript takes the jobs that are due. One whose worker died has its lease's
// end for a score, so it comes due by itself.
//
//	KEYS   1 due   2 clock
//	ARGV   1 now   2 how many   3 lease ms   4 token   5 what jobs' keys start with
//	       6 until when somebody waits for the answer, µs
//	gives  now, the next score or "", a list with each job: name, token, its hash
//	       flat; a text in place of the hash says why it cannot be read
var claimScript = newScript(luaTime + `
-- A Redis that hung works off what was sent meanwhile: for nobody, for a lease.
if us > tonumber(ARGV[6]) then return {text(us), text(ms), {}} end
local out, lease = {}, text(ms + tonumber(ARGV[3]))
-- A clock that was put back leaves leases and pauses that end when it has caught up:
-- what was to be looked at soon is looked at when a lease from now ends.
local seen = tonumber(redis.call("GET", KEYS[2]) or "0")
local back = ms + 1000 < seen
if back then
  for _, name in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "(" .. lease, text(seen + 600000))) do
    redis.call("ZADD", KEYS[1], lease, name)
  end
end
if back or ms > seen + 10000 then redis.call("SET", KEYS[2], text(ms)) end -- seldom, since it may cost a write to disk
local held, gone = {}, {}
for i, name in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", text(ms), "LIMIT", 0, ARGV[2])) do
  local key, token = ARGV[5] .. name, ARGV[4] .. "-" .. i
  local job = redis.pcall("HGETALL", key)
  if job.err then -- put off, so that it does not stand in the way of the others
    out[#out + 1] = {name, token, job.err}
    held[#held + 1], held[#held + 2] = lease, name
  elseif #job == 0 then
    gone[#gone + 1] = name
  else
    local taken, since = false, false -- by a worker that has not let it go
    for f = 1, #job, 2 do
      taken = taken or job[f] == "token" and job[f + 1] ~= ""
      since = since or job[f] == "since"
    end
    held[#held + 1], held[#held + 2] = lease, name
    if taken and since then
      redis.call("HSET", key, "token", token, "lease", lease)
    else
      redis.call("HSET", key, "token", token, "lease", lease, "since", text(us))
    end
    out[#out + 1] = {name, token, job}
  end
end
if #held > 0 then redis.call("ZADD", KEYS[1], unpack(held)) end
if #gone > 0 then redis.call("ZREM", KEYS[1], unpack(gone)) end
local first = redis.call("ZRANGE", KEYS[1], 0, 0, "WITHSCORES")
local none = not first[2] or first[2] == "inf" -- but the anchor, which is no job
return {text(us), none and "" or text(tonumber(first[2])), out}`)

// firstScore is lower than the score of any job that is not cancelled: see luaDueNow.
const firstScore = 100_000_000_000

// mostAtOnce keeps a claim within what Lua can give back at once.
const mostAtOnce = 250

// Claim takes up to n due jobs of a lane in hand for the length of a lease. A job that
// cannot be read is in the error and comes due again after a lease; the others are
// given all the same, so the caller must use Jobs even when there is an error.
func (s *Store) Claim(ctx context.Context, lane relay.Lane, n int) (relay.Claim, error) {
	n = min(max(n, 0), mostAtOnce) // Redis takes a negative number for no limit
	patience := s.patience
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, end.Sub(s.clock.host()))
	}
	reply, err := s.run(ctx, "claim", claimScript, []string{s.keys.due(lane), s.keys.clock(lane)},
		n, s.opts.Lease.Milliseconds(), rand.Text(), s.keys.jobs(),
		s.Now().Add(patience).UnixMicro())
	if err != nil {
		return relay.Claim{}, err
	}
	c := relay.Claim{Now: time.UnixMicro(num(reply, 0)).UTC()}
	if str(reply, 1) != "" {
		c.Next = time.UnixMilli(num(reply, 1)).UTC()
	}
	var broken []error
	items, _ := reply[2].([]any)
	for _, item := range items {
		j, err := claimed(item, c.Now)
		if err != nil {
			broken = append(broken, fmt.Errorf("store: claim: %w", err))
			continue
		}
		c.Jobs = append(c.Jobs, j)
	}
	return c, errors.Join(broken...)
}

func claimed(item any, now time.Time) (relay.Job, error) {
	parts, _ := item.([]any)
	name := str(parts, 0)
	if len(parts) != 3 {
		return relay.Job{}, fmt.Errorf("job %q: Redis gave %v", name, item)
	}
	flat, ok := parts[2].([]any)
	if !ok {
		return relay.Job{}, fmt.Errorf("job %q: %v", name, parts[2])
	}
	hash := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		hash[str(flat, i)] = str(flat, i+1)
	}
	j, err := decode(name, hash)
	if err != nil {
		return relay.Job{}, fmt.Errorf("job %q: %w", name, err)
	}
	j.Token, j.Since = str(parts, 1), now
	if us, err := strconv.ParseInt(hash["since"], 10, 64); err == nil && hash["token"] != "" {
		j.Since = time.UnixMicro(us).UTC()
	}
	return j, nil
}

// decode reads the hash of a job by its name.
func decode(name string, hash map[string]string) (relay.Job, error) {
	j := relay.Job{ID: cmp.Or(hash["id"], name), Cancelled: hash["cancelled"] != "", Lane: relay.Lane(hash["lane"])}
	var kind, rest string
	j.Trigger, rest, _ = strings.Cut(j.ID, ":")
	if kind, rest, _ = strings.Cut(rest, ":"); kind == "booking" {
		j.Booking = rest
	}
	if err := decodeHead(&j, hash["head"]); err != nil {
		return j, err
	}
	j.Place = j.Record
	if place, ok := hash["place"]; ok {
		j.Place = place
	}
	j.Unversioned = j.Version == nil || hash["unversioned"] != ""
	j.Worked = j.Changes
	if text := hash["behind"]; text != "" {
		behind, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return j, fmt.Errorf("behind: %w", err)
		}
		j.Worked -= behind
	}
	if err := decodeList(hash, "have", &j.Have); err != nil {
		return j, err
	}
	if err := decodeList(hash, "attempts", &j.Attempts); err != nil {
		return j, err
	}
	var err error
	j.Want, err = decodeWant(hash)
	return j, err
}

// decodeHead reads what acceptScript wrote of the newest event.
func decodeHead(j *relay.Job, head string) error {
	parts := strings.SplitN(head, " ", 7)
	if len(parts) != 7 {
		return fmt.Errorf("its head is %q", head)
	}
	var changed, received int64
	for i, n := range map[int]*int64{0: &j.Changes, 3: &changed, 4: &received} {
		var err error
		if *n, err = strconv.ParseInt(parts[i], 10, 64); err != nil {
			return fmt.Errorf("its head is %q: %w", head, err)
		}
	}
	if parts[1] != "-" {
		v, err := strconv.ParseFloat(parts[1], 64)
		if err != nil {
			return fmt.Errorf("version: %w", err)
		}
		j.Version = &v
	}
	j.Record, j.ChangedAt, j.ReceivedAt = parts[2], time.UnixMilli(changed).UTC(), time.UnixMicro(received).UTC()
	j.Revision, j.EventID = parts[5], parts[6]
	return nil
}

func decodeList(hash map[string]string, field string, list any) error {
	if text := hash[field]; text != "" {
		if err := json.Unmarshal([]byte(text), list); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	return nil
}

// decodeWant reads what a job wants, in the order of the rule file.
func decodeWant(hash map[string]string) ([]relay.Action, error) {
	var all []wanted
	for field, text := range hash {
		rule, is := strings.CutPrefix(field, "want:")
		if !is {
			continue
		}
		w, err := readWant(rule, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b wanted) int { return cmp.Or(cmp.Compare(a.place, b.place), strings.Compare(a.rule, b.rule)) })
	var want []relay.Action
	for _, w := range all {
		want = append(want, w.actions...)
	}
	return want, nil
}

// readWant reads what [wanted.texts] wrote: digest, number, place and actions.
func readWant(rule, text string) (w wanted, err error) {
	parts := strings.SplitN(text, " ", 4)
	if len(parts) != 4 {
		return w, fmt.Errorf("%.40q is not what a rule wants", text)
	}
	w.rule = rule
	if w.place, err = strconv.Atoi(parts[2]); err != nil {
		return w, fmt.Errorf("place: %w", err)
	}
	w.actions, err = readActions(rule, parts[3])
	return w, err
}
