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
for i, name in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", text(ms), "LIMIT", 0, ARGV[2])) do
  local key, token = ARGV[5] .. name, ARGV[4] .. "-" .. i
  local job = redis.pcall("HGETALL", key)
  if job.err then -- put off, so that it does not stand in the way of the others
    redis.call("ZADD", KEYS[1], lease, name)
    out[#out + 1] = {name, token, job.err}
  elseif #job == 0 then
    redis.call("ZREM", KEYS[1], name)
  else
    redis.call("ZADD", KEYS[1], lease, name)
    redis.call("HSET", key, "token", token, "lease", lease)
    out[#out + 1] = {name, token, job}
  end
end
local first = redis.call("ZRANGE", KEYS[1], 0, 0, "WITHSCORES")
return {text(us), first[2] and text(tonumber(first[2])) or "", out}`)

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
		j, err := claimed(item)
		if err != nil {
			broken = append(broken, fmt.Errorf("store: claim: %w", err))
			continue
		}
		c.Jobs = append(c.Jobs, j)
	}
	return c, errors.Join(broken...)
}

func claimed(item any) (relay.Job, error) {
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
	j, err := decode(hash)
	if err != nil {
		return relay.Job{}, fmt.Errorf("job %q: %w", name, err)
	}
	j.Token = str(parts, 1)
	return j, nil
}

const (
	wantPrefix = "want:"
	sumPrefix  = "sum:"
)

// decode reads the hash of a job.
func decode(hash map[string]string) (relay.Job, error) {
	j := relay.Job{ID: hash["id"], Trigger: hash["trigger"], Booking: hash["booking"], EventID: hash["event"], Record: hash["record"], Revision: hash["revision"], Cancelled: hash["cancelled"] != "", Unversioned: hash["unversioned"] != "", Lane: relay.Lane(hash["lane"])}
	if j.ID == "" {
		return j, errors.New("it has no id")
	}
	var err error
	if j.Changes, err = strconv.ParseInt(hash["changes"], 10, 64); err != nil {
		return j, fmt.Errorf("changes: %w", err)
	}
	if changed := hash["changed"]; changed != "" {
		ms, err := strconv.ParseInt(changed, 10, 64)
		if err != nil {
			return j, fmt.Errorf("changed: %w", err)
		}
		j.ChangedAt = time.UnixMilli(ms).UTC()
	}
	if received := hash["received"]; received != "" {
		us, err := strconv.ParseInt(received, 10, 64)
		if err != nil {
			return j, fmt.Errorf("received: %w", err)
		}
		j.ReceivedAt = time.UnixMicro(us).UTC()
	}
	if worked := hash["worked"]; worked != "" {
		if j.Worked, err = strconv.ParseInt(worked, 10, 64); err != nil {
			return j, fmt.Errorf("worked: %w", err)
		}
	}
	if text := hash["version"]; text != "" {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return j, fmt.Errorf("version: %w", err)
		}
		j.Version = &v
	}
	for field, list := range map[string]any{"have": &j.Have, "attempts": &j.Attempts} {
		if text := hash[field]; text != "" {
			if err := json.Unmarshal([]byte(text), list); err != nil {
				return j, fmt.Errorf("%s: %w", field, err)
			}
		}
	}
	j.Want, err = decodeWant(hash)
	return j, err
}

// decodeWant reads what a job wants, in the order of the rule file.
func decodeWant(hash map[string]string) ([]relay.Action, error) {
	var fields []string
	for field := range hash {
		if strings.HasPrefix(field, wantPrefix) {
			fields = append(fields, field)
		}
	}
	place := func(field string) int { return placeOf(hash[sumPrefix+strings.TrimPrefix(field, wantPrefix)]) }
	slices.SortFunc(fields, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a, b)) })
	var want []relay.Action
	for _, field := range fields {
		var actions []relay.Action
		if err := json.Unmarshal([]byte(hash[field]), &actions); err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		want = append(want, actions...)
	}
	return want, nil
}
