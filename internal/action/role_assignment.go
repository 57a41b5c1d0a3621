package action

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// roleAssignment lets a user open the locks of a group for a window.
//
// Kisi refuses a second one beside the first (409). So two bookings of one person that
// overlap take turns: the second is made when the first is gone, and, where it begins
// earlier, for the time until the first begins as well.
type roleAssignment struct {
	kisi *kisi.Client
	now  func() time.Time
}

type roleAssignmentArgs struct {
	GroupID    int64     `json:"group_id"`
	Email      string    `json:"email"`
	UserID     int64     `json:"user_id"` // in the place of Email
	RoleID     string    `json:"role_id"`
	Notify     bool      `json:"notify"`
	ValidFrom  time.Time `json:"valid_from"`
	ValidUntil time.Time `json:"valid_until"`
}

func (r roleAssignment) create(ctx context.Context, a relay.Action) relay.Outcome {
	want, err := args[roleAssignmentArgs](a)
	if err != nil {
		return rejected(err)
	}
	user, err := r.user(ctx, want)
	if err != nil {
		return repeatable(err) // nothing was given to anybody yet
	}
	got, err := r.give(ctx, user, want)
	if !answered(err, http.StatusConflict) {
		return made(got.ID, err)
	}
	out, until := r.taken(ctx, user, want)
	if until.IsZero() {
		return out
	}
	want.ValidUntil = until
	if got, err = r.give(ctx, user, want); answered(err, http.StatusConflict) {
		return out
	}
	out = made(got.ID, err)
	out.Until = until
	return out
}

func (r roleAssignment) give(ctx context.Context, user int64, want roleAssignmentArgs) (kisi.RoleAssignment, error) {
	return r.kisi.CreateRoleAssignment(ctx, kisi.RoleAssignment{
		AssigneeID: user, AppliesToID: want.GroupID, RoleID: want.RoleID, Notify: want.Notify,
		ValidFrom: want.ValidFrom, ValidUntil: want.ValidUntil,
	})
}

// user is Kisi's id of whom want is for. Somebody whom Kisi does not know yet becomes a
// user. Two that are made at a time for one address are not: Kisi refuses the second.
func (r roleAssignment) user(ctx context.Context, want roleAssignmentArgs) (int64, error) {
	if want.UserID != 0 {
		return want.UserID, nil
	}
	known, found, err := r.kisi.UserByEmail(ctx, want.Email)
	if found || err != nil {
		return known.ID, err
	}
	made, err := r.kisi.CreateUser(ctx, kisi.User{Email: want.Email, Name: want.Email})
	if !answered(err, http.StatusUnprocessableEntity) {
		return made.ID, err
	}
	if known, found, again := r.kisi.UserByEmail(ctx, want.Email); found || again != nil {
		return known.ID, again
	}
	return 0, err
}

// freshly is how long after somebody was given a role for ever it may be ours, made by a
// request that got no answer.
const freshly = 15 * time.Minute

// taken is the outcome where the user has the role already. What looks like ours is left
// to a look, which knows what other bookings have. What somebody was given for ever does
// as well, and is never touched. Anything else has to go first; where all that is in the
// way begins later, the role can be given until then.
func (r roleAssignment) taken(ctx context.Context, user int64, want roleAssignmentArgs) (out relay.Outcome, until time.Time) {
	there, err := r.kisi.RoleAssignments(ctx, user, want.GroupID, want.RoleID)
	if err != nil {
		return insisting(repeatable(err)), until
	}
	begins := want.ValidFrom
	if now := r.now(); begins.Before(now) {
		begins = now
	}
	out = relay.Outcome{Verdict: relay.Retry, Err: fmt.Errorf("user %d was said to have %s in group %d already, and has not", user, want.RoleID, want.GroupID)}
	for _, one := range there {
		if !want.overlaps(one) {
			continue
		}
		forEver, fresh := one.ValidUntil.IsZero(), r.now().Sub(one.CreatedAt) < freshly
		if forEver && want.within(one, r.now()) && !(fresh && want.is(one)) {
			return relay.Outcome{Verdict: relay.OK}, time.Time{}
		}
		if until.IsZero() || one.ValidFrom.Before(until) {
			until = one.ValidFrom
		}
		out.Err = fmt.Errorf("user %d has %s in group %d already, %s, and Kisi gives it once at a time: it is given when that is over, or deleted in Kisi",
			user, want.RoleID, want.GroupID, period(one))
		out.Served = out.Served || want.within(one, r.now())
		if want.is(one) {
			out.Verdict = relay.Unsure
		}
		if !forEver && one.ValidUntil.After(out.Free) {
			out.Free = one.ValidUntil
		}
	}
	if !until.After(begins) {
		until = time.Time{}
	}
	return out, until
}

// is reports whether one has the window of want, to the second as Kisi keeps it.
func (want roleAssignmentArgs) is(one kisi.RoleAssignment) bool {
	return one.ValidFrom.Equal(want.ValidFrom.Truncate(time.Second)) && one.ValidUntil.Equal(want.ValidUntil.Truncate(time.Second))
}

// overlaps reports whether one is valid at some time of the window of want.
func (want roleAssignmentArgs) overlaps(one kisi.RoleAssignment) bool {
	before := func(from, until time.Time) bool { return until.IsZero() || from.Before(until) }
	return before(one.ValidFrom, want.ValidUntil) && before(want.ValidFrom, one.ValidUntil)
}

// within reports whether one is valid for all that is left of the window of want.
func (want roleAssignmentArgs) within(one kisi.RoleAssignment, now time.Time) bool {
	from := want.ValidFrom
	if now.After(from) {
		from = now
	}
	return !one.ValidFrom.After(from) && (one.ValidUntil.IsZero() || !want.ValidUntil.IsZero() && !one.ValidUntil.Before(want.ValidUntil.Truncate(time.Second)))
}

func period(one kisi.RoleAssignment) string {
	text := "without an end"
	if !one.ValidUntil.IsZero() {
		text = "until " + one.ValidUntil.UTC().Format(time.RFC3339)
	}
	if one.ValidFrom.IsZero() {
		return text
	}
	return "from " + one.ValidFrom.UTC().Format(time.RFC3339) + " " + text
}

// change is not asked of Kisi: whether it changes a window is not documented. The worker
// deletes the old one and makes a new one.
func (r roleAssignment) change(context.Context, relay.Action, int64) relay.Outcome {
	return rejected(errors.New("a role assignment cannot be changed"))
}

func (r roleAssignment) revoke(ctx context.Context, object int64) relay.Outcome {
	return revoked(r.kisi.DeleteRoleAssignment(ctx, object))
}

// adoptable is how much older than the first request for it something that Kisi gives
// only once may be to be taken for its outcome. It is much shorter than the store knows
// whose an object is, or the object of a job that has been at rest for long would pass
// for nobody's.
const adoptable = 24 * time.Hour

func (r roleAssignment) find(ctx context.Context, a relay.Action, since time.Time, known []int64) relay.Outcome {
	want, err := args[roleAssignmentArgs](a)
	if err != nil {
		return rejected(err)
	}
	user := want.UserID
	if user == 0 {
		u, found, err := r.kisi.UserByEmail(ctx, want.Email)
		if !found {
			return insisting(repeatable(err))
		}
		user = u.ID
	}
	mayBe := since
	if !want.ValidUntil.IsZero() { // what a person gave for ever stays that person's
		mayBe = since.Add(-adoptable)
	}
	all, err := r.kisi.RoleAssignments(ctx, user, want.GroupID, want.RoleID)
	out := insisting(repeatable(err))
	all = slices.DeleteFunc(all, func(one kisi.RoleAssignment) bool { return slices.Contains(known, one.ID) })
	for _, one := range all {
		if want.is(one) && !one.CreatedAt.Before(mayBe) {
			out.Objects = append(out.Objects, one.ID)
		}
	}
	if len(out.Objects) > 0 {
		return out
	}
	for _, one := range all {
		if want.begins(one) && !one.CreatedAt.Before(since.Add(-freshly)) {
			out.Objects, out.Until = []int64{one.ID}, one.ValidUntil
		}
	}
	return out
}

// begins reports whether one is the beginning of want, as it is given until something
// else begins.
func (want roleAssignmentArgs) begins(one kisi.RoleAssignment) bool {
	return one.ValidFrom.Equal(want.ValidFrom.Truncate(time.Second)) && !one.ValidUntil.IsZero() &&
		(want.ValidUntil.IsZero() || one.ValidUntil.Before(want.ValidUntil.Truncate(time.Second)))
}
