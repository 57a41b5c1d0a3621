package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// standing is how one thing stands that a job wants, or that is being taken back.
type standing struct {
	action relay.Action
	state  string // in a word
	until  time.Time
	object int64
	fault  string
}

// standings are how all that j wants stands.
func standings(j relay.Job, now time.Time) []standing {
	var all []standing
	for _, w := range j.Want {
		own := held(j, w.Key)
		_, group := w.GroupToExpand()
		if !group || own.State != relay.Done || !own.Action.Same(w) {
			all = append(all, standingOf(j, w, own, now))
			continue
		}
		for _, a := range w.Expand(own.Locks) {
			all = append(all, standingOf(j, a, held(j, a.Key), now))
		}
	}
	return all
}

// held is what is known of the action with that key.
func held(j relay.Job, key string) relay.Held {
	i := slices.IndexFunc(j.Have, func(h relay.Held) bool { return h.Action.Key == key })
	if i < 0 {
		return relay.Held{}
	}
	return j.Have[i]
}

func standingOf(j relay.Job, w relay.Action, h relay.Held, now time.Time) standing {
	s := standing{action: w, object: h.Object, fault: h.Error}
	tried := h.Changes == j.Changes // since the booking last changed
	switch {
	case h.State == relay.Done && h.Action.Same(w):
		s.state, s.until, s.fault = "done", h.Until, ""
	case h.State == relay.Unused && h.Action.Same(w):
		s.state, s.fault = "unused", ""
	case h.State == relay.Dead && tried:
		s.state = "failed"
	case h.State == relay.TooLate && tried:
		s.state, s.fault = "expired", cmp.Or(h.Error, "its time was over")
	case w.At.After(now):
		s.state, s.until, s.fault = "waiting", w.At, ""
	case h.State == relay.Retrying && tried, h.Unsure:
		s.state, s.until = "retrying", h.RetryAt
	default:
		s.state, s.until = "waiting", h.RetryAt
	}
	return s
}

// leftovers are what stands in Kisi, or may, and is not wanted any more.
func leftovers(j relay.Job) []standing {
	var all []standing
	for _, h := range j.Have {
		objects := slices.Clone(h.Old)
		if !j.Wants(h) && (h.Object != 0 || h.Unsure) {
			objects = append(objects, h.Object)
		}
		for _, object := range objects {
			all = append(all, standing{action: h.Action, state: takenBack, until: h.RevokeAt, object: object, fault: h.Error})
		}
	}
	return all
}

// states are in the order in which they matter.
var states = []string{"failed", "expired", "retrying", takenBack, "waiting", "unused", "done"}

const takenBack = "being taken back"

// summary counts how all of a job stands: "1 failed, 1 done".
func summary(j relay.Job, now time.Time) string {
	n := map[string]int{}
	for _, s := range append(standings(j, now), leftovers(j)...) {
		n[s.state]++
	}
	var counts []string
	for _, state := range states {
		if n[state] > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n[state], state))
		}
	}
	switch {
	case len(counts) > 0:
		return strings.Join(counts, ", ")
	case j.Cancelled:
		return "cancelled, and all is taken back"
	}
	return "nothing is wanted"
}

// what says in words what an action is about.
func what(a relay.Action) string {
	var args struct {
		LockID     int64      `json:"lock_id"`
		GroupID    int64      `json:"group_id"`
		Email      string     `json:"email"`
		URL        relay.Text `json:"url"`
		StartsAt   time.Time  `json:"starts_at"`
		EndsAt     time.Time  `json:"ends_at"`
		ValidFrom  time.Time  `json:"valid_from"`
		ValidUntil time.Time  `json:"valid_until"`
	}
	if json.Unmarshal(a.Args, &args) != nil {
		return string(a.Kind)
	}
	var about []string
	add := func(text string) {
		if text != "" {
			about = append(about, text)
		}
	}
	add(args.Email)
	add(args.URL.String())
	if args.LockID != 0 {
		add("lock " + strconv.FormatInt(args.LockID, 10))
	}
	if args.GroupID != 0 {
		add("group " + strconv.FormatInt(args.GroupID, 10))
	}
	add(span(args.StartsAt, args.EndsAt))
	add(span(args.ValidFrom, args.ValidUntil))
	return strings.TrimSpace(string(a.Kind) + " " + strings.Join(about, ", "))
}
