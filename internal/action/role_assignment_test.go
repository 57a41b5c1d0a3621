package action

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

func theRole(edit ...any) relay.Action {
	args := map[string]any{
		"group_id": 32693, "email": "Jo@Example.com", "role_id": "group_basic", "notify": false, "valid_from": starts, "valid_until": ends,
	}
	for i := 0; i < len(edit); i += 2 {
		if args[edit[i].(string)] = edit[i+1]; edit[i+1] == nil {
			delete(args, edit[i].(string))
		}
	}
	return relay.Action{Key: "r", Kind: relay.RoleAssignment, Args: relay.Encode(args)}
}

// jo is what Jo was given of the group, unless edit says otherwise.
func jo(edit func(*kisifake.RoleAssignment)) kisifake.RoleAssignment {
	one := kisifake.RoleAssignment{
		RoleID: "group_basic", AssigneeType: "User", AssigneeID: 77, AppliesToType: "Group", AppliesToID: 32693,
		ValidFrom: starts, ValidUntil: ends, CreatedAt: time.Now(),
	}
	if edit != nil {
		edit(&one)
	}
	return one
}

// TestAssign asks for no more than it takes, and makes a user only where there is none.
func TestAssign(t *testing.T) {
	const look, add, give = "GET /users", "POST /users", "POST /role_assignments"
	for name, tt := range map[string]struct {
		a     relay.Action
		fault *kisifake.Fault
		want  relay.Verdict
		asked []string
		users int // that there are afterwards
	}{
		"somebody Kisi knows":         {a: theRole(), want: relay.OK, asked: []string{look, give}, users: 2},
		"somebody new":                {a: theRole("email", "mo@example.com"), want: relay.OK, asked: []string{look, add, give}, users: 3},
		"a user by id":                {a: theRole("email", nil, "user_id", 77), want: relay.OK, asked: []string{give}, users: 2},
		"without a window":            {a: theRole("valid_from", nil, "valid_until", nil), want: relay.OK, asked: []string{look, give}, users: 2},
		"a user who is not there":     {a: theRole("email", nil, "user_id", 78), want: relay.Rejected, asked: []string{give}, users: 2},
		"a group that is not there":   {a: theRole("group_id", 1), want: relay.Rejected, asked: []string{look, give}, users: 2},
		"an address Kisi refuses":     {a: theRole("email", "nobody"), want: relay.Rejected, asked: []string{look, add, look}, users: 2},
		"users may not be seen":       {a: theRole(), fault: &kisifake.Fault{Path: "/users", Status: 401}, want: relay.Rejected, asked: []string{look}, users: 2},
		"users may not be made":       {a: theRole("email", "mo@example.com"), fault: &kisifake.Fault{Method: "POST", Path: "/users", Status: 403}, want: relay.Rejected, asked: []string{look, add}, users: 2},
		"no answer about the user":    {a: theRole(), fault: &kisifake.Fault{Path: "/users", Then: kisifake.Hang}, want: relay.Retry, asked: []string{look}, users: 2},
		"a user made without answer":  {a: theRole("email", "mo@example.com"), fault: &kisifake.Fault{Method: "POST", Path: "/users", Then: kisifake.Crash}, want: relay.Retry, asked: []string{look, add}, users: 3},
		"too many requests":           {a: theRole(), fault: &kisifake.Fault{Path: "/role_assignments", Status: 429}, want: relay.Retry, asked: []string{look, give}, users: 2},
		"given, and no answer":        {a: theRole(), fault: &kisifake.Fault{Path: "/role_assignments", Then: kisifake.Hang}, want: relay.Unsure, asked: []string{look, give}, users: 2},
		"given, and a broken answer":  {a: theRole(), fault: &kisifake.Fault{Path: "/role_assignments", Junk: true}, want: relay.Unsure, asked: []string{look, give}, users: 2},
		"roles may not be given":      {a: theRole(), fault: &kisifake.Fault{Path: "/role_assignments", Status: 403}, want: relay.Rejected, asked: []string{look, give}, users: 2},
		"a limit of the rules: doors": {a: under(theRole(), relay.Limits{MaxDoors: 1}), want: relay.Rejected, asked: []string{"GET /group_locks"}, users: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, d := kisiAt(t)
			if tt.fault != nil {
				fake.Fail(*tt.fault)
			}
			out := d.Create(t.Context(), tt.a)
			if out.Verdict != tt.want || (out.Verdict == relay.OK) != (out.Object != 0) {
				t.Errorf("%+v, want %s", out, tt.want)
			}
			if diff := cmp.Diff(tt.asked, requests(fake, 0)); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if n := len(fake.Users()); n != tt.users {
				t.Errorf("there are %d users, want %d", n, tt.users)
			}
		})
	}
}

// TestNewUserIsSilent: a guest gets no mail from Kisi, and has nothing to confirm.
func TestNewUserIsSilent(t *testing.T) {
	fake, d := kisiAt(t)
	d.Create(t.Context(), theRole("email", "mo@example.com"))
	const want = `{"user":{"access_enabled":true,"confirm":true,"email":"mo@example.com","name":"mo@example.com","send_emails":false}}`
	if got := string(fake.Journal()[1].Body); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestTwoMakeOneUser: somebody else made the user between the look and the creation.
func TestTwoMakeOneUser(t *testing.T) {
	var other *Doer
	asked := 0
	fake, d := doerOver(t, kisi.Options{Wait: func(ctx context.Context) error {
		if asked++; asked == 2 { // after the look, before the creation
			if out := other.Create(ctx, theRole("email", "MO@example.com", "group_id", 32694)); out.Verdict != relay.OK {
				t.Error(out.Err)
			}
		}
		return nil
	}})
	client, err := kisi.New(kisi.Options{APIKey: kisifake.DefaultKey, Transport: inMemory{fake}})
	if err != nil {
		t.Fatal(err)
	}
	other = &Doer{kinds: map[relay.Kind]kind{relay.RoleAssignment: roleAssignment{client, time.Now}}}
	if out := d.Create(t.Context(), theRole("email", "mo@example.com")); out.Verdict != relay.OK {
		t.Error(out.Err)
	}
	if n := len(fake.Users()); n != 3 {
		t.Errorf("there are %d users, want 3", n)
	}
	for _, r := range fake.RoleAssignments() {
		if r.AssigneeID != fake.Users()[2].ID {
			t.Errorf("given to user %d", r.AssigneeID)
		}
	}
}

// TestTaken is what a role that somebody has already means for another one.
func TestTaken(t *testing.T) {
	hour := time.Hour
	old := func(r *kisifake.RoleAssignment) { r.CreatedAt = time.Now().Add(-30 * 24 * hour) }
	forEver := func(r *kisifake.RoleAssignment) { old(r); r.ValidFrom, r.ValidUntil = time.Time{}, time.Time{} }
	for name, tt := range map[string]struct {
		there  func(*kisifake.RoleAssignment)
		want   relay.Action
		says   relay.Verdict
		served bool
		free   time.Time
		until  time.Time // for which it is given
	}{
		"the same": {there: nil, want: theRole(), says: relay.Unsure, served: true, free: ends},
		"the same, by a request whose answer got lost within a second": {
			there: nil, want: theRole("valid_from", starts.Add(300*time.Millisecond)), says: relay.Unsure, served: true, free: ends,
		},
		"one that ends later":    {func(r *kisifake.RoleAssignment) { r.ValidUntil = ends.Add(hour) }, theRole(), relay.Retry, true, ends.Add(hour), time.Time{}},
		"one that ends earlier":  {func(r *kisifake.RoleAssignment) { r.ValidUntil = ends.Add(-time.Minute) }, theRole(), relay.Retry, false, ends.Add(-time.Minute), time.Time{}},
		"one that begins later":  {func(r *kisifake.RoleAssignment) { r.ValidFrom = starts.Add(time.Minute) }, theRole(), relay.OK, false, time.Time{}, starts.Add(time.Minute)},
		"one for ever":           {forEver, theRole(), relay.OK, false, time.Time{}, time.Time{}},
		"both for ever":          {forEver, theRole("valid_from", nil, "valid_until", nil), relay.OK, false, time.Time{}, time.Time{}},
		"one for ever from then": {func(r *kisifake.RoleAssignment) { forEver(r); r.ValidFrom = starts }, theRole(), relay.OK, false, time.Time{}, time.Time{}},
		"one for ever, too late": {func(r *kisifake.RoleAssignment) { forEver(r); r.ValidFrom = starts.Add(hour / 2) }, theRole(), relay.OK, false, time.Time{}, starts.Add(hour / 2)},
		"both for ever, just given": {
			func(r *kisifake.RoleAssignment) { forEver(r); r.CreatedAt = time.Now() }, theRole("valid_from", nil, "valid_until", nil), relay.Unsure, true, time.Time{}, time.Time{},
		},
		"for ever wanted, a window there": {nil, theRole("valid_from", nil, "valid_until", nil), relay.OK, false, time.Time{}, starts},
		"another role":                    {func(r *kisifake.RoleAssignment) { r.RoleID = "group_manager" }, theRole(), relay.OK, false, time.Time{}, time.Time{}},
		"another group":                   {func(r *kisifake.RoleAssignment) { r.AppliesToID = 32694 }, theRole(), relay.OK, false, time.Time{}, time.Time{}},
		"right before":                    {func(r *kisifake.RoleAssignment) { r.ValidFrom, r.ValidUntil = starts.Add(-hour), starts }, theRole(), relay.OK, false, time.Time{}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, d := kisiAt(t)
			id := fake.Assign(jo(tt.there))
			out := d.Create(t.Context(), tt.want)
			if out.Verdict != tt.says || out.Served != tt.served || !out.Free.Equal(tt.free) || !out.Until.Equal(tt.until) {
				t.Errorf("%s, served %t, free at %s, until %s: %v", out.Verdict, out.Served, out.Free, out.Until, out.Err)
			}
			for _, one := range fake.RoleAssignments() {
				if one.ID == out.Object && !tt.until.IsZero() && !one.ValidUntil.Equal(tt.until) {
					t.Errorf("it is given until %s", one.ValidUntil)
				}
			}
			if out.Object == id {
				t.Error("somebody else's is taken for ours")
			}
			if tt.says == relay.Retry && !strings.Contains(fmt.Sprint(out.Err), "user 77 has group_basic in group 32693 already") {
				t.Errorf("it says %v", out.Err)
			}
		})
	}
}

// TestTakenIsNotSeen: Kisi says 409, and then does not show why.
func TestTakenIsNotSeen(t *testing.T) {
	for name, fault := range map[string]kisifake.Fault{
		"nothing there": {Method: http.MethodPost, Path: "/role_assignments", Status: http.StatusConflict},
		"no list":       {Method: http.MethodGet, Path: "/role_assignments", Status: http.StatusForbidden},
	} {
		fake, d := kisiAt(t)
		if name == "no list" {
			fake.Assign(jo(nil))
		}
		fake.Fail(fault)
		if out := d.Create(t.Context(), theRole()); out.Verdict != relay.Retry || out.Err == nil {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

// TestFindRole finds what may be ours, a little older too, and nothing else.
func TestFindRole(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		there func(*kisifake.RoleAssignment)
		want  relay.Action
		found bool
	}{
		"just made":        {nil, theRole(), true},
		"an hour old":      {func(r *kisifake.RoleAssignment) { r.CreatedAt = now.Add(-time.Hour) }, theRole(), true},
		"two days old":     {func(r *kisifake.RoleAssignment) { r.CreatedAt = now.Add(-48 * time.Hour) }, theRole(), false},
		"by id":            {nil, theRole("email", nil, "user_id", 77), true},
		"another window":   {func(r *kisifake.RoleAssignment) { r.ValidUntil = ends.Add(time.Hour) }, theRole(), false},
		"another role":     {func(r *kisifake.RoleAssignment) { r.RoleID = "group_manager" }, theRole(), false},
		"another group":    {func(r *kisifake.RoleAssignment) { r.AppliesToID = 32694 }, theRole(), false},
		"another user":     {func(r *kisifake.RoleAssignment) { r.AssigneeID = 70 }, theRole(), false},
		"somebody unknown": {nil, theRole("email", "mo@example.com"), false},
		"its beginning":    {func(r *kisifake.RoleAssignment) { r.ValidUntil = ends.Add(-time.Minute) }, theRole(), true},
		"an old beginning": {func(r *kisifake.RoleAssignment) {
			r.ValidUntil, r.CreatedAt = ends.Add(-time.Minute), now.Add(-time.Hour)
		}, theRole(), false},
		"its end":               {func(r *kisifake.RoleAssignment) { r.ValidFrom = starts.Add(time.Minute) }, theRole(), false},
		"for ever, just made":   {func(r *kisifake.RoleAssignment) { r.ValidUntil = time.Time{} }, theRole("valid_until", nil), true},
		"for ever, an hour old": {func(r *kisifake.RoleAssignment) { r.ValidUntil, r.CreatedAt = time.Time{}, now.Add(-time.Hour) }, theRole("valid_until", nil), false},
	} {
		fake, d := kisiAt(t)
		id := fake.Assign(jo(tt.there))
		out := d.Find(t.Context(), tt.want, now, nil)
		if out.Verdict != relay.OK || cmp.Equal([]int64{id}, out.Objects) != tt.found {
			t.Errorf("%s: %+v", name, out)
		}
		if out.Until.IsZero() != (name != "its beginning") {
			t.Errorf("%s: until %s", name, out.Until)
		}
		if out := d.Find(t.Context(), tt.want, now, []int64{id}); len(out.Objects) != 0 {
			t.Errorf("%s: what is known is found: %v", name, out.Objects)
		}
	}
	fake, d := kisiAt(t)
	fake.Fail(kisifake.Fault{Path: "/users", Status: http.StatusForbidden})
	if out := d.Find(t.Context(), theRole(), now, nil); out.Verdict != relay.Retry {
		t.Errorf("users cannot be seen: %s", out.Verdict)
	}
}

// TestTakeBackRole deletes it, and what is not there is deleted.
func TestTakeBackRole(t *testing.T) {
	fake, d := kisiAt(t)
	made := d.Create(t.Context(), theRole())
	for _, want := range []relay.Verdict{relay.OK, relay.Gone} {
		if out := d.Revoke(t.Context(), theRole(), made.Object); out.Verdict != want || len(fake.RoleAssignments()) != 0 {
			t.Errorf("%s %v, want %s", out.Verdict, out.Err, want)
		}
	}
	if out := d.Change(t.Context(), theRole(), made.Object); out.Verdict != relay.Rejected {
		t.Errorf("a change: %s", out.Verdict)
	}
}

// TestDescribeRole says what depends on whether Kisi knows the user.
func TestDescribeRole(t *testing.T) {
	const give = `POST /role_assignments {"role_assignment":{"applies_to_id":32693,"applies_to_type":"Group","assignee_id":%s,"assignee_type":"User",` +
		`"notify":false,"role_id":"group_basic","valid_from":"2030-05-14T10:00:00Z","valid_until":"2030-05-14T11:00:00Z"}}`
	want := []string{
		"GET /users?email=Jo%40Example.com&limit=100&offset=0",
		`if there is no such user: POST /users {"user":{"access_enabled":true,"confirm":true,"email":"Jo@Example.com","name":"Jo@Example.com","send_emails":false}}`,
		"for the user: " + fmt.Sprintf(give, "USER"),
	}
	if diff := cmp.Diff(want, Describe(theRole())); diff != "" {
		t.Errorf("by e-mail (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf(give, "1")}, Describe(theRole("email", nil, "user_id", 1))); diff != "" {
		t.Errorf("by id (-want +got):\n%s", diff)
	}
}
