package action

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// TestPerson asks once a day, and once an hour for somebody who is not there.
func TestPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first bool
		fake, d := doerOver(t, kisi.Options{Wait: func(ctx context.Context) error {
			first = first || relay.PriorityOf(ctx) != relay.Whenever
			return nil
		}})
		urgent := relay.WithPriority(t.Context(), relay.Revoking)
		looks := func(after time.Duration, user int64, want *relay.Person) int {
			t.Helper()
			time.Sleep(after)
			from := len(fake.Journal())
			got, out := d.Person(urgent, user)
			if diff := cmp.Diff(want, got); out.Verdict != relay.OK || diff != "" {
				t.Errorf("%s %v (-want +got):\n%s", out.Verdict, out.Err, diff)
			}
			return len(fake.Journal()) - from
		}
		jo := &relay.Person{ID: 77, Email: "jo@example.com", Name: "Jo"}
		got := []int{
			looks(0, 77, jo), looks(0, 78, nil), looks(0, 0, nil),
			looks(time.Hour-1, 78, nil), looks(1, 78, nil),
			looks(0, 77, jo), looks(23*time.Hour, 77, jo),
		}
		if diff := cmp.Diff([]int{1, 1, 0, 0, 1, 0, 1}, got); diff != "" {
			t.Errorf("looks (-want +got):\n%s", diff)
		}
		if first {
			t.Error("it went before somebody at a door")
		}
		for user := range int64(mostPeople) {
			d.people.known[-user] = knownPerson{}
		}
		looks(24*time.Hour, 77, jo)
		if n := len(d.people.known); n > mostPeople {
			t.Errorf("%d are remembered", n)
		}
	})
}

// TestPersonIsNotTold: what cannot be asked is not remembered as nobody.
func TestPersonIsNotTold(t *testing.T) {
	for status, want := range map[int]relay.Verdict{
		http.StatusUnauthorized: relay.Rejected, http.StatusForbidden: relay.Rejected,
		http.StatusTooManyRequests: relay.Retry, http.StatusServiceUnavailable: relay.Retry,
	} {
		fake, d := kisiAt(t)
		fake.Fail(kisifake.Fault{Path: "/users", Status: status})
		_, out := d.Person(t.Context(), 77)
		if out.Verdict != want || want == relay.Rejected && !strings.Contains(out.Err.Error(), "users_read") {
			t.Errorf("%d: %s %v", status, out.Verdict, out.Err)
		}
		if p, out := d.Person(t.Context(), 77); out.Verdict != relay.OK || p == nil {
			t.Errorf("after %d: %v %v", status, p, out.Err)
		}
	}
}
