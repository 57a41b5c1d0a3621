package kisifake_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorhook/internal/kisi/kisifake"
)

func TestUserStrictness(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		status int
		holds  string
	}{
		"silent":            {`{"user":{"email":"mo@example.com","name":"Mo","send_emails":false,"confirm":true,"access_enabled":true}}`, 200, `"resource_type":"User"`},
		"e-mail alone":      {`{"user":{"email":"mo@example.com"}}`, 200, `"groups_count":0`},
		"all there is":      {`{"user":{"email":"mo@example.com","notes":null,"image":null,"metadata":{"a":1},"password_flow_enabled":false}}`, 200, `"confirmed":true`},
		"no e-mail":         {`{"user":{"name":"Mo"}}`, 422, `"email":["can't be blank"]`},
		"a blank e-mail":    {`{"user":{"email":" "}}`, 422, `"email"`},
		"no address":        {`{"user":{"email":"Mo <mo@example.com>"}}`, 422, `"email"`},
		"taken":             {`{"user":{"email":"jo@example.com"}}`, 422, "already been taken"},
		"taken, in capital": {`{"user":{"email":"JO@example.com"}}`, 422, "already been taken"},
		"unwrapped":         {`{"email":"mo@example.com"}`, 422, "belong into user"},
		"unknown attribute": {`{"user":{"email":"mo@example.com","role":"x"}}`, 422, "role"},
		"a text for a yes":  {`{"user":{"email":"mo@example.com","confirm":"true"}}`, 422, "confirm"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake(t, kisifake.Options{})
			want(t, ask(s, "POST", "/users", c.body), c.status, c.holds)
			if made := len(s.Users()) - 2; (made == 1) != (c.status == 200) {
				t.Errorf("%d users were made", made)
			}
		})
	}
}

func TestRoleStrictness(t *testing.T) {
	const (
		jo    = `"assignee_type":"User","assignee_id":77,`
		group = `"applies_to_type":"Group","applies_to_id":32693,`
		basic = `"role_id":"group_basic"`
		span  = `,"valid_from":"2026-10-10T09:00:00Z","valid_until":"2026-10-10T10:30:00Z"`
	)
	for name, c := range map[string]struct {
		body   string
		status int
		holds  string
	}{
		"window":               {jo + group + basic + span, 200, `"valid_until":"2026-10-10T10:30:00Z"`},
		"no window":            {jo + group + basic, 200, `"valid_until":null`},
		"notify":               {jo + group + basic + `,"notify":true`, 200, `"notify":true`},
		"manager":              {jo + group + `"role_id":"group_manager"`, 200, `"group_manager"`},
		"deprecated":           {`"user_id":77,"group_id":32693,` + basic + span, 200, `"assignee_id":77`},
		"half deprecated":      {jo + `"group_id":32693,` + basic, 200, `"applies_to_id":32693`},
		"of the organization":  {jo + `"applies_to_type":"Organization","applies_to_id":3,"role_id":"organization_owner"`, 200, `"Site"`},
		"no such user":         {`"assignee_type":"User","assignee_id":78,` + group + basic, 422, "assignee"},
		"a team":               {`"assignee_type":"Team","assignee_id":77,` + group + basic, 422, "assignee"},
		"no such group":        {jo + `"applies_to_type":"Group","applies_to_id":1,` + basic, 422, "applies_to"},
		"a lock":               {jo + `"applies_to_type":"Lock","applies_to_id":22281,` + basic, 422, "not included in the list"},
		"no such role":         {jo + group + `"role_id":"basic"`, 422, "role"},
		"a role of another":    {jo + group + `"role_id":"organization_owner"`, 422, "role"},
		"no role":              {jo + group + `"notify":false`, 422, `"role_id":["can't be blank"]`},
		"no assignee":          {group + basic, 422, "assignee_id"},
		"an id as text":        {`"assignee_type":"User","assignee_id":"77",` + group + basic, 422, "must be an integer"},
		"end before start":     {jo + group + basic + `,"valid_from":"2026-10-10T10:00:00Z","valid_until":"2026-10-10T09:00:00Z"`, 422, "after valid_from"},
		"an empty window":      {jo + group + basic + `,"valid_from":"2026-10-10T10:00:00Z","valid_until":"2026-10-10T10:00:00Z"`, 422, "after valid_from"},
		"a window elsewhere":   {jo + `"applies_to_type":"Organization","applies_to_id":3,"role_id":"organization_owner"` + span, 422, "Group only"},
		"no zone":              {jo + group + basic + `,"valid_from":"2026-10-10T10:00:00"`, 422, "date-time"},
		"an unknown attribute": {jo + group + basic + `,"name":"x"`, 422, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake(t, kisifake.Options{})
			want(t, ask(s, "POST", "/role_assignments", `{"role_assignment":{`+c.body+`}}`), c.status, c.holds)
			if made := len(s.RoleAssignments()); (made == 1) != (c.status == 200) {
				t.Errorf("%d exist", made)
			}
		})
	}
}

// given is what an assignee has from hour to hour, "" for no such end.
func given(user int, role, from, until string) string {
	at := func(hour string) string {
		if hour == "" {
			return "null"
		}
		return `"2026-10-10T` + hour + `:00:00Z"`
	}
	return fmt.Sprintf(`{"role_assignment":{"assignee_type":"User","assignee_id":%d,"applies_to_type":"Group","applies_to_id":32693,"role_id":%q,"valid_from":%s,"valid_until":%s}}`,
		user, role, at(from), at(until))
}

// TestRoleOnce: nobody has the same role of a group twice at a time.
func TestRoleOnce(t *testing.T) {
	for name, c := range map[string]struct {
		there, more string
		status      int
	}{
		"the same":           {given(77, "group_basic", "09", "11"), given(77, "group_basic", "09", "11"), 409},
		"overlapping":        {given(77, "group_basic", "09", "11"), given(77, "group_basic", "10", "12"), 409},
		"within":             {given(77, "group_basic", "09", "12"), given(77, "group_basic", "10", "11"), 409},
		"for ever":           {given(77, "group_basic", "", ""), given(77, "group_basic", "10", "11"), 409},
		"until for ever":     {given(77, "group_basic", "10", "11"), given(77, "group_basic", "", ""), 409},
		"from then on":       {given(77, "group_basic", "10", "11"), given(77, "group_basic", "11", ""), 200},
		"one after another":  {given(77, "group_basic", "09", "10"), given(77, "group_basic", "10", "11"), 200},
		"another role":       {given(77, "group_basic", "09", "10"), given(77, "group_manager", "09", "10"), 200},
		"another user":       {given(77, "group_basic", "09", "10"), given(70, "group_basic", "09", "10"), 200},
		"before there was 1": {given(77, "group_basic", "10", ""), given(77, "group_basic", "", "10"), 200},
	} {
		s := fake(t, kisifake.Options{})
		want(t, ask(s, "POST", "/role_assignments", c.there), 200, "")
		w := ask(s, "POST", "/role_assignments", c.more)
		if w.Code != c.status {
			t.Errorf("%s: got %d %s, want %d", name, w.Code, w.Body, c.status)
		}
	}
}

func TestRoleLife(t *testing.T) {
	s := fake(t, kisifake.Options{})
	id := idOf(t, ask(s, "POST", "/role_assignments", given(77, "group_basic", "09", "10")))
	one := "/role_assignments/" + id
	want(t, ask(s, "GET", one, ""), 200, `"type":"group"`)
	want(t, ask(s, "GET", "/users/77", ""), 200, `"groups_count":1`)
	want(t, ask(s, "PATCH", one, `{"role_assignment":{"role_id":"group_manager","notify":true}}`), 204, "")
	if got := s.RoleAssignments()[0]; got.RoleID != "group_manager" || !got.Notify || got.ValidFrom.Hour() != 9 {
		t.Errorf("it is %+v", got)
	}
	want(t, ask(s, "PATCH", one, `{"role_assignment":{"valid_until":"2026-10-10T11:00:00Z"}}`), 422, "valid_until")
	want(t, ask(s, "PATCH", one, `{"role_assignment":{"role_id":"organization_owner"}}`), 422, "role")
	want(t, ask(s, "PATCH", "/role_assignments/1", `{"role_assignment":{"notify":true}}`), 404, "")
	want(t, ask(s, "DELETE", one, ""), 204, "")
	want(t, ask(s, "DELETE", one, ""), 404, "")
	want(t, ask(s, "GET", one, ""), 404, "")
	want(t, ask(s, "DELETE", "/role_assignments/501", ""), 404, "") // the owner stays
}

func TestListsOfPeople(t *testing.T) {
	o := kisifake.Options{Users: []kisifake.User{{ID: 77, Name: "Jo", Email: "jo@example.com"}}}
	for i := range 120 {
		o.Users = append(o.Users, kisifake.User{ID: int64(2000 + i), Name: fmt.Sprint("Guest ", i), Email: fmt.Sprintf("g%d@example.com", i)})
	}
	s := fake(t, o)
	id := idOf(t, ask(s, "POST", "/role_assignments", given(77, "group_basic", "09", "10")))
	for target, c := range map[string]struct {
		n    int
		span string
	}{
		"/users":                                                  {50, "0-49/122"},
		"/users?limit=100&offset=100":                             {22, "100-199/122"},
		"/users?email=JO@example.com":                             {1, "0-49/1"},
		"/users?email=jo@example":                                 {0, "*/0"},
		"/users?query=guest%201":                                  {31, "0-49/31"},
		"/users?ids=77,2001":                                      {2, "0-49/2"},
		"/users?group_id=32693":                                   {1, "0-49/1"},
		"/role_assignments":                                       {2, "0-9/2"},
		"/role_assignments?query=jo@":                             {1, "0-9/1"},
		"/role_assignments?assignee_type=User&assignee_id=77":     {1, "0-9/1"},
		"/role_assignments?applies_to_type=Group":                 {1, "0-9/1"},
		"/role_assignments?applies_to_type=Group&applies_to_id=5": {0, "*/0"},
		"/role_assignments?role_id=group_manager":                 {0, "*/0"},
		"/role_assignments?ids=" + id:                             {1, "0-9/1"},
	} {
		w := ask(s, "GET", target, "")
		var all []map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || len(all) != c.n || w.Header().Get("X-Collection-Range") != c.span {
			t.Errorf("%s: %d of them, range %q, %v; want %d, %q", target, len(all), w.Header().Get("X-Collection-Range"), err, c.n, c.span)
		}
	}
	want(t, ask(s, "GET", "/users?limit=101", ""), 422, "from 1 to 100")
	want(t, ask(s, "GET", "/users?name=Jo", ""), 422, "name")
	want(t, ask(s, "GET", "/users/1", ""), 404, "")
}

// TestPeopleNeedPermissions: each is refused by itself.
func TestPeopleNeedPermissions(t *testing.T) {
	for permission, c := range map[string][3]string{
		"users_read":             {"GET", "/users/77", ""},
		"users_write":            {"POST", "/users", `{"user":{"email":"mo@example.com"}}`},
		"role_assignments_read":  {"GET", "/role_assignments", ""},
		"role_assignments_write": {"POST", "/role_assignments", given(77, "group_basic", "09", "10")},
	} {
		s := fake(t, kisifake.Options{})
		s.Forbid(kisifake.DefaultKey, permission)
		want(t, ask(s, c[0], c[1], c[2]), 403, "fcd8ef")
		want(t, ask(s, "GET", "/roles", ""), 200, fmt.Sprintf(`"%s":false`, permission))
		s.Permit(kisifake.DefaultKey, permission)
		want(t, ask(s, c[0], c[1], c[2]), 200, "")
	}
}

// TestAssignedByHand is in Kisi's lists like any other.
func TestAssignedByHand(t *testing.T) {
	s := fake(t, kisifake.Options{})
	s.Assign(kisifake.RoleAssignment{RoleID: "group_basic", AssigneeType: "User", AssigneeID: 77, AppliesToType: "Group", AppliesToID: 32694, CreatedAt: noon().Add(-time.Hour)})
	if got := ask(s, "GET", "/role_assignments?applies_to_type=Group", "").Body.String(); !strings.Contains(got, `"created_at":"2026-10-10T11:00:00Z"`) {
		t.Error(got)
	}
}
