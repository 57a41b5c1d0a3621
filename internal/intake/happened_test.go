package intake

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/relay"
)

// TestHappened takes in what happened to doorhook itself, and only where rules want it.
func TestHappened(t *testing.T) {
	wrong := relay.Problem{Rule: "alert", Where: "own.yaml:3:7", Message: "no"}
	ev := relay.Event{ID: "action.dead:x", Trigger: relay.Own, Payload: map[string]any{"type": relay.ActionDead}}
	for name, tt := range map[string]struct {
		trigger string
		plan    relay.Plan
		id      string
		err     error
		want    string // the identity of what was taken in; "" is nothing
		fails   bool
	}{
		"rules want it":         {trigger: relay.Own, plan: planOf(unlock("alert")), id: ev.ID, want: ev.ID},
		"it has no identity":    {trigger: relay.Own, plan: planOf(unlock("alert")), want: "evt_drawn"},
		"no rules want it":      {trigger: "skedda", id: ev.ID},
		"a rule fails":          {trigger: relay.Own, plan: relay.Plan{Problems: []relay.Problem{wrong}}, id: ev.ID, want: ev.ID, fails: true},
		"nothing can be made":   {trigger: relay.Own, plan: relay.Plan{Fatal: true}, id: ev.ID, want: ev.ID, fails: true},
		"no rule matches":       {trigger: relay.Own, id: ev.ID},
		"the store is not here": {trigger: relay.Own, plan: planOf(unlock("alert")), id: ev.ID, err: relay.ErrUnavailable, fails: true},
	} {
		s, told := &shelf{err: tt.err}, 0
		o := options()
		o.Tell = func(relay.Happening) { told++ }
		one := ev
		one.ID = tt.id
		var planned relay.Event
		in := New(book{trigger: relay.Trigger{Name: tt.trigger}, plan: tt.plan, saw: &planned}, s, o)
		if err := in.Happened(t.Context(), one); (err != nil) != tt.fails {
			t.Errorf("%s: %v", name, err)
		}
		got := ""
		if len(s.accepted) > 0 {
			got = s.accepted[0].ID
		}
		if got != tt.want || told != 0 {
			t.Errorf("%s: took in %q, want %q, and told %d more", name, got, tt.want, told)
		}
		if tt.want != "" && !planned.ReceivedAt.Equal(noon) {
			t.Errorf("%s: received at %s", name, planned.ReceivedAt)
		}
	}
}

// TestTells of the rules that failed on an event that was taken in.
func TestTells(t *testing.T) {
	wrong := relay.Plan{Problems: []relay.Problem{{Rule: "a", Where: "t.yaml:3:7", Message: "no"}, {Rule: "a", Where: "t.yaml:4:7", Message: "no"}}}
	fatal := wrong
	fatal.Fatal = true
	first := map[string]any{
		"cause": "rule", "trigger": "skedda", "event_id": "evt_drawn", "job_id": "j", "rule": "a", "action": "", "error": `rule "a": t.yaml:3:7: no`,
	}
	for name, tt := range map[string]struct {
		plan    relay.Plan
		receipt relay.Receipt
		want    []string
	}{
		"two rules failed": {wrong, relay.Receipt{Status: relay.Accepted, JobID: "j"}, []string{"skedda:rule:a:event:evt_drawn", "skedda:rule:a#2:event:evt_drawn"}},
		"nothing is left":  {fatal, relay.Receipt{Status: relay.Failed, JobID: "j"}, []string{"skedda:rule:a:event:evt_drawn", "skedda:rule:a#2:event:evt_drawn"}},
		"it came before":   {wrong, relay.Receipt{Status: relay.Duplicate, JobID: "j"}, nil},
		"it is stale":      {wrong, relay.Receipt{Status: relay.Stale, JobID: "j"}, nil},
		"too much":         {planOf(unlock("a")), relay.Receipt{Status: relay.Failed, Error: "limits: no"}, []string{"skedda:limits:event:evt_drawn"}},
		"all is well":      {planOf(unlock("a")), relay.Receipt{Status: relay.Accepted}, nil},
	} {
		var told []relay.Happening
		o := options()
		o.Tell = func(h relay.Happening) { told = append(told, h) }
		_, err := New(book{trigger: open("skedda"), plan: tt.plan}, &shelf{receipt: tt.receipt}, o).Receive(t.Context(), jsonRequest(`{}`))
		if _, undecided := errors.AsType[*UndecidedError](err); err != nil && !undecided {
			t.Fatal(err)
		}
		var ids []string
		for _, h := range told {
			ids = append(ids, h.ID)
			if h.Type != relay.ActionDead || !h.At.Equal(noon) {
				t.Errorf("%s: %+v", name, h)
			}
		}
		if diff := cmp.Diff(tt.want, ids); diff != "" {
			t.Errorf("%s: told (-want +got):\n%s", name, diff)
		}
		if len(tt.want) == 2 {
			if diff := cmp.Diff(first, told[0].Says); diff != "" {
				t.Errorf("%s: says (-want +got):\n%s", name, diff)
			}
		}
	}
}
