package worker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// op is what a step does. Lower ones come first: taking back before granting.
type op int

const (
	none    op = iota
	revoke     // delete an object that is not wanted any more
	find       // look whether a create that may have had its effect did
	change     // change an object in its place
	resolve    // ask which locks a group has
	create     // make an object, or unlock
	look       // see whether anybody has used what stands
)

// step is one thing to do in Kisi.
type step struct {
	op     op
	want   relay.Action // for change, resolve and create
	held   int          // index in the job's Have
	object int64        // for change and revoke
}

// decision is what one look at a job came to.
type decision struct {
	step    step               // op none if there is nothing to do now
	when    time.Time          // when to look again; zero is not before something happens
	letters []relay.DeadLetter // what has become too late
}

// next finds the step that brings j closest to what it wants. It drops from j
// what is of no use any more, and marks what is too late.
//
//	want │ have      │ step
//	yes  │ no        │ create, when its time has come
//	yes  │ same      │ none
//	yes  │ different │ change it; where Kisi cannot, create the new one, then revoke the old,
//	     │           │ or the other way round where Kisi refuses the new beside the old
//	no   │ yes       │ revoke
//	no   │ no        │ none
//	yes  │ over      │ the same as different: it was made for a part of its window
//	yes  │ unused    │ look whether anybody came; revoke if nobody did
func next(j *relay.Job, now time.Time, tidy time.Duration) decision {
	v := &view{job: j, now: now, tidy: tidy}
	wants := v.expand()
	pairs := v.pair(wants)
	for i, w := range wants {
		v.wanted(w, pairs[i])
	}
	v.unwanted(pairs)
	return decision{v.best, v.when, v.letters}
}

// view is one look at a job.
type view struct {
	job  *relay.Job
	now  time.Time
	tidy time.Duration
	keep []string // keys of group schedules whose locks are not known yet: theirs stay as they are
	best step
	when time.Time

	letters []relay.DeadLetter
}

// before reports whether s is taken before other. An unlock is: it is the one step
// that is worth nothing a minute later. A send is not: whoever gets it may be slow, and
// stands at no door.
func (s step) before(other step) bool {
	rank := func(s step) int {
		switch {
		case s.op == create && s.want.Kind == relay.Unlock:
			return int(none)
		case s.op == create && s.want.Kind == relay.Send:
			return int(create) + 1
		}
		return int(s.op)
	}
	return rank(s) < rank(other)
}

// offer takes s as the step, unless a better one was offered.
func (v *view) offer(s step) {
	if v.best.op == none || s.before(v.best) {
		v.best = s
	}
}

// at looks again at t, unless something comes sooner.
func (v *view) at(t time.Time) {
	if !t.IsZero() && (v.when.IsZero() || t.Before(v.when)) {
		v.when = t
	}
}

// resting reports whether h has to wait for its next attempt. A change of the
// booking ends every wait.
func (v *view) resting(h *relay.Held) bool {
	if h.Changes == v.job.Changes && v.rests(h.RetryAt, longestPause(h.Action.Kind)) {
		v.at(h.RetryAt)
		return true
	}
	return false
}

// revokeRests is the same for revokes, which rest by themselves.
func (v *view) revokeRests(h *relay.Held) bool {
	if h.Changes == v.job.Changes && v.rests(h.RevokeAt, longestPause(h.Action.Kind)) {
		v.at(h.RevokeAt)
		return true
	}
	return false
}

// rests reports whether a pause until t, which is never longer than most, goes on.
// One that is longer is from before the clock was put back.
func (v *view) rests(t time.Time, most time.Duration) bool {
	return t.After(v.now) && t.Sub(v.now) <= most
}

// gaveUp reports whether h was settled against us since the booking last changed.
func (v *view) gaveUp(h *relay.Held) bool {
	return h.State == relay.Dead && h.Changes == v.job.Changes
}

// expand puts one schedule for each lock in the place of a schedule for a group,
// as far as the locks are known.
func (v *view) expand() []relay.Action {
	var wants []relay.Action
	for _, w := range v.job.Want {
		if _, ok := w.GroupToExpand(); !ok {
			wants = append(wants, w)
			continue
		}
		i := v.slot(w)
		if h := &v.job.Have[i]; h.State == relay.Done && h.Action.Same(w) {
			wants = append(wants, w.Expand(h.Locks)...)
		} else {
			v.unresolved(w, h, i)
		}
	}
	return wants
}

// patience is how often the new may fail to come before the old is taken back all
// the same: some seconds keep a guest from standing outside for a hiccup, and no
// more than that keeps a door from opening for a booking that moved away.
const patience = 3

// unresolved is a schedule for a group whose locks are not known, or were asked
// for an older wish. Until they are known, what it has stays, for a while.
func (v *view) unresolved(w relay.Action, h *relay.Held, i int) {
	switch {
	case v.gaveUp(h):
	case w.Expired(v.now):
		v.tooLate(w, h)
	case w.At.After(v.now):
		v.at(w.At)
	default:
		if h.Attempts < patience {
			v.keep = append(v.keep, w.Key+"/")
		}
		if !v.resting(h) {
			v.offer(step{op: resolve, want: w, held: i})
		}
		v.at(w.NotAfter)
	}
}

// slot is the index of what is known of the group that w is for; it is made if there is none.
func (v *view) slot(w relay.Action) int {
	i := slices.IndexFunc(v.job.Have, func(h relay.Held) bool { return h.Action.Key == w.Key && isGroup(h) })
	if i < 0 {
		v.job.Have = append(v.job.Have, relay.Held{Action: w})
		i = len(v.job.Have) - 1
	}
	return i
}

// pair finds for each want what is held for it. What is held for exactly the
// same comes first, so that a list in another order changes nothing; then the key decides.
func (v *view) pair(wants []relay.Action) []int {
	pairs := make([]int, len(wants))
	taken := make([]bool, len(v.job.Have))
	for i, w := range wants {
		pairs[i] = v.free(taken, func(h relay.Held) bool {
			return (h.Object != 0 || h.State == relay.Unused) && h.Action.Rule == w.Rule && h.Action.Same(w) && !isGroup(h)
		})
		if pairs[i] >= 0 {
			taken[pairs[i]] = true
		}
	}
	for i, w := range wants {
		if pairs[i] >= 0 {
			continue
		}
		if pairs[i] = v.free(taken, func(h relay.Held) bool { return matches(h, w) }); pairs[i] < 0 {
			v.job.Have = append(v.job.Have, relay.Held{Action: w})
			taken = append(taken, false)
			pairs[i] = len(v.job.Have) - 1
		}
		taken[pairs[i]] = true
	}
	return pairs
}

// free is the first entry that ok accepts and no want has taken, or -1.
func (v *view) free(taken []bool, ok func(relay.Held) bool) int {
	for i, h := range v.job.Have {
		if !taken[i] && ok(h) {
			return i
		}
	}
	return -1
}

// wanted compares one want with what is held for it.
func (v *view) wanted(w relay.Action, i int) {
	h := &v.job.Have[i]
	v.longOver(h)
	v.again(h, i, true)
	switch {
	case h.Unsure:
		v.unsure(h, i)
		if v.tooOften(h) {
			v.old(h, i)
		}
	case h.Action.Same(w) && v.ended(h) && !w.Expired(v.now):
		v.grant(w, h, i)
	case (h.Object != 0 || h.State == relay.Unused) && h.Action.Same(w):
		h.Action.Key, h.Action.Ends, h.Action.NotAfter, h.Action.At, h.Action.Unused = w.Key, w.Ends, w.NotAfter, w.At, w.Unused
		v.standing(h, i)
	case h.State == relay.Done && h.Action.Same(w): // an unlock that was done, an object that was tidied up
		v.drop(h, i)
	case v.gaveUp(h):
		v.drop(h, i)
	case w.Expired(v.now):
		v.tooLate(w, h)
		v.drop(h, i)
	case w.At.After(v.now): // not yet, and what stands is not what is wanted
		v.drop(h, i)
		v.at(w.At)
	default:
		v.grant(w, h, i)
	}
}

// standing is an object that is as it should be: until its window is long over.
// Something it replaced may still be to be deleted.
func (v *view) standing(h *relay.Held, i int) {
	if h.State == relay.Unused { // a repeat does not grant it again
		v.drop(h, i)
		return
	}
	h.State = relay.Done
	v.old(h, i)
	v.toLook(h, i)
	if h.Until.After(v.now) {
		v.at(h.Until)
	}
	if h.Action.Ends.IsZero() {
		return
	}
	end := h.Action.Ends.Add(v.tidyAfter(h.Action))
	switch {
	case end.After(v.now):
		v.at(end)
	case !v.revokeRests(h):
		v.offer(step{op: revoke, held: i, object: h.Object})
	}
}

// ended reports whether what stands for h was made for a part of its window, since
// something that began later was in the way, and that part is over. Then all of it is asked
// for again: what was in the way may have gone, or does as much by itself.
func (v *view) ended(h *relay.Held) bool {
	return h.Object != 0 && h.State != relay.Unused && !h.Until.IsZero() && !v.now.Before(h.Until)
}

// tidyAfter is how long after its window a is deleted. What Kisi gives only once goes at
// the end of it: the next booking of the same person may be waiting for that.
func (v *view) tidyAfter(a relay.Action) time.Duration {
	if a.Kind.Exclusive() {
		return 0
	}
	return v.tidy
}

// grant changes what is held into w, or makes w. If that keeps failing, what is
// held goes: it may open a door that the booking has left. What Kisi gives only once goes
// before the new is made; if it cannot be deleted, the new is tried all the same.
func (v *view) grant(w relay.Action, h *relay.Held, i int) {
	v.at(w.NotAfter)
	exclusive := w.Kind.Exclusive() && (h.Object != 0 || len(h.Old) > 0)
	if exclusive || v.tooOften(h) {
		v.drop(h, i)
	}
	switch {
	case exclusive && h.Revokes < patience:
	case v.resting(h):
	case h.Object != 0 && w.Kind.Changeable():
		v.offer(step{op: change, want: w, held: i, object: h.Object})
	default:
		v.offer(step{op: create, want: w, held: i})
	}
}

// tooOften reports whether the new has failed to come, or to be found, so often that the
// old goes all the same.
func (v *view) tooOften(h *relay.Held) bool {
	return h.Attempts >= patience && h.Changes == v.job.Changes
}

// tooLate marks w as never to be carried out. That is a dead letter, unless its
// time was over when it was asked for, or something else did as much: then nobody has
// to look at it.
func (v *view) tooLate(w relay.Action, h *relay.Held) {
	if h.State == relay.TooLate {
		return
	}
	tried := h.Attempts > 0 && h.Action.Same(w) // or it moved to a time that was over already
	if !h.Served && (tried || w.NotAfter.After(v.job.ChangedAt)) {
		reason := fmt.Errorf("%s: it was too late at %s; the last attempt: %s", w.Kind, w.NotAfter.Format(time.RFC3339), cmp.Or(h.Error, "none was made"))
		v.letters = append(v.letters, letter(*v.job, w, relay.ByRelay, reason, v.now))
	}
	h.State, h.Changes = relay.TooLate, v.job.Changes
}

// unsure looks before anything else is done about h. Long after its window what
// it may have left opens nothing.
func (v *view) unsure(h *relay.Held, i int) {
	if !v.resting(h) {
		v.offer(step{op: find, held: i})
	}
}

// again looks once more for what a create that got no answer may have made later.
// What nobody wants any more is looked for at once as well.
func (v *view) again(h *relay.Held, i int, wanted bool) {
	switch {
	case len(h.Lost) == 0 || h.Unsure:
	case v.rests(h.Lost[0].LookAt, longestLook):
		v.at(h.Lost[0].LookAt)
		if !wanted && h.Changes != v.job.Changes {
			v.offer(step{op: find, held: i})
		}
	case !v.resting(h):
		v.offer(step{op: find, held: i})
	}
}

// longOver forgets a doubt that no longer matters: what it may have left opens nothing.
func (v *view) longOver(h *relay.Held) {
	over := func(a relay.Action) bool { return !a.Ends.IsZero() && v.now.After(a.Ends.Add(v.tidy)) }
	h.Unsure = h.Unsure && !over(h.Action)
	if len(h.Lost) > 0 && over(h.Lost[0].Action) {
		h.Lost = h.Lost[1:]
	}
}

// drop revokes all that stands for h.
func (v *view) drop(h *relay.Held, i int) {
	if h.Object != 0 && !v.revokeRests(h) {
		v.offer(step{op: revoke, held: i, object: h.Object})
	}
	v.old(h, i)
}

// old revokes what was replaced.
func (v *view) old(h *relay.Held, i int) {
	if len(h.Old) > 0 && !v.revokeRests(h) {
		v.offer(step{op: revoke, held: i, object: h.Old[0]})
	}
}

// unwanted revokes what nobody wants any more, and forgets what left nothing behind.
func (v *view) unwanted(pairs []int) {
	var rest []int
	for i := range v.job.Have {
		if !slices.Contains(pairs, i) && !v.wantsGroup(v.job.Have[i]) && !v.kept(i) {
			rest = append(rest, i)
		}
	}
	for _, i := range rest {
		h := &v.job.Have[i]
		v.longOver(h)
		v.drop(h, i) // what is known to stand goes, whether or not the look succeeds
		v.again(h, i, false)
		if h.Unsure {
			v.unsure(h, i)
		}
	}
	if v.best.op == none {
		v.forget(rest)
	}
}

// forget removes the entries of unwanted that hold nothing, and those of what nobody has
// begun, which would only say once more what is wanted. It runs only when no step is
// offered, since steps hold indexes.
func (v *view) forget(unwanted []int) {
	var have []relay.Held
	for i, h := range v.job.Have {
		empty := h.Object == 0 && len(h.Old) == 0 && !h.Unsure && len(h.Lost) == 0
		begun := h.State != relay.Waiting || !h.TriedAt.IsZero() || h.Attempts+h.Revokes > 0 || h.RetryAt.After(v.now) || h.RevokeAt.After(v.now)
		if !empty || begun && !slices.Contains(unwanted, i) {
			have = append(have, h)
		}
	}
	v.job.Have = have
}

// isGroup reports whether h notes the locks of a group, and no object.
func isGroup(h relay.Held) bool {
	_, group := h.Action.GroupToExpand()
	return group
}

// matches reports whether h is the entry for w by its key. A rule that was
// edited may use the key for something else now.
func matches(h relay.Held, w relay.Action) bool {
	return h.Action.Key == w.Key && h.Action.Kind == w.Kind && !isGroup(h)
}

// wantsGroup reports whether h notes the locks of a group that is still wanted.
func (v *view) wantsGroup(h relay.Held) bool {
	return isGroup(h) && slices.ContainsFunc(v.job.Want, func(w relay.Action) bool {
		_, group := w.GroupToExpand()
		return group && w.Key == h.Action.Key
	})
}

// kept reports whether entry i belongs to a group whose locks are not known yet.
func (v *view) kept(i int) bool {
	return slices.ContainsFunc(v.keep, func(prefix string) bool {
		return strings.HasPrefix(v.job.Have[i].Action.Key, prefix)
	})
}
