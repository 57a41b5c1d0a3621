package kisi_test

import (
	"net/http"
	"strings"
	"testing"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"

	"github.com/google/go-cmp/cmp"
)

// TestRightsOfTheOwner asks in three requests, of which none changes anything.
func TestRightsOfTheOwner(t *testing.T) {
	s, c := site(t)
	s.Forbid(kisifake.DefaultKey, "schedules_write")
	rights, err := c.Rights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[kisi.Permission]string{
		kisi.ReadGroupLinks: "Organization owner", kisi.WriteGroupLinks: "Organization owner",
		kisi.ReadSchedules: "Organization owner", kisi.WriteSchedules: "",
		kisi.ReadGroupLocks: "Organization owner", kisi.UnlockLocks: "Organization owner",
	} {
		if role, shown := rights.May(p, 5); role != want || shown != (want != "") {
			t.Errorf("%s: %q, %v", p, role, shown)
		}
	}
	var asked []string
	for _, call := range s.Journal() {
		asked = append(asked, call.Method+" "+call.Path+" "+call.Query)
	}
	want := []string{"GET /login ", "GET /role_assignments assignee_id=70&assignee_type=User&limit=250&offset=0", "GET /roles "}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestRightsHoldWhereTheRoleApplies: a user who manages one place and one group.
func TestRightsHoldWhereTheRoleApplies(t *testing.T) {
	answers := map[string]string{
		"/login": `{"user_id":9}`,
		"/role_assignments": `[
			{"id":1,"role_id":"place_manager","applies_to_type":"Place","applies_to_id":5},
			{"id":2,"role_id":"linker","applies_to_type":"Group","applies_to_id":50,"valid_from":null,"valid_until":null},
			{"id":3,"role_id":"linker","applies_to_type":"Group","applies_to_id":51,"valid_until":"2020-01-01T00:00:00Z"},
			{"id":4,"role_id":"linker","applies_to_type":"Group","applies_to_id":52,"valid_from":"2099-01-01T00:00:00Z"},
			{"id":5,"role_id":"of a newer Kisi","applies_to_type":"Organization","applies_to_id":3}]`,
		"/roles": `[
			{"id":"place_manager","name":"Place manager","permissions":{"locks_unlock":true,"schedules_write":false,"hologram":true}},
			{"id":"linker","name":"Linker","permissions":{"group_links_write":true}}]`,
	}
	c := answering(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(answers[r.URL.Path])) })
	rights, err := c.Rights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		p      kisi.Permission
		place  int64
		groups []int64
		want   string
	}{
		"the place":           {kisi.UnlockLocks, 5, nil, "Place manager"},
		"a group of a place":  {kisi.UnlockLocks, 5, []int64{77}, "Place manager"},
		"another place":       {kisi.UnlockLocks, 6, nil, ""},
		"no place":            {kisi.UnlockLocks, 0, nil, ""},
		"not in that role":    {kisi.WriteSchedules, 5, nil, ""},
		"the group":           {kisi.WriteGroupLinks, 6, []int64{49, 50}, "Linker"},
		"a role that is over": {kisi.WriteGroupLinks, 6, []int64{51}, ""},
		"a role to come":      {kisi.WriteGroupLinks, 6, []int64{52}, ""},
		"a place's own id":    {kisi.WriteGroupLinks, 50, nil, ""},
	} {
		if role, _ := rights.May(tt.p, tt.place, tt.groups...); role != tt.want {
			t.Errorf("%s: got %q, want %q", name, role, tt.want)
		}
	}
}

func TestRightsThatCannotBeTold(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) })
	_, err := c.Rights(t.Context())
	if e := failure(t, err); !strings.Contains(e.Error(), "does not say whose login it is") {
		t.Error(e)
	}
	s, c := site(t)
	s.Fail(kisifake.Fault{Path: "/role_assignments", Status: 403})
	_, err = c.Rights(t.Context())
	if e := failure(t, err); e.Status != 403 {
		t.Error(e)
	}
}
