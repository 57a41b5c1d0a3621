package app

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/worker"
)

// message is one event of a booking.
type message struct {
	event     string
	version   int // 0 carries none
	cancelled bool
	lock      int    // 0 wants none
	email     string // "" wants none
	member    bool   // whether somebody is let into a group
	hour      int
}

func (m message) payload(booking string) map[string]any {
	at := func(hour int) string { return fmt.Sprintf("2000-01-02T%02d:00:00Z", hour) }
	p := map[string]any{"event": booking + "/" + m.event, "booking": booking, "start": at(m.hour), "end": at(m.hour + 1)}
	if m.version != 0 {
		p["version"] = m.version
	}
	if m.cancelled {
		p["status"] = "cancelled"
	}
	if m.lock != 0 {
		p["lock"] = m.lock
	}
	if m.email != "" {
		p["email"] = m.email
	}
	if m.member {
		p["member"] = person(booking) + "@example.com"
	}
	return p
}

// stands is what is in Kisi when all is done that m wants.
func (m message) stands() []string {
	var all []string
	if m.email != "" && !m.cancelled {
		all = append(all, fmt.Sprintf("link for %s from %d", m.email, m.hour))
	}
	if m.lock != 0 && !m.cancelled {
		all = append(all, fmt.Sprintf("schedule of %d from %d", m.lock, m.hour))
	}
	return all
}

// person has several bookings, which may want the same role at the same time.
func person(booking string) string {
	if booking < "b3" {
		return "ann"
	}
	return "bob"
}

// parcel is a message on its way.
type parcel struct {
	booking string
	message
	after time.Duration // the one before it
}

// TestWholeHistories sends the messages of five bookings at a time in any order and
// more than once, while Kisi fails now and then. When all is quiet, what stands in
// Kisi is what the newest message of each booking wants.
//
// A check is five histories, so there are five hundred of them; -rapid.checks=1000 makes
// that five thousand.
func TestWholeHistories(t *testing.T) {
	t.Parallel()
	const bookings = 5
	rapid.Check(t, func(rt *rapid.T) {
		var mail []parcel
		for i := range bookings {
			for _, m := range drawMessages(rt) {
				mail = append(mail, parcel{booking: fmt.Sprint("b", i), message: m})
			}
		}
		mail = rapid.Permutation(mail).Draw(rt, "order")
		for i := range mail {
			mail[i].after = rapid.SampledFrom([]time.Duration{0, 0, 0, time.Millisecond, time.Second, 40 * time.Second}).Draw(rt, "after")
		}
		faults := rapid.SliceOfN(rapid.Custom(drawFault), 0, 3).Draw(rt, "faults")
		want := map[string][]string{}
		for i := range bookings {
			booking := fmt.Sprint("b", i)
			last := newest(mail, booking)
			if all := last.stands(); len(all) > 0 {
				want[booking] = all
			}
			if role := fmt.Sprintf("role from %d", last.hour); last.member && !last.cancelled && !slices.Contains(want[person(booking)], role) {
				want[person(booking)] = append(want[person(booking)], role)
				slices.Sort(want[person(booking)])
			}
		}
		if diff := cmp.Diff(want, inTheEnd(t, mail, faults)); diff != "" {
			rt.Fatalf("in Kisi in the end (-want +got):\n%s", diff)
		}
	})
}

// inTheEnd is what stands in Kisi, by booking, when mail has come and all is quiet.
func inTheEnd(t *testing.T, mail []parcel, faults []kisifake.Fault) map[string][]string {
	stands := map[string][]string{}
	synctest.Test(t, func(t *testing.T) {
		w := newTower(t, testRules)
		defer w.close()
		w.in.Use(memberRules{loadRules(t, testRules)})
		w.work(func(o *worker.Options, _ *heldDoer) { o.Poll = time.Hour })
		for _, f := range faults {
			w.fake.Fail(f)
		}
		for _, p := range mail {
			time.Sleep(p.after)
			w.receive(p.payload(p.booking))
		}
		time.Sleep(15 * time.Minute)
		for _, l := range w.fake.GroupLinks() {
			booking := strings.Fields(l.Name)[1]
			stands[booking] = append(stands[booking], fmt.Sprintf("link for %s from %d", l.Email, l.ValidFrom.Hour()))
		}
		for _, s := range w.fake.Schedules() {
			booking := strings.Fields(s.Name)[1]
			stands[booking] = append(stands[booking], fmt.Sprintf("schedule of %d from %d", s.ScheduleableID, s.StartsAt.Hour()))
		}
		users := map[int64]string{}
		for _, u := range w.fake.Users() {
			users[u.ID], _, _ = strings.Cut(u.Email, "@")
		}
		for _, r := range w.fake.RoleAssignments() {
			stands[users[r.AssigneeID]] = append(stands[users[r.AssigneeID]], fmt.Sprintf("role from %d", r.ValidFrom.Hour()))
		}
		slices.Sort(stands["ann"])
		slices.Sort(stands["bob"])
		for _, cause := range w.letters() {
			stands["dead letters"] = append(stands["dead letters"], string(cause))
		}
	})
	return stands
}

// memberRules are rules that also let a member into a group.
type memberRules struct{ *rules.Set }

func (r memberRules) Plan(ev relay.Event) relay.Plan {
	p := r.Set.Plan(ev)
	payload, _ := ev.Payload.(map[string]any)
	if payload["member"] == nil {
		return p
	}
	at := func(name string) time.Time {
		t, _ := time.Parse(time.RFC3339, fmt.Sprint(payload[name]))
		return t
	}
	a := relay.Action{Key: "member#0", Rule: "member", Kind: relay.RoleAssignment, Ends: at("end"), NotAfter: at("end"), Args: relay.Encode(map[string]any{
		"group_id": 32693, "email": payload["member"], "role_id": "group_basic", "notify": false, "valid_from": at("start"), "valid_until": at("end"),
	})}
	p.Rules = append(p.Rules, relay.Match{Rule: a.Rule, Actions: []relay.Action{a}, Place: len(p.Rules)})
	return p
}

// drawMessages draws the messages of one booking, some of them more than once. Three kinds of sender are out there: one numbers what it sends, one does not, and
// one numbers all but its cancellation.
func drawMessages(t *rapid.T) []message {
	kind := rapid.SampledFrom([]string{"numbered", "unnumbered", "cancels without a number"}).Draw(t, "sender")
	var sent []message
	for n := range rapid.IntRange(1, 5).Draw(t, "versions") {
		m := message{event: fmt.Sprint(n), version: n + 1, hour: rapid.IntRange(10, 12).Draw(t, "hour")}
		m.lock = rapid.SampledFrom([]int{0, 22281, 22281, 22282}).Draw(t, "lock")
		m.email = rapid.SampledFrom([]string{"", "a@example.com", "a@example.com", "b@example.com"}).Draw(t, "email")
		m.member = rapid.Bool().Draw(t, "member")
		if kind == "unnumbered" {
			m.version = 0
		}
		m.cancelled = kind != "cancels without a number" && rapid.IntRange(0, 4).Draw(t, "cancels") == 0
		sent = append(sent, m)
	}
	switch {
	case kind == "cancels without a number":
		sent = append(sent, message{event: "c", cancelled: true, hour: 10})
	case kind == "numbered" && rapid.Bool().Draw(t, "cancels in the same second"):
		sent = append(sent, message{event: "c", version: len(sent), cancelled: true, hour: 10})
	}
	for range rapid.IntRange(0, 3).Draw(t, "repeats") {
		sent = append(sent, rapid.SampledFrom(sent).Draw(t, "repeat"))
	}
	return sent
}

// newest is the message of booking that counts in the end.
func newest(came []parcel, booking string) message {
	var seen []string
	var last message
	highest, removed := 0, false
	for _, p := range came {
		m := p.message
		if p.booking != booking || slices.Contains(seen, m.event) { // a repeat
			continue
		}
		seen = append(seen, m.event)
		switch {
		case m.version == 0: // arrival decides
			last, removed = m, m.cancelled
		case removed && (highest == 0 || m.version <= highest): // nothing says that it is newer than the cancellation
		case m.version > highest || m.version == highest && (m.cancelled || !last.cancelled):
			last, highest, removed = m, m.version, false
		}
	}
	return last
}

func drawFault(t *rapid.T) kisifake.Fault {
	f := kisifake.Fault{
		Method: rapid.SampledFrom([]string{http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodGet}).Draw(t, "method"),
		Times:  rapid.IntRange(1, 3).Draw(t, "times"),
	}
	switch rapid.IntRange(0, 4).Draw(t, "fault") {
	case 0:
		f.Status = http.StatusServiceUnavailable
	case 1:
		f.Status = http.StatusTooManyRequests
	case 2:
		f.Then = kisifake.Crash
	case 3:
		f.Then = kisifake.Reset
	case 4:
		f.Then = kisifake.Hang
	}
	return f
}
