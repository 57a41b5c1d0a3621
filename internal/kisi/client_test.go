package kisi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"

	"github.com/google/go-cmp/cmp"
)

func TestNewSaysWhatToSet(t *testing.T) {
	logins := &memory{}
	for name, c := range map[string]struct {
		o    kisi.Options
		want string // "" is no error
	}{
		"key":                {kisi.Options{APIKey: "k"}, ""},
		"sign-in":            {kisi.Options{Email: "a@b.c", Password: "p", Logins: logins}, ""},
		"slash at the end":   {kisi.Options{APIKey: "k", URL: "https://api.kisi.io/"}, ""},
		"plain at home":      {kisi.Options{APIKey: "k", URL: "http://localhost:1"}, ""},
		"plain at home, v6":  {kisi.Options{APIKey: "k", URL: "http://[::1]:1"}, ""},
		"nothing":            {kisi.Options{}, "set either KISI_API_KEY, or KISI_EMAIL and KISI_PASSWORD"},
		"both":               {kisi.Options{APIKey: "k", Email: "a@b.c"}, "both"},
		"no e-mail":          {kisi.Options{Password: "p"}, "set KISI_EMAIL"},
		"no password":        {kisi.Options{Email: "a@b.c"}, "set KISI_PASSWORD"},
		"no logins":          {kisi.Options{Email: "a@b.c", Password: "p"}, "Options.Logins"},
		"key with a newline": {kisi.Options{APIKey: "k\n"}, "copy it again"},
		"odd integration":    {kisi.Options{APIKey: "k", Integration: "a\r\nb: c"}, "plain ASCII"},
		"plain elsewhere":    {kisi.Options{APIKey: "k", URL: "http://api.kisi.io"}, "has to begin with https://"},
		"other scheme":       {kisi.Options{APIKey: "k", URL: "ftp://localhost"}, "has to begin with https://"},
		"no scheme":          {kisi.Options{APIKey: "k", URL: "api.kisi.io"}, "has to look like"},
		"user in it":         {kisi.Options{APIKey: "k", URL: "https://u:p@api.kisi.io"}, "has to look like"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := kisi.New(c.o)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	s, url := start(t, kisifake.Options{})
	c := client(t, url+"/", kisi.Options{Integration: "Skedda", Contact: "ops@example.com", UserAgent: "doorhook/1"})
	if _, err := c.CurrentLogin(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/json"}, "User-Agent": {"doorhook/1"},
		"Authorization":                 {"KISI-LOGIN [redacted]"},
		"X-Kisi-Integration-Identifier": {"Skedda"}, "X-Kisi-Integration-Contact": {"ops@example.com"},
	}
	if diff := cmp.Diff(want, s.Journal()[0].Header); diff != "" {
		t.Error(diff)
	}
}

func TestHeadersLeftOut(t *testing.T) {
	s, c := site(t)
	if _, err := c.CurrentLogin(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := s.Journal()[0].Header
	if h.Get("User-Agent") != "doorhook" || h.Values("X-Kisi-Integration-Identifier") != nil {
		t.Errorf("sent %v", h)
	}
}

func TestUnlock(t *testing.T) {
	s, c := site(t)
	if err := c.Unlock(t.Context(), lockA); err != nil {
		t.Fatal(err)
	}
	if got := s.Unlocks(); len(got) != 1 || got[0].Lock != lockA {
		t.Errorf("unlocked %v", got)
	}
}

func TestScheduleFromBirthToDeath(t *testing.T) {
	s, c := site(t)
	start, end := morning()
	made, err := c.CreateSchedule(t.Context(), studio(start, end))
	if err != nil {
		t.Fatal(err)
	}
	if made.ID == 0 || !made.StartsAt.Equal(start) || !made.Enabled || made.Type != "single_event" {
		t.Errorf("made %+v", made)
	}
	sent(t, s, `{"schedule":{"name":"Booking 8f3a","enabled":true,"override":false,"consequence":"unlock",
		"scheduleable_type":"Lock","scheduleable_id":22281,"type":"single_event",
		"starts_at":"2026-10-10T09:00:00Z","ends_at":"2026-10-10T10:30:00Z"}}`)

	listed, err := c.Schedules(t.Context(), "Lock", lockA)
	if diff := cmp.Diff([]kisi.Schedule{made}, listed); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if other, err := c.Schedules(t.Context(), "Lock", 22282); err != nil || len(other) != 0 {
		t.Errorf("the other studio has %v, %v", other, err)
	}

	change := kisi.ScheduleChange{Name: "Booking 8f3a", StartsAt: start.Add(time.Hour), EndsAt: end.Add(time.Hour)}
	if err := c.ChangeSchedule(t.Context(), made.ID, change); err != nil {
		t.Fatal(err)
	}
	if got := s.Schedules()[0]; !got.StartsAt.Equal(start.Add(time.Hour)) || got.Consequence != "unlock" {
		t.Errorf("changed to %+v", got)
	}
	if err := c.DeleteSchedule(t.Context(), made.ID); err != nil || len(s.Schedules()) != 0 {
		t.Errorf("after its deletion: %v, %v", err, s.Schedules())
	}
	if e := failure(t, c.DeleteSchedule(t.Context(), made.ID)); e.Status != 404 {
		t.Errorf("deleted again: %v", e)
	}
}

func TestScheduleWithoutName(t *testing.T) {
	s, c := site(t)
	start, end := morning()
	asked := studio(start.Add(1500*time.Millisecond), end)
	asked.Name = ""
	made, err := c.CreateSchedule(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	sent(t, s, `{"schedule":{"enabled":true,"override":false,"consequence":"unlock","scheduleable_type":"Lock",
		"scheduleable_id":22281,"type":"single_event","starts_at":"2026-10-10T09:00:01Z","ends_at":"2026-10-10T10:30:00Z"}}`)
	if err := c.ChangeSchedule(t.Context(), made.ID, kisi.ScheduleChange{Override: true, StartsAt: start, EndsAt: end}); err != nil {
		t.Fatal(err)
	}
	sent(t, s, `{"schedule":{"name":null,"override":true,"type":"single_event",
		"starts_at":"2026-10-10T09:00:00Z","ends_at":"2026-10-10T10:30:00Z"}}`)
}

func TestGroupLinkFromBirthToDeath(t *testing.T) {
	s, c := site(t)
	start, end := morning()
	asked := kisi.GroupLink{
		GroupID: groupA, Name: "Booking 8f3a", Email: "ada@example.com", Phone: "+12125550100",
		QuickResponseCodeType: "offline", LinkEnabled: new(false), ValidFrom: start, ValidUntil: end,
	}
	made, err := c.CreateGroupLink(t.Context(), asked)
	if err != nil || made.ID == 0 {
		t.Fatal(made, err)
	}
	sent(t, s, `{"group_link":{"group_id":32693,"name":"Booking 8f3a","email":"ada@example.com","phone":"+12125550100",
		"quick_response_code_type":"offline","link_enabled":false,
		"valid_from":"2026-10-10T09:00:00Z","valid_until":"2026-10-10T10:30:00Z"}}`)

	listed, err := c.GroupLinks(t.Context(), groupA, "8f3a")
	if diff := cmp.Diff([]kisi.GroupLink{made}, listed); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if none, err := c.GroupLinks(t.Context(), groupA, "other"); err != nil || len(none) != 0 {
		t.Errorf("another query finds %v, %v", none, err)
	}
	if err := c.DeleteGroupLink(t.Context(), made.ID); err != nil || len(s.GroupLinks()) != 0 {
		t.Errorf("after its deletion: %v, %v", err, s.GroupLinks())
	}
}

func TestShortestGroupLink(t *testing.T) {
	s, c := site(t)
	made, err := c.CreateGroupLink(t.Context(), kisi.GroupLink{GroupID: groupA, Name: "Door"})
	if err != nil || made.LinkEnabled == nil || !*made.LinkEnabled {
		t.Fatal(made, err)
	}
	sent(t, s, `{"group_link":{"group_id":32693,"name":"Door"}}`)
}

func TestSite(t *testing.T) {
	s, c := site(t)
	s.Offline(22282)
	locks, err := c.Locks(t.Context())
	if err != nil || len(locks) != 3 || locks[0].Name != "Studio A" || !*locks[0].Online || *locks[1].Online || locks[0].PlaceID != 5 {
		t.Errorf("locks %+v, %v", locks, err)
	}
	groups, err := c.Groups(t.Context())
	two := 2
	if diff := cmp.Diff(kisi.Group{ID: groupA, Name: "Studio A and front door", PlaceID: 5, LocksCount: &two}, groups[0]); err != nil || len(groups) != 2 || diff != "" {
		t.Errorf("groups %+v, %v: %s", groups, err, diff)
	}
	places, err := c.Places(t.Context())
	if err != nil || len(places) != 1 || places[0] != (kisi.Place{ID: 5, Name: "HQ", TimeZone: "America/New_York"}) {
		t.Errorf("places %+v, %v", places, err)
	}
	of, err := c.GroupLocks(t.Context(), groupA)
	if diff := cmp.Diff([]int64{22281, 22290}, of); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestListsToTheEnd(t *testing.T) {
	s, c := site(t)
	start, end := morning()
	for i := range 600 {
		one := studio(start, end)
		one.Name = fmt.Sprint("Booking ", i)
		if _, err := c.CreateSchedule(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	before := len(s.Journal())
	all, err := c.Schedules(t.Context(), "Lock", lockA)
	if err != nil || len(all) != 600 || all[599].Name != "Booking 599" {
		t.Errorf("listed %d, %v", len(all), err)
	}
	if pages := len(s.Journal()) - before; pages != 3 {
		t.Errorf("asked for %d pages", pages)
	}
}

// sent compares the newest request's body.
func sent(t *testing.T, s *kisifake.Server, want string) {
	t.Helper()
	var wanted, got any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	journal := s.Journal()
	if err := json.Unmarshal(journal[len(journal)-1].Body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("sent another body (-want +got):\n%s", diff)
	}
}

// nowhere answers without a network.
type nowhere struct{ asked []string }

func (n *nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	n.asked = append(n.asked, r.Method+" "+r.URL.String())
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func TestTransportOfOnesOwn(t *testing.T) {
	n := &nowhere{}
	err := client(t, "", kisi.Options{Transport: n}).DeleteSchedule(t.Context(), 7)
	if diff := cmp.Diff([]string{"DELETE https://api.kisi.io/schedules/7"}, n.asked); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
