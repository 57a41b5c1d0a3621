package store

import (
	"encoding/json"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestActionsText reads what it wrote, whatever names rules and actions have.
func TestActionsText(t *testing.T) {
	name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "=", "!", "=a", "a", "a/0", `"`, "\x00", "w"}))
	at := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "none") {
			return time.Time{}
		}
		nanos := rapid.SampledFrom([]int64{0, 1, 999_999_999, 5_000_000}).Draw(t, "nanos")
		return time.Unix(rapid.Int64Range(-1<<32, 1<<33).Draw(t, "unix"), nanos).UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		rule := name.Draw(t, "rule")
		var want []relay.Action
		for range rapid.IntRange(1, 3).Draw(t, "actions") {
			a := relay.Action{
				Key: rapid.OneOf(name, rapid.Just(rule+"/1")).Draw(t, "key"), Rule: rapid.OneOf(rapid.Just(rule), rapid.Just(rule+"!")).Draw(t, "rule of it"),
				Kind: relay.Send, Args: json.RawMessage(rapid.SampledFrom([]string{`{}`, `{"a":"<\u2028>"}`, `null`}).Draw(t, "args")),
				At: at.Draw(t, "at"), NotAfter: at.Draw(t, "not after"), Ends: at.Draw(t, "ends"), Unused: at.Draw(t, "unused"),
			}
			if rapid.Bool().Draw(t, "more") {
				a.Limits, a.Later = &relay.Limits{MaxDoors: 2, Never: []int64{7}}, &relay.Later{User: 3, Event: json.RawMessage(`{"id":"e"}`)}
			}
			want = append(want, a)
		}
		text, err := actionsText(rule, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readActions(rule, string(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	})
}
