package intake

import (
	"testing"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
)

// TestRefusedForItsGrants is answered, not refused: a sender that is told of an error
// sends it again and again.
func TestRefusedForItsGrants(t *testing.T) {
	const why = "limits.grants_per_minute: too many"
	s := &shelf{receipt: relay.Receipt{Status: relay.Failed, EventID: "evt_drawn", Error: why}}
	p := planOf(unlock("open"))
	p.Problems = []relay.Problem{{Rule: "other", Where: "r.yaml:1:1", Message: "no"}}
	req := jsonRequest(`{}`)
	req.Query = map[string][]string{"wait": {"10"}}
	got, err := New(book{trigger: open("skedda"), plan: p}, s, options()).Receive(t.Context(), req)
	if err != nil || got.Status != relay.Failed || s.looks != 0 {
		t.Errorf("%+v, %v, %d looks", got, err, s.looks)
	}
	if diff := cmp.Diff([]string{why, `rule "other": r.yaml:1:1: no`}, got.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}
