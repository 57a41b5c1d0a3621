package kisi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
)

// TestUserByEmail finds exactly the one who has the address, however it is written.
func TestUserByEmail(t *testing.T) {
	_, c := site(t)
	for email, want := range map[string]int64{"jo@example.com": 77, "JO@Example.com": 77, "jo@example.co": 0, "mojo@example.com": 0} {
		u, found, err := c.UserByEmail(t.Context(), email)
		if err != nil || u.ID != want || found != (want != 0) {
			t.Errorf("%s: %+v, %v, %v", email, u, found, err)
		}
	}
}

// TestUserByEmailInASearch: a Kisi that takes the address for a text to look for gives
// others too, on pages of a hundred, and perhaps without saying how many there are.
func TestUserByEmailInASearch(t *testing.T) {
	pages := 0
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		pages++
		if got := r.URL.Query().Get("limit"); got != "100" {
			t.Errorf("asked for %s", got)
		}
		var all []string
		for i := range 100 {
			all = append(all, fmt.Sprintf(`{"id":%d,"email":"jo%d@example.com","name":null}`, pages*1000+i, i))
		}
		if r.URL.Query().Get("offset") == "100" {
			all = []string{`{"id":5,"email":"Jo@example.com","name":"Jo"}`}
		}
		_, _ = w.Write([]byte("[" + strings.Join(all, ",") + "]"))
	})
	u, found, err := c.UserByEmail(t.Context(), "jo@example.com")
	if diff := cmp.Diff(kisi.User{ID: 5, Email: "Jo@example.com", Name: "Jo"}, u); err != nil || !found || diff != "" || pages != 2 {
		t.Errorf("%v after %d pages (-want +got):\n%s", err, pages, diff)
	}
}

func TestUsers(t *testing.T) {
	s, c := site(t)
	u, err := c.User(t.Context(), 77)
	if diff := cmp.Diff(kisi.User{ID: 77, Name: "Jo", Email: "jo@example.com"}, u); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	_, err = c.User(t.Context(), 78)
	if e := failure(t, err); e.Status != http.StatusNotFound {
		t.Error(e)
	}
	made, err := c.CreateUser(t.Context(), kisi.User{Email: "mo@example.com", Name: "Mo"})
	if u := s.Users()[2]; err != nil || made.ID != u.ID || u.Email != "mo@example.com" || u.Name != "Mo" {
		t.Errorf("%v: made %+v, there is %+v", err, made, u)
	}
	_, err = c.CreateUser(t.Context(), kisi.User{Email: "MO@example.com"})
	if e := failure(t, err); e.Status != http.StatusUnprocessableEntity || !strings.Contains(e.Error(), "already been taken") {
		t.Error(e)
	}
}

// TestRoleAssignments gives a role, lists it and takes it back.
func TestRoleAssignments(t *testing.T) {
	s, c := site(t)
	from, until := morning()
	give := kisi.RoleAssignment{AssigneeID: 77, AppliesToID: groupA, RoleID: "group_basic", Notify: true, ValidFrom: from, ValidUntil: until}
	made, err := c.CreateRoleAssignment(t.Context(), give)
	if err != nil {
		t.Fatal(err)
	}
	there := s.RoleAssignments()[0]
	want := kisifake.RoleAssignment{
		ID: made.ID, RoleID: "group_basic", AssigneeType: "User", AssigneeID: 77, AppliesToType: "Group", AppliesToID: groupA,
		Notify: true, ValidFrom: from.UTC(), ValidUntil: until.UTC(), CreatedAt: there.CreatedAt,
	}
	if diff := cmp.Diff(want, there); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err = c.CreateRoleAssignment(t.Context(), give)
	if e := failure(t, err); e.Status != http.StatusConflict {
		t.Error(e)
	}
	give.ValidFrom, give.ValidUntil = until, time.Time{}
	if _, err := c.CreateRoleAssignment(t.Context(), give); err != nil {
		t.Error(err)
	}
	for name, n := range map[string]int{"group_basic": 2, "group_manager": 0} {
		if all, err := c.RoleAssignments(t.Context(), 77, groupA, name); err != nil || len(all) != n {
			t.Errorf("%s: %+v, %v, want %d", name, all, err, n)
		}
	}
	if all, err := c.RoleAssignments(t.Context(), 70, groupA, "group_basic"); err != nil || len(all) != 0 {
		t.Errorf("of another: %+v, %v", all, err)
	}
	if err := c.DeleteRoleAssignment(t.Context(), made.ID); err != nil || len(s.RoleAssignments()) != 1 {
		t.Errorf("%v, left %+v", err, s.RoleAssignments())
	}
	if e := failure(t, c.DeleteRoleAssignment(t.Context(), made.ID)); e.Status != http.StatusNotFound {
		t.Error(e)
	}
}

// TestAdviceOnPeople names what the key lacks.
func TestAdviceOnPeople(t *testing.T) {
	for want, e := range map[string]kisi.Error{
		"users_read":             {Op: "GET /users", Status: 403},
		"users_read ":            {Op: "GET /users/77", Status: 401},
		"users_write":            {Op: "POST /users", Status: 403},
		"role_assignments_read":  {Op: "GET /role_assignments", Status: 403},
		"role_assignments_write": {Op: "DELETE /role_assignments/1", Status: 403},
	} {
		if got := e.Advice(); !strings.HasSuffix(got, "of a role with "+strings.TrimSpace(want)) {
			t.Errorf("%s %d: %s", e.Op, e.Status, got)
		}
	}
	if got := (&kisi.Error{Op: "POST /users", Status: 401}).Advice(); strings.Contains(got, "users_read") {
		t.Errorf("a key that Kisi does not know: %s", got)
	}
}
