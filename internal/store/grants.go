package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"doorhook/internal/relay"
)

// luaGrants counts what a trigger grants: a list of when each of the newest was
// granted, µs, no longer than there may be in a minute.
const luaGrants = `
local function beyond(grants, n, limit)
  if n == 0 or n > limit then return n > 0 end
  -- The newest that may not be of the last minute, or there are too many. One that was
  -- granted in the future was before a jump of the clock.
  local last = tonumber(redis.call("LINDEX", grants, n - limit - 1) or "")
  return last and last <= us and us - last < 60000000
end
local function grant(grants, n, limit)
  local times = {}
  for i = 1, n do times[i] = text(us) end
  redis.call("RPUSH", grants, unpack(times))
  redis.call("LTRIM", grants, -limit, -1)
  redis.call("PEXPIRE", grants, 61000)
end
`

// wanted is what one rule wants.
type wanted struct {
	rule    string
	place   int // in the file
	actions []relay.Action
}

// wantTexts are the texts of all that p wants.
func wantTexts(p relay.Plan) (out []string, err error) {
	for _, w := range wants(p) {
		texts, err := w.texts()
		if err != nil {
			return nil, err
		}
		out = append(out, texts...)
	}
	return out, nil
}

// wants is what each rule wants. A rule that could not be decided on is left out even
// if a part of it matched: what it wanted before stays wanted.
func wants(p relay.Plan) []wanted {
	var all []wanted
	for _, m := range p.Rules {
		if len(m.Actions) == 0 || p.Cancelled || slices.Contains(p.Undecided, m.Rule) {
			continue
		}
		i := slices.IndexFunc(all, func(w wanted) bool { return w.rule == m.Rule })
		if i < 0 {
			i = len(all)
			all = append(all, wanted{rule: m.Rule, place: m.Place})
		}
		all[i].actions = append(all[i].actions, m.Actions...)
	}
	return all
}

// texts are what a script takes of w: the rule, and its sum with its actions as one
// JSON text that Lua hands on unread.
func (w wanted) texts() ([]string, error) {
	text, err := actionsText(w.rule, w.actions)
	if err != nil {
		return nil, fmt.Errorf("rule %q: %w", w.rule, err)
	}
	return []string{w.rule, w.sum() + " " + string(text)}, nil
}

// sum is a digest of what w asks for, in any order, how many actions that are, and
// the place of the rule in its file.
func (w wanted) sum() string {
	asks := make([]string, len(w.actions))
	for i, a := range w.actions {
		asks[i] = a.Asks()
	}
	slices.Sort(asks)
	digest := sha256.Sum256([]byte(strings.Join(asks, "\n")))
	return hex.EncodeToString(digest[:8]) + " " + strconv.Itoa(len(asks)) + " " + strconv.Itoa(w.place)
}

// refusal is the dead letter of an event that would grant more than its trigger may.
// It has the whole event, and none of what else is wrong with it: a replay plans all
// of it again.
func (s *Store) refusal(ev relay.Event, whole json.RawMessage, p relay.Plan, job string) relay.DeadLetter {
	return relay.DeadLetter{
		ID: ev.RefusalID(),
		At: s.Now().UTC(), Cause: relay.ByRule, Trigger: ev.Trigger, EventID: ev.ID, JobID: job, Revision: p.Revision, Event: whole,
		Error: fmt.Sprintf("%v.grants_per_minute: this trigger may grant %d actions in a minute, and with this event, which asks for %d, it would grant more; "+
			"nothing of the event was taken in. If it is in order, replay it, or have it sent again, a minute later", relay.ErrLimit, p.GrantsPerMinute, len(p.Actions())),
	}
}
