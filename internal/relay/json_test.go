package relay

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyValue is what payloads are made of, and what rules may put beside it.
func anyValue() *rapid.Generator[any] {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a b~", `"`, `\`, "<&>", "\u2028", "é", "\x00", "\xff", "\x7f"}))
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any](false),
		rapid.Map(rapid.Int(), func(n int) any { return n }),
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
		rapid.Map(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), func(n float64) any { return n }),
		rapid.Map(text, func(s string) any { return s }),
		rapid.SampledFrom([]any{[]any(nil), map[string]any(nil), []int{1}, time.Second, time.Time{}, time.Unix(1e9, 7).UTC(), time.Unix(1e9, 0).In(time.FixedZone("", 3600))}),
	)
	var value *rapid.Generator[any]
	value = rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(leaf, leaf,
			rapid.Map(rapid.SliceOfN(value, 0, 4), func(l []any) any { return l }),
			rapid.Map(rapid.MapOfN(text, value, 0, 4), func(m map[string]any) any { return m }))
	})
	return value
}

func TestEventJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ev := Event{
			ID: rapid.String().Draw(t, "id"), Trigger: "skedda", ReceivedAt: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), 0).UTC(),
			HeardAt: rapid.SampledFrom([]time.Time{{}, time.Unix(1<<33, 5).UTC()}).Draw(t, "heard"),
			Payload: anyValue().Draw(t, "payload"), Headers: rapid.MapOfN(rapid.String(), anyValue(), 0, 3).Draw(t, "headers"),
		}
		want, err := json.Marshal(ev)
		got, ours := ev.JSON()
		if err != nil || ours != nil || string(got) != string(want) {
			t.Fatalf("%v %v\n%s\n%s", err, ours, got, want)
		}
	})
}

func TestEventWithoutJSON(t *testing.T) {
	for _, payload := range []any{math.Inf(1), []any{math.NaN()}, map[string]any{"a": map[string]any{"b": func() {}}}, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1e9, 0).In(time.FixedZone("", 24*60*60))} {
		if text, err := (Event{Payload: payload, Query: map[string]any{"a": 1}}).JSON(); err == nil || strings.Contains(string(text), "func") {
			t.Errorf("%v: %s", payload, text)
		}
	}
}
