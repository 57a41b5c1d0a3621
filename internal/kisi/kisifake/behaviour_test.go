package kisifake_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorhook/internal/kisi/kisifake"
)

func TestLists(t *testing.T) {
	s := fake(t, kisifake.Options{})
	for i := range 15 {
		idOf(t, ask(s, "POST", "/group_links", fmt.Sprintf(`{"group_link":{"group_id":32693,"name":"link %d","email":"u%d@example.com"}}`, i, i)))
	}
	idOf(t, ask(s, "POST", "/group_links", `{"group_link":{"group_id":32694,"name":"other"}}`))
	idOf(t, ask(s, "POST", "/schedules", `{"schedule":{`+single+`,`+window+`}}`))
	first := s.GroupLinks()[0].ID
	for target, c := range map[string]struct {
		n    int
		span string
	}{
		"/group_links":                                            {10, "0-9/16"},
		"/group_links?offset=10":                                  {6, "10-19/16"},
		"/group_links?offset=16":                                  {0, "16-25/16"},
		"/group_links?limit=250":                                  {16, "0-249/16"},
		"/group_links?group_id=32694":                             {1, "0-9/1"},
		"/group_links?query=LINK%201":                             {6, "0-9/6"},
		"/group_links?query=u3@":                                  {1, "0-9/1"},
		"/group_links?query=studio%20b":                           {1, "0-9/1"},
		"/group_links?query=none":                                 {0, "*/0"},
		fmt.Sprint("/group_links?ids=1,", first):                  {1, "0-9/1"},
		"/schedules":                                              {1, "0-9/1"},
		"/schedules?scheduleable_type=Lock&scheduleable_id=22281": {1, "0-9/1"},
		"/schedules?scheduleable_type=Lock&scheduleable_id=22282": {0, "*/0"},
		"/schedules?consequence=allow":                            {0, "*/0"},
		"/locks":                                                  {3, "0-49/3"},
		"/locks?query=studio&limit=1":                             {1, "0-0/2"},
		"/locks?ids=22281,22290":                                  {2, "0-49/2"},
		"/locks?online=false":                                     {0, "*/0"},
		"/groups":                                                 {2, "0-9/2"},
		"/groups?lock_id=22282":                                   {1, "0-9/1"},
		"/group_locks?group_id=32693":                             {2, "0-9/2"},
	} {
		w := ask(s, "GET", target, "")
		var all []map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || len(all) != c.n || w.Header().Get("X-Collection-Range") != c.span {
			t.Errorf("%s: %d of them, range %q, %v; want %d, %q", target, len(all), w.Header().Get("X-Collection-Range"), err, c.n, c.span)
		}
	}
}

func TestLinkSecretIsTheCreatorsOnly(t *testing.T) {
	s := fake(t, kisifake.Options{})
	w := ask(s, "POST", "/group_links", `{"group_link":{"group_id":32693,"name":"x","quick_response_code_type":"online"}}`)
	id := idOf(t, w)
	var made map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &made)
	secret, _ := made["secret"].(string)
	for _, name := range []string{"secret", "quick_response_code_token", "quick_response_code_image"} {
		if text, _ := made[name].(string); text == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if list := ask(s, "GET", "/group_links", "").Body.String(); strings.Contains(list, "secret") || strings.Contains(list, secret) {
		t.Errorf("the list has it: %s", list)
	}
	for _, method := range []string{"GET", "PATCH", "PUT"} {
		want(t, ask(s, method, "/group_links/"+id, `{"group_link":{"name":"y"}}`), 404, "")
	}
	if text := printed(s.Journal()); strings.Contains(text, secret) || strings.Contains(text, kisifake.DefaultKey) {
		t.Errorf("the journal has a secret: %s", text)
	}
}

func TestWhatALinkOpens(t *testing.T) {
	now := noon()
	s := fake(t, kisifake.Options{
		Now: func() time.Time { return now }, Locks: []kisifake.Lock{{ID: 1, Name: "in", Geofence: true}, {ID: 2, Name: "out"}},
		Groups: []kisifake.Group{{ID: 3, Name: "g", Locks: []int64{1}}},
	})
	var made struct{ Secret string }
	w := ask(s, "POST", "/group_links", `{"group_link":{"group_id":3,"name":"x","valid_from":"2026-10-10T12:00:00Z","valid_until":"2026-10-10T13:00:00Z"}}`)
	_ = json.Unmarshal(w.Body.Bytes(), &made)
	as := []string{"Authorization", "KISI-GROUP-LINK " + made.Secret}

	want(t, ask(s, "POST", "/locks/1/unlock", "", as...), 200, "")
	want(t, ask(s, "POST", "/locks/2/unlock", "", as...), 403, "")
	want(t, ask(s, "GET", "/locks", "", as...), 200, `"name":"in"`)
	if list := ask(s, "GET", "/locks", "", as...).Body.String(); strings.Contains(list, `"out"`) || strings.Contains(list, "geofence") {
		t.Errorf("a link sees %s", list)
	}
	want(t, ask(s, "GET", "/groups", "", as...), 401, "")
	now = noon().Add(-time.Second)
	want(t, ask(s, "POST", "/locks/1/unlock", "", as...), 403, "f358de")
	now = noon().Add(time.Hour)
	want(t, ask(s, "POST", "/locks/1/unlock", "", as...), 403, "f35ade")
}

func TestPlaces(t *testing.T) {
	s := fake(t, kisifake.Options{})
	want(t, ask(s, "GET", "/places", ""), 200, `"name":"HQ"`)
	want(t, ask(s, "GET", "/places?query=h", ""), 200, `"time_zone":"America/New_York"`)
	if got := ask(s, "GET", "/places?query=elsewhere", "").Body.String(); got != "[]" {
		t.Errorf("elsewhere is %s", got)
	}
	want(t, ask(s, "GET", "/places?scope=place", ""), 422, "scope")
	want(t, ask(s, "GET", "/places", "", "Authorization", "KISI-LOGIN x"), 401, "")
}

func TestConditionOfADoor(t *testing.T) {
	s := fake(t, kisifake.Options{Locks: []kisifake.Lock{{ID: 1, Name: "a"}, {ID: 2, Name: "b", Geofence: true}, {ID: 3, Name: "c", ReaderOnly: true}}})
	s.Offline(1)
	want(t, ask(s, "POST", "/locks/1/unlock", ""), 503, "fac002")
	s.Online(1)
	s.LockDown(1)
	want(t, ask(s, "POST", "/locks/1/unlock", ""), 409, "fad001")
	want(t, ask(s, "GET", "/locks/1", ""), 200, `"locked_down_since":"2026-10-10T12:00:00Z"`)
	s.CancelLockDown(1)
	want(t, ask(s, "POST", "/locks/1/unlock", ""), 200, "")
	want(t, ask(s, "GET", "/locks/1", ""), 200, `"unlocked":true`)
	want(t, ask(s, "POST", "/locks/2/unlock", ""), 403, "a3799f")
	want(t, ask(s, "POST", "/locks/3/unlock", ""), 403, "bb4faa")
	want(t, ask(s, "POST", "/locks/3/unlock", `{"lock":{"proximity_proof":"p"}}`), 200, "")
	if got := s.Unlocks(); len(got) != 2 || got[0] != (kisifake.Unlock{Lock: 1, At: noon()}) {
		t.Errorf("unlocks %+v", got)
	}
}

func TestScheduleOpensTheDoor(t *testing.T) {
	now := time.Date(2026, 10, 10, 9, 0, 0, 0, time.UTC)
	s := fake(t, kisifake.Options{Now: func() time.Time { return now }})
	idOf(t, ask(s, "POST", "/schedules", `{"schedule":{`+single+`,`+window+`}}`))
	want(t, ask(s, "GET", "/locks/22281", ""), 200, `"on_scheduled_unlock":true`)
	s.LockDown(22281)
	want(t, ask(s, "GET", "/locks/22281", ""), 200, `"on_scheduled_unlock":false`)
	s.CancelLockDown(22281)
	now = now.Add(90 * time.Minute)
	want(t, ask(s, "GET", "/locks/22281", ""), 200, `"on_scheduled_unlock":false`)
}

func TestSignIn(t *testing.T) {
	s := fake(t, kisifake.Options{Email: "o@example.com", Password: "pw", Domain: "hq"})
	in := func(user string) int {
		return ask(s, "POST", "/logins", `{"login":{"type":"api","expire":"false"},"user":`+user+`}`, "Authorization", "").Code
	}
	for user, status := range map[string]int{
		`{"email":"o@example.com","password":"no","domain":"hq"}`: 401,
		`{"email":"o@example.com","password":"pw","domain":"x"}`:  401,
		`{"email":"o@example.com","password":"pw"}`:               401,
		`{"email":"o@example.com"}`:                               422,
		`{"email":"o@example.com","password":"pw","domain":"hq"}`: 200,
	} {
		if got := in(user); got != status {
			t.Errorf("%s: got %d, want %d", user, got, status)
		}
	}
	want(t, ask(s, "POST", "/logins", `{"email":"o@example.com","password":"pw"}`), 422, "login and user")
	secret := s.Logins()[0]
	as := []string{"Authorization", "KISI-LOGIN " + secret}
	want(t, ask(s, "GET", "/login", "", as...), 200, `"expire":false`)
	want(t, ask(s, "DELETE", "/login", "", as...), 204, "")
	want(t, ask(s, "GET", "/login", "", as...), 401, "")
	if text := printed(s.Journal()); strings.Contains(text, secret) || strings.Contains(text, `"pw"`) {
		t.Error("the journal has a secret")
	}
	for range 10 {
		in(`{"email":"o@example.com","password":"pw","domain":"hq"}`)
	}
	if got := in(`{"email":"o@example.com","password":"pw","domain":"hq"}`); got != 403 {
		t.Errorf("the eleventh API login: %d", got)
	}
}

func TestPermissions(t *testing.T) {
	s := fake(t, kisifake.Options{})
	s.Forbid(kisifake.DefaultKey, "schedules_write")
	want(t, ask(s, "POST", "/schedules", `{"schedule":{`+single+`,`+window+`}}`), 403, "Access denied.")
	want(t, ask(s, "GET", "/schedules", ""), 200, "[]")
	want(t, ask(s, "POST", "/locks/22281/unlock", ""), 200, "")
	s.Permit(kisifake.DefaultKey, "schedules_write")
	want(t, ask(s, "POST", "/schedules", `{"schedule":{`+single+`,`+window+`}}`), 200, "")
	s.Revoke(kisifake.DefaultKey)
	want(t, ask(s, "GET", "/schedules", ""), 401, "")
}

func TestFiveRequestsASecond(t *testing.T) {
	now := noon()
	s := fake(t, kisifake.Options{Rate: 5, Now: func() time.Time { return now }, LimitRetryAfter: "1", LimitEmpty: true})
	burst := func() (passed int) {
		for range 10 {
			w := ask(s, "GET", "/locks", "")
			if w.Code == 200 {
				passed++
			} else if w.Code != 429 || w.Header().Get("Retry-After") != "1" || w.Body.Len() > 0 {
				t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
			}
		}
		return passed
	}
	if n := burst(); n != 5 {
		t.Errorf("%d passed at once", n)
	}
	now = now.Add(400 * time.Millisecond)
	if n := burst(); n != 2 {
		t.Errorf("%d passed after 0.4 s", n)
	}
	want(t, ask(s, "GET", "/locks", "", "Authorization", ""), 401, "") // a budget of its own
}

func TestEmailQuota(t *testing.T) {
	s := fake(t, kisifake.Options{EmailLinks: 1})
	mail := `{"group_link":{"group_id":32693,"name":"x","email":"a@example.com"}}`
	id := idOf(t, ask(s, "POST", "/group_links", mail))
	want(t, ask(s, "POST", "/group_links", mail), 422, "number of e-mail links")
	want(t, ask(s, "POST", "/group_links", `{"group_link":{"group_id":32693,"name":"x"}}`), 200, "")
	want(t, ask(s, "DELETE", "/group_links/"+id, ""), 204, "")
	want(t, ask(s, "POST", "/group_links", mail), 200, "")
}

func TestFaults(t *testing.T) {
	s := fake(t, kisifake.Options{})
	s.Fail(kisifake.Fault{Method: "POST", Path: "/locks/", Status: 403, Code: "a3995f", Reason: "You are too far away.", Times: 2})
	s.Fail(kisifake.Fault{Path: "/locks", Status: 429, RetryAfter: "3"})
	want(t, ask(s, "GET", "/locks", ""), 429, "")
	for range 2 {
		want(t, ask(s, "POST", "/locks/22281/unlock", ""), 403, "a3995f")
	}
	want(t, ask(s, "POST", "/locks/22281/unlock", ""), 200, "")
	if len(s.Unlocks()) != 1 {
		t.Errorf("unlocks %v", s.Unlocks())
	}

	s.Fail(kisifake.Fault{Then: kisifake.Crash})
	want(t, ask(s, "POST", "/locks/22281/unlock", ""), 500, "ffffff")
	s.Fail(kisifake.Fault{Junk: true})
	want(t, ask(s, "POST", "/locks/22281/unlock", ""), 200, "<html>")
	s.Fail(kisifake.Fault{Empty: true})
	if w := ask(s, "POST", "/locks/22281/unlock", ""); w.Code != 200 || w.Body.Len() > 0 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if len(s.Unlocks()) != 4 {
		t.Errorf("unlocked %d times: a fault after the work leaves the work done", len(s.Unlocks()))
	}

	s.Fail(kisifake.Fault{Status: 503, Times: -1})
	for range 5 {
		want(t, ask(s, "GET", "/locks", ""), 503, "")
	}
	s.Heal()
	want(t, ask(s, "GET", "/locks", ""), 200, "")
}

// A slow server does the work though nobody waits for it any more.
func TestDelayedWorkIsDone(t *testing.T) {
	s := fake(t, kisifake.Options{Now: time.Now})
	url, err := s.Start("")
	if err != nil {
		t.Fatal(err)
	}
	s.Fail(kisifake.Fault{Delay: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	req, _ := http.NewRequestWithContext(ctx, "POST", url+"/locks/22281/unlock", nil)
	req.Header.Set("Authorization", "KISI-LOGIN "+kisifake.DefaultKey)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("an answer came")
	}
	if err := s.Await(t.Context(), func() bool { return len(s.Unlocks()) == 1 }); err != nil {
		t.Error(err)
	}
}

func TestJournal(t *testing.T) {
	var told []kisifake.Call
	s := fake(t, kisifake.Options{OnCall: func(c kisifake.Call) { told = append(told, c) }})
	ask(s, "GET", "/locks?limit=1", "")
	ask(s, "POST", "/schedules", "not JSON")
	ask(s, "POST", "/group_links", `{"group_link":{"group_id": 32693,"name":"x"}}`)
	all := s.Journal()
	if len(all) != 3 || len(told) != 3 {
		t.Fatalf("%d calls noted, %d told", len(all), len(told))
	}
	if c := all[0]; c.Method != "GET" || c.Path != "/locks" || c.Query != "limit=1" || c.Status != 200 || !c.At.Equal(noon()) || c.Body != nil {
		t.Errorf("noted %+v", c)
	}
	if string(all[1].Body) != `"not JSON"` || all[1].Status != 422 {
		t.Errorf("noted %s", all[1].Body)
	}
	if string(all[2].Body) != `{"group_link":{"group_id": 32693,"name":"x"}}` || !strings.Contains(string(all[2].Answer), `"secret":"[redacted]"`) {
		t.Errorf("noted %s %s", all[2].Body, all[2].Answer)
	}
	if !slices.Equal(all[0].Header["Authorization"], []string{"KISI-LOGIN [redacted]"}) {
		t.Errorf("noted %v", all[0].Header)
	}
}

func TestJournalIsBounded(t *testing.T) {
	s := fake(t, kisifake.Options{})
	for i := range 10_500 {
		ask(s, "GET", fmt.Sprint("/x/", i), "", "Authorization", "")
	}
	all := s.Journal()
	if len(all) > 10_000 || all[len(all)-1].Path != "/x/10499" {
		t.Errorf("%d calls, the last %s", len(all), all[len(all)-1].Path)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := fake(t, kisifake.Options{OnCall: func(kisifake.Call) {}})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			id := idOf(t, ask(s, "POST", "/schedules", `{"schedule":{`+single+`,`+window+`}}`))
			ask(s, "PATCH", "/schedules/"+id, `{"schedule":{"name":"y"}}`)
			ask(s, "GET", "/schedules", "")
			s.Offline(22281)
			_, _, _ = s.Schedules(), s.Journal(), s.Unlocks()
			ask(s, "DELETE", "/schedules/"+id, "")
		})
	}
	wg.Wait()
	if len(s.Schedules()) != 0 {
		t.Errorf("left: %+v", s.Schedules())
	}
}

func TestAwaitGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fake(t, kisifake.Options{}).Await(ctx, func() bool { return false }); err == nil {
		t.Error("no error")
	}
}

func TestStartAndClose(t *testing.T) {
	s := fake(t, kisifake.Options{})
	for _, addr := range []string{"0.0.0.0:0", ":8080", "192.0.2.1:80", "nonsense"} {
		if _, err := s.Start(addr); err == nil {
			t.Errorf("listens on %s", addr)
		}
	}
	if _, err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(""); err == nil {
		t.Error("listens twice")
	}
	s.Close()
	s.Close()
}

// printed shows bodies as texts.
func printed(calls []kisifake.Call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "%v %s %s\n", c.Header, c.Body, c.Answer)
	}
	return b.String()
}
