package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBackoff(t *testing.T) {
	b := Backoff{Base: time.Second, Max: 5 * time.Minute}
	for n, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1 << 40: 5 * time.Minute} {
		if got := b.Delay(n, 0); got != want {
			t.Errorf("wait %d is %s, want %s", n, got, want)
		}
	}
	if got := b.Delay(10, 0.5); got != 270*time.Second {
		t.Errorf("half a roll takes off a tenth: %s", got)
	}
	if got := (Backoff{Base: 1, Max: math.MaxInt64}).Delay(1000, 0); got != math.MaxInt64 {
		t.Errorf("the longest wait is %d", got)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	type holder struct {
		Name string
		S    Secret
		In   map[string]Secret
	}
	v := holder{"n", "canary", map[string]Secret{"a": "canary"}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+verb+verb, v, &v, v.S)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v, "s", v.S)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v, "s", v.S)
	if err := json.NewEncoder(&out).Encode(v); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("it prints: %s", out.String())
	}
	if v.S.Reveal() != "canary" {
		t.Error("Reveal does not give it")
	}
}

func TestJobID(t *testing.T) {
	booked := JobID(Event{ID: "e", Trigger: "t"}, Plan{Booking: "b"})
	single := JobID(Event{ID: "e", Trigger: "t"}, Plan{})
	if booked != "t:booking:b" || single != "t:event:e" {
		t.Errorf("%s, %s", booked, single)
	}
}

func TestExpand(t *testing.T) {
	args := func(m map[string]any) json.RawMessage { return Encode(m) }
	tests := []struct {
		name  string
		a     Action
		group int64
	}{
		{"a schedule for a group", Action{Kind: Schedule, Args: args(map[string]any{"group_id": 5, "consequence": "unlock"})}, 5},
		{"for a lock", Action{Kind: Schedule, Args: args(map[string]any{"lock_id": 5, "consequence": "unlock"})}, 0},
		{"a restriction, which Kisi takes for a group", Action{Kind: Schedule, Args: args(map[string]any{"group_id": 5, "consequence": "allow"})}, 0},
		{"a link", Action{Kind: GroupLink, Args: args(map[string]any{"group_id": 5})}, 0},
	}
	for _, tt := range tests {
		if group, ok := tt.a.GroupToExpand(); group != tt.group || ok != (tt.group != 0) {
			t.Errorf("%s: %d %v", tt.name, group, ok)
		}
	}
	a := tests[0].a
	a.Key = "r#1"
	got := a.Expand([]int64{7, 8})
	if len(got) != 2 || got[1].Key != "r#1/8" || string(got[1].Args) != `{"consequence":"unlock","lock_id":8}` {
		t.Errorf("%+v", got)
	}
	if string(a.Args) != `{"consequence":"unlock","group_id":5}` {
		t.Errorf("expanding changed the action: %s", a.Args)
	}
}

func TestSame(t *testing.T) {
	now := time.Now()
	u := Action{Kind: Unlock, Args: Encode(map[string]any{"lock_id": 1}), At: now}
	s := Action{Kind: Schedule, Args: u.Args, At: now}
	later := func(a Action) Action { a.At = now.Add(time.Hour); return a }
	if u.Same(later(u)) {
		t.Error("an unlock at another time is another unlock")
	}
	if !s.Same(later(s)) {
		t.Error("a schedule has its times in its fields")
	}
	if u.Same(s) {
		t.Error("an unlock is no schedule")
	}
}

func TestWants(t *testing.T) {
	j := Job{Want: []Action{{Key: "a#1"}, {Key: "group"}}}
	for key, want := range map[string]bool{"a#1": true, "group/7": true, "a#10": false, "group7": false, "b": false} {
		if j.Wants(Held{Action: Action{Key: key}}) != want {
			t.Errorf("%s: want %v", key, want)
		}
	}
}

func TestNote(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	var j Job
	for i := range 1440 { // a revoke that fails every minute of a day
		j.Note(Attempt{At: at.Add(time.Duration(i) * time.Minute), Action: "a", Step: "revoke", Result: "retry", Object: 7, Error: "503"})
	}
	j.Note(Attempt{At: at.Add(25 * time.Hour), Action: "a", Step: "revoke", Result: "revoked", Object: 7})
	if len(j.Attempts) != 2 || j.Attempts[0].Times != 1440 || !j.Attempts[0].At.Equal(at) || !j.Attempts[0].Last.Equal(at.Add(1439*time.Minute)) || j.Attempts[1].Times != 0 {
		t.Errorf("%+v", j.Attempts)
	}
	before := j.Attempts
	for i := range 2 * maxAttempts {
		j.Note(Attempt{Object: int64(i)})
	}
	if len(j.Attempts) != maxAttempts || j.Attempts[maxAttempts-1].Object != 2*maxAttempts-1 || len(before) != 2 {
		t.Errorf("%d attempts are kept, the last for object %d", len(j.Attempts), j.Attempts[len(j.Attempts)-1].Object)
	}
}

// TestEncode encodes whatever a field may hold as encoding/json does: what older versions
// of doorhook kept is compared with it.
func TestEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		args := map[string]any{}
		for _, name := range rapid.SliceOf(rapid.String()).Draw(t, "names") {
			args[name] = rapid.OneOf(
				rapid.Map(rapid.Int64(), func(n int64) any { return n }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
				rapid.Map(rapid.String(), func(s string) any { return s }),
				rapid.Map(rapid.Int64Range(0, 200_000_000_000), func(s int64) any { return time.Unix(s, s%2).UTC() }),
				rapid.Map(rapid.SliceOf(rapid.Int64()), func(list []int64) any { return list }),
			).Draw(t, "value")
		}
		want, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		if got := Encode(args); !bytes.Equal(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
