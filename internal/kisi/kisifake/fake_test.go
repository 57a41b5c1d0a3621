package kisifake_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"doorhook/internal/kisi/kisifake"
)

// noon is when the tests take place.
func noon() time.Time { return time.Date(2026, 10, 10, 12, 0, 0, 0, time.UTC) }

// fake is a server at noon without a rate limit, unless o says otherwise.
func fake(t *testing.T, o kisifake.Options) *kisifake.Server {
	t.Helper()
	if o.Rate == 0 {
		o.Rate = -1
	}
	if o.Now == nil {
		o.Now = noon
	}
	s := kisifake.New(o)
	t.Cleanup(s.Close)
	return s
}

// ask makes a request as a user's curl would, with the default key. header has
// names and values in turn; an empty value takes a header away.
func ask(s *kisifake.Server, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "KISI-LOGIN "+kisifake.DefaultKey)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// want compares a status, and what the body holds.
func want(t *testing.T, w *httptest.ResponseRecorder, status int, holds string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), holds) {
		t.Errorf("got %d %s\nwant %d and %s", w.Code, w.Body, status, holds)
	}
}

// idOf gives the id that an answer holds.
func idOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var made struct{ ID json.Number }
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	return made.ID.String()
}

const (
	single = `"enabled":true,"consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":22281,"type":"single_event"`
	window = `"starts_at":"2026-10-10T09:00:00Z","ends_at":"2026-10-10T10:30:00Z"`
	weekly = `"monday":true,"tuesday":false,"wednesday":false,"thursday":false,"friday":false,"saturday":false,"sunday":false`
)

func TestScheduleStrictness(t *testing.T) {
	base := `"enabled":true,"consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":22281`
	for name, c := range map[string]struct {
		body   string
		status int
		holds  string
	}{
		"single event":    {`{"schedule":{` + single + `,` + window + `}}`, 200, `"starts_at":"2026-10-10T09:00:00Z"`},
		"name, override":  {`{"schedule":{"name":"x","override":true,` + single + `,` + window + `}}`, 200, `"override":true`},
		"another zone":    {`{"schedule":{` + single + `,"starts_at":"2026-10-10T05:00:00-04:00","ends_at":"2026-10-10T10:00:00Z"}}`, 200, `"starts_at":"2026-10-10T09:00:00Z"`},
		"seconds dropped": {`{"schedule":{` + single + `,"starts_at":"2026-10-10T09:00:59Z","ends_at":"2026-10-10T10:00:59Z"}}`, 200, `"ends_at":"2026-10-10T10:00:00Z"`},
		"whole day":       {`{"schedule":{` + base + `,"type":"single_all_day_event","starts_at_date":"2026-10-10","ends_at_date":"2026-10-10"}}`, 200, `"ends_at_date":"2026-10-10"`},
		"weekly":          {`{"schedule":{` + base + `,"type":"recurring_event",` + weekly + `,"starts_at_time":"09:00","ends_at_time":"10:00"}}`, 200, `"next_occurence"`},
		"holidays":        {`{"schedule":{` + base + `,"region":"us_ca","observed":true}}`, 200, `"holidays"`},
		"for a group":     {`{"schedule":{"enabled":true,"consequence":"allow","scheduleable_type":"Group","scheduleable_id":32693,"type":"single_event",` + window + `}}`, 200, `"type":"Group"`},

		"no body":               {``, 422, "base"},
		"not JSON":              {`schedule`, 422, "base"},
		"two documents":         {`{"schedule":{` + single + `,` + window + `}}{}`, 422, "base"},
		"unwrapped":             {`{` + single + `,` + window + `}`, 422, "belong into schedule"},
		"wrapped, not object":   {`{"schedule":[]}`, 422, "not an object"},
		"unknown attribute":     {`{"schedule":{"time_zone":"UTC",` + single + `,` + window + `}}`, 422, "time_zone"},
		"no enabled":            {`{"schedule":{"consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":22281,"type":"single_event",` + window + `}}`, 422, `"enabled":["can't be blank"]`},
		"null enabled":          {`{"schedule":{"enabled":null,"consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":22281,"type":"single_event",` + window + `}}`, 422, `"enabled"`},
		"enabled as text":       {`{"schedule":{"enabled":"true","consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":22281,"type":"single_event",` + window + `}}`, 422, `"enabled"`},
		"id as text":            {`{"schedule":{"enabled":true,"consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":"22281","type":"single_event",` + window + `}}`, 422, "must be an integer"},
		"id as float":           {`{"schedule":{"enabled":true,"consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":2.2281e4,"type":"single_event",` + window + `}}`, 422, "must be an integer"},
		"name as number":        {`{"schedule":{"name":7,` + single + `,` + window + `}}`, 422, "must be a text"},
		"no such lock":          {`{"schedule":{"enabled":true,"consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":1,"type":"single_event",` + window + `}}`, 422, "must exist"},
		"a group's id":          {`{"schedule":{"enabled":true,"consequence":"unlock","scheduleable_type":"Lock","scheduleable_id":32693,"type":"single_event",` + window + `}}`, 422, "must exist"},
		"unlock of a group":     {`{"schedule":{"enabled":true,"consequence":"unlock","scheduleable_type":"Group","scheduleable_id":32693,"type":"single_event",` + window + `}}`, 422, "not possible for a Group"},
		"permit of a lock":      {`{"schedule":{"enabled":true,"consequence":"permit","scheduleable_type":"Lock","scheduleable_id":22281,"type":"single_event",` + window + `}}`, 422, "not possible"},
		"odd consequence":       {`{"schedule":{"enabled":true,"consequence":"open","scheduleable_type":"Lock","scheduleable_id":22281,"type":"single_event",` + window + `}}`, 422, "not included in the list"},
		"no type":               {`{"schedule":{` + base + `,` + window + `}}`, 422, `"type"`},
		"no end":                {`{"schedule":{` + single + `,"starts_at":"2026-10-10T09:00:00Z"}}`, 422, `"ends_at":["can't be blank"]`},
		"misspelt start":        {`{"schedule":{` + single + `,"start_at":"2026-10-10T09:00:00Z","end_at":"2026-10-10T10:00:00Z"}}`, 422, `"monday":["can't be blank"]`},
		"type and times differ": {`{"schedule":{` + base + `,"type":"recurring_event",` + window + `}}`, 422, "does not go with"},
		"no zone":               {`{"schedule":{` + single + `,"starts_at":"2026-10-10T09:00:00","ends_at":"2026-10-10T10:00:00Z"}}`, 422, "date-time"},
		"end before start":      {`{"schedule":{` + single + `,"starts_at":"2026-10-10T10:30:00Z","ends_at":"2026-10-10T09:00:00Z"}}`, 422, "must be after starts_at"},
		"within one minute":     {`{"schedule":{` + single + `,"starts_at":"2026-10-10T09:00:05Z","ends_at":"2026-10-10T09:00:50Z"}}`, 422, "must be after starts_at"},
		"no weekday":            {`{"schedule":{` + base + `,"type":"recurring_event",` + strings.ReplaceAll(weekly, "true", "false") + `}}`, 422, "at least one weekday"},
		"odd time of day":       {`{"schedule":{` + base + `,"type":"recurring_event",` + weekly + `,"starts_at_time":"9 am"}}`, 422, "starts_at_time"},
		"days in reverse":       {`{"schedule":{` + base + `,"type":"single_all_day_event","starts_at_date":"2026-10-11","ends_at_date":"2026-10-10"}}`, 422, "ends_at_date"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake(t, kisifake.Options{})
			want(t, ask(s, "POST", "/schedules", c.body), c.status, c.holds)
			if made := len(s.Schedules()); (made == 1) != (c.status == 200) {
				t.Errorf("%d schedules exist", made)
			}
		})
	}
}

func TestScheduleChanges(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"all of it":          {`{"schedule":{"name":"y","enabled":false,"override":true,"type":"single_event","starts_at":"2026-10-11T09:00:00Z","ends_at":"2026-10-11T10:00:00Z"}}`, 204},
		"the end only":       {`{"schedule":{"ends_at":"2026-10-10T11:00:00Z"}}`, 204},
		"the name only":      {`{"schedule":{"name":null}}`, 204},
		"to a whole day":     {`{"schedule":{"starts_at_date":"2026-10-10","ends_at_date":"2026-10-10"}}`, 204},
		"consequence":        {`{"schedule":{"consequence":"unlock"}}`, 422},
		"another door":       {`{"schedule":{"scheduleable_type":"Lock","scheduleable_id":22282}}`, 422},
		"an end too early":   {`{"schedule":{"ends_at":"2026-10-10T08:00:00Z"}}`, 422},
		"misspelt":           {`{"schedule":{"end_at":"2026-10-10T11:00:00Z"}}`, 422},
		"half of a new type": {`{"schedule":{"starts_at_date":"2026-10-10"}}`, 422},
		"unwrapped":          {`{"name":"y"}`, 422},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake(t, kisifake.Options{})
			path := "/schedules/" + idOf(t, ask(s, "POST", "/schedules", `{"schedule":{"name":"x",`+single+`,`+window+`}}`))
			before := s.Schedules()[0]
			w := ask(s, "PATCH", path, c.body)
			want(t, w, c.status, "")
			if c.status == 204 && w.Body.Len() > 0 {
				t.Errorf("204 came with %s", w.Body)
			}
			after := s.Schedules()[0]
			after.UpdatedAt = before.UpdatedAt
			if changed := after.Name != before.Name || after.EndsAt != before.EndsAt || after.Type != before.Type; changed != (c.status == 204) {
				t.Errorf("from %+v to %+v", before, after)
			}
		})
	}
}

func TestGroupLinkStrictness(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		status int
		holds  string
	}{
		"shortest":          {`{"group_link":{"group_id":32693,"name":"x"}}`, 200, `"secret":"`},
		"with everything":   {`{"group_link":{"group_id":32693,"name":"x","email":"ada@example.com","phone":"+12125550100","quick_response_code_type":"offline","link_enabled":false,"valid_from":"2026-10-10T09:00:00Z","valid_until":"2026-10-10T10:00:00Z"}}`, 200, `"link_enabled":false`},
		"nulls":             {`{"group_link":{"group_id":32693,"name":"x","email":null,"phone":null,"quick_response_code_type":null,"valid_from":null,"valid_until":null}}`, 200, `"quick_response_code_token":null`},
		"unwrapped":         {`{"group_id":32693,"name":"x"}`, 422, "belong into group_link"},
		"no name":           {`{"group_link":{"group_id":32693}}`, 422, `"name":["can't be blank"]`},
		"blank name":        {`{"group_link":{"group_id":32693,"name":" "}}`, 422, `"name"`},
		"no group":          {`{"group_link":{"name":"x"}}`, 422, `"group_id"`},
		"group as text":     {`{"group_link":{"group_id":"32693","name":"x"}}`, 422, "must be an integer"},
		"no such group":     {`{"group_link":{"group_id":22281,"name":"x"}}`, 422, "must exist"},
		"expires_at":        {`{"group_link":{"group_id":32693,"name":"x","expires_at":"2026-10-10T10:00:00Z"}}`, 422, "expires_at"},
		"odd e-mail":        {`{"group_link":{"group_id":32693,"name":"x","email":"ada"}}`, 422, "blank or invalid"},
		"name in e-mail":    {`{"group_link":{"group_id":32693,"name":"x","email":"Ada <ada@example.com>"}}`, 422, "blank or invalid"},
		"phone with dashes": {`{"group_link":{"group_id":32693,"name":"x","phone":"212-555-0100"}}`, 422, `"phone"`},
		"phone elsewhere":   {`{"group_link":{"group_id":32693,"name":"x","phone":"+49301234567"}}`, 422, `"phone"`},
		"QR code type":      {`{"group_link":{"group_id":32693,"name":"x","quick_response_code_type":"png"}}`, 422, "quick_response_code_type"},
		"ends first":        {`{"group_link":{"group_id":32693,"name":"x","valid_from":"2026-10-10T10:00:00Z","valid_until":"2026-10-10T10:00:00Z"}}`, 422, "valid_until"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake(t, kisifake.Options{})
			want(t, ask(s, "POST", "/group_links", c.body), c.status, c.holds)
		})
	}
}

func TestRequestStrictness(t *testing.T) {
	link := `{"group_link":{"group_id":32693,"name":"x"}}`
	for name, c := range map[string]struct {
		method, target, body string
		header               []string
		status               int
		holds                string
	}{
		"no authorization":      {"GET", "/locks", "", []string{"Authorization", ""}, 401, `"code":`},
		"unknown key":           {"GET", "/locks", "", []string{"Authorization", "KISI-LOGIN x"}, 401, `"error":`},
		"other scheme":          {"GET", "/locks", "", []string{"Authorization", "Bearer kisi-demo-key"}, 401, ""},
		"no such path":          {"GET", "/doors", "", nil, 404, ""},
		"no such method":        {"PUT", "/schedules/1", "{}", nil, 404, ""},
		"id is a word":          {"GET", "/locks/front", "", nil, 404, ""},
		"slash at the end":      {"GET", "/locks/", "", nil, 404, ""},
		"form":                  {"POST", "/group_links", link, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, ""},
		"JSON with a charset":   {"POST", "/group_links", link, []string{"Content-Type", "application/json; charset=utf-8"}, 200, ""},
		"no Accept":             {"POST", "/group_links", link, []string{"Accept", ""}, 406, ""},
		"schedule unknown":      {"GET", "/schedules/1", "", nil, 404, `"code":`},
		"delete unknown":        {"DELETE", "/schedules/1", "", nil, 404, ""},
		"patch unknown":         {"PATCH", "/schedules/1", `{"schedule":{}}`, nil, 404, ""},
		"delete unknown link":   {"DELETE", "/group_links/1", "", nil, 404, ""},
		"limit too high":        {"GET", "/locks?limit=251", "", nil, 422, "limit"},
		"limit of none":         {"GET", "/locks?limit=0", "", nil, 422, "limit"},
		"limit is a word":       {"GET", "/locks?limit=all", "", nil, 422, "limit"},
		"offset too high":       {"GET", "/locks?offset=20001", "", nil, 422, "offset"},
		"unknown parameter":     {"GET", "/schedules?name=x", "", nil, 422, "name"},
		"parameter twice":       {"GET", "/locks?limit=1&limit=2", "", nil, 422, "twice"},
		"half of a target":      {"GET", "/schedules?scheduleable_id=22281", "", nil, 422, "scheduleable_type"},
		"boolean that is none":  {"GET", "/locks?online=yes", "", nil, 422, "online"},
		"group_locks, no group": {"GET", "/group_locks", "", nil, 400, "group_id"},
		"group_locks, unknown":  {"GET", "/group_locks?group_id=1", "", nil, 404, ""},
		"one lock":              {"GET", "/locks/22281", "", nil, 200, `"name":"Studio A"`},
		"one lock, unknown":     {"GET", "/locks/1", "", nil, 404, "fad10e"},
		"roles":                 {"GET", "/roles", "", nil, 200, `"schedules_write":true`},
		"roles, by pages":       {"GET", "/roles?limit=1", "", nil, 422, "limit"},
		"roles of the owner":    {"GET", "/role_assignments?assignee_type=User&assignee_id=70", "", nil, 200, `"role_id":"organization_owner"`},
		"roles of another":      {"GET", "/role_assignments?assignee_type=User&assignee_id=78", "", nil, 200, `[]`},
		"roles of a team":       {"GET", "/role_assignments?assignee_type=Team", "", nil, 200, `[]`},
		"roles in a group":      {"GET", "/role_assignments?applies_to_type=Group&applies_to_id=32693", "", nil, 200, `[]`},
		"half of an assignee":   {"GET", "/role_assignments?assignee_id=70", "", nil, 422, "assignee_type"},
		"current login":         {"GET", "/login", "", nil, 200, `"resource_type":"User"`},
		"unlock":                {"POST", "/locks/22281/unlock", "", nil, 200, `{"message":"Unlocked!"}`},
		"unlock with a place":   {"POST", "/locks/22281/unlock", `{"context":{"location":{"longitude":1,"latitude":2}}}`, nil, 200, ""},
		"unlock with a wish":    {"POST", "/locks/22281/unlock", `{"seconds":10}`, nil, 422, "seconds"},
		"unlock unknown":        {"POST", "/locks/1/unlock", "", nil, 404, "fad10e"},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, ask(fake(t, kisifake.Options{}), c.method, c.target, c.body, c.header...), c.status, c.holds)
		})
	}
}
