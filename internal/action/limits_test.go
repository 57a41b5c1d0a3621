package action

import (
	"context"
	"errors"
	"fmt"
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

// under is a with limits. Group 32693 has the locks 22281 and 22290.
func under(a relay.Action, l relay.Limits) relay.Action {
	a.Limits = &l
	return a
}

// requests are what Kisi got since the last call, without what they ask for.
func requests(fake *kisifake.Server, from int) []string {
	var out []string
	for _, c := range fake.Journal()[from:] {
		out = append(out, c.Method+" "+c.Path)
	}
	return out
}

// TestLimits: a group whose locks go beyond a limit is not opened, and Kisi is not
// asked for anything that would.
func TestLimits(t *testing.T) {
	allowed := theGroup()
	allowed.Args = []byte(strings.Replace(string(allowed.Args), `"unlock"`, `"allow"`, 1))
	create, change := (*Doer).Create, func(d *Doer, ctx context.Context, a relay.Action) relay.Outcome { return d.Change(ctx, a, 1) }
	tests := []struct {
		name  string
		a     relay.Action
		do    func(*Doer, context.Context, relay.Action) relay.Outcome
		says  string // "" is done
		asked []string
	}{
		{"a link", under(theLink(), relay.Limits{MaxDoors: 2, Never: []int64{22282}}), create, "", []string{"GET /group_locks", "POST /group_links"}},
		{"a link without limits", theLink(), create, "", []string{"POST /group_links"}},
		{
			"a link to a lock that is never opened", under(theLink(), relay.Limits{Never: []int64{1, 22290}}), create,
			"limits.never: lock 22290 is one that this trigger never opens, and it is in group 32693",
			[]string{"GET /group_locks"},
		},
		{
			"a link to too many", under(theLink(), relay.Limits{MaxDoors: 1}), create,
			"limits.max_doors: group 32693 has 2 locks, and the most allowed is 1",
			[]string{"GET /group_locks"},
		},
		{"times for a group", under(allowed, relay.Limits{Never: []int64{22290}}), create, "limits.never: lock 22290 ", []string{"GET /group_locks"}},
		{"other times for a group", under(allowed, relay.Limits{Never: []int64{22290}}), change, "limits.never: lock 22290 ", []string{"GET /group_locks"}},
		{"the locks of a group", under(theGroup(), relay.Limits{MaxDoors: 2, Never: []int64{1}}), (*Doer).Locks, "", []string{"GET /group_locks"}},
		{
			"the locks of a group that has one that is never opened", under(theGroup(), relay.Limits{Never: []int64{22281}}), (*Doer).Locks,
			"limits.never: lock 22281 is one that this trigger never opens, and it is in group 32693",
			[]string{"GET /group_locks"},
		},
		{
			"the locks of a group that has too many", under(theGroup(), relay.Limits{MaxDoors: 1}), (*Doer).Locks,
			"limits.max_doors: group 32693 has 2 locks, and the most allowed is 1",
			[]string{"GET /group_locks"},
		},
		{"one lock of a group", under(theGroup(), relay.Limits{MaxDoors: 1, Never: []int64{22290}}).Expand([]int64{22281})[0], create, "", []string{"POST /schedules"}},
		{
			"one lock of a group, since never to be opened", under(theGroup(), relay.Limits{Never: []int64{22281}}).Expand([]int64{22281})[0], create,
			"limits.never: lock 22281 is one that this trigger never opens", nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake, d := kisiAt(t)
			out := tt.do(d, t.Context(), tt.a)
			switch {
			case tt.says == "" && (out.Verdict != relay.OK || out.Err != nil):
				t.Errorf("%s: %v", out.Verdict, out.Err)
			case tt.says != "" && (out.Verdict != relay.Rejected || !errors.Is(out.Err, relay.ErrLimit) || !strings.HasPrefix(out.Err.Error(), tt.says)):
				t.Errorf("%s: %v, want it rejected: %s", out.Verdict, out.Err, tt.says)
			}
			if diff := cmp.Diff(tt.asked, requests(fake, 0)); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLimitsFailClosed: without the locks of its group, no link is made.
func TestLimitsFailClosed(t *testing.T) {
	for status, want := range map[int]relay.Verdict{
		http.StatusServiceUnavailable: relay.Retry, http.StatusTooManyRequests: relay.Retry, http.StatusForbidden: relay.Rejected, http.StatusNotFound: relay.Rejected,
	} {
		fake, d := kisiAt(t)
		fake.Fail(kisifake.Fault{Path: "/group_locks", Status: status, Times: 1})
		link := under(theLink(), relay.Limits{MaxDoors: 2})
		if out := d.Create(t.Context(), link); out.Verdict != want || errors.Is(out.Err, relay.ErrLimit) || len(fake.GroupLinks()) != 0 {
			t.Errorf("%d: %s %v, and %d links", status, out.Verdict, out.Err, len(fake.GroupLinks()))
		}
		if out := d.Create(t.Context(), link); out.Verdict != relay.OK {
			t.Errorf("after %d: %s %v", status, out.Verdict, out.Err)
		}
	}
}

// TestGroupsAreRemembered for a minute, for links, and not more than some.
func TestGroupsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, d := doerOver(t, kisi.Options{})
		link := under(theLink(), relay.Limits{MaxDoors: 2})
		looks := func(after time.Duration, do func(context.Context, relay.Action) relay.Outcome, a relay.Action) int {
			t.Helper()
			time.Sleep(after)
			from, n := len(fake.Journal()), 0
			if out := do(t.Context(), a); out.Verdict != relay.OK {
				t.Fatal(out.Err)
			}
			for _, r := range requests(fake, from) {
				if r == "GET /group_locks" {
					n++
				}
			}
			return n
		}
		got := []int{
			looks(0, d.Create, link), looks(time.Minute-1, d.Create, link), looks(1, d.Create, link),
			looks(0, d.Locks, under(theGroup(), relay.Limits{MaxDoors: 2})), looks(0, d.Create, link),
		}
		if diff := cmp.Diff([]int{1, 0, 1, 1, 0}, got); diff != "" {
			t.Errorf("looks (-want +got):\n%s", diff)
		}
		for group := range int64(mostGroups) {
			d.groups.known[group] = knownLocks{}
		}
		looks(time.Minute, d.Create, link)
		if n := len(d.groups.known); n > mostGroups {
			t.Errorf("%d are remembered", n)
		}
	})
}

// TestRefusedGroupIsLookedAtAgain: somebody who takes a lock out of a group, and
// replays, does not wait for a minute.
func TestRefusedGroupIsLookedAtAgain(t *testing.T) {
	fake, d := kisiAt(t)
	for range 2 {
		if out := d.Create(t.Context(), under(theLink(), relay.Limits{MaxDoors: 1})); out.Verdict != relay.Rejected {
			t.Error(out.Verdict)
		}
	}
	if diff := cmp.Diff([]string{"GET /group_locks", "GET /group_locks"}, requests(fake, 0)); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestDescribeLimits shows that the group is looked at first.
func TestDescribeLimits(t *testing.T) {
	look := "GET /group_locks?group_id=32693&limit=250&offset=0"
	link, group := Describe(under(theLink(), relay.Limits{MaxDoors: 1})), Describe(under(theGroup(), relay.Limits{Never: []int64{1}}))
	if diff := cmp.Diff(append([]string{look}, Describe(theLink())...), link); diff != "" {
		t.Errorf("a link (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Describe(theGroup()), group); diff != "" || group[0] != look {
		t.Errorf("a group (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(Describe(theLink())); strings.Contains(got, look) {
		t.Errorf("without limits: %s", got)
	}
}
