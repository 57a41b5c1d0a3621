package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/shadow"
)

// archive is a doorhook with a list of events, of which it gives so many at a time.
type archive struct {
	operator
	records []relay.Record // the newest first
	asked   int
	broken  bool // after the first page
}

func (a *archive) Events(_ context.Context, before string, limit int) ([]relay.Record, error) {
	if a.asked++; a.broken && a.asked > 1 {
		return nil, errors.New("gone")
	}
	from := 1 + slices.IndexFunc(a.records, func(r relay.Record) bool { return r.ID == before })
	return a.records[from:min(from+limit, len(a.records))], nil
}

// TestKept reads events page by page, as far back as they count.
func TestKept(t *testing.T) {
	a := &archive{}
	for i := range 2500 {
		r := relay.Record{ID: fmt.Sprintf("%d-0", 9000-i), At: noon.Add(-time.Duration(i) * time.Minute)}
		switch {
		case i%10 == 5:
			r.Status, r.Rules = relay.Failed, "link" // a limit refused it
		case i%10 == 6:
			r.Status = relay.Failed // no rule could be computed
		}
		if i%10 != 0 {
			r.Event = fmt.Appendf(nil, `{"id": "e%d", "payload": {"n": 12345678901234567}}`, i)
		}
		a.records = append(a.records, r)
	}
	for _, tt := range []struct {
		name                          string
		since                         time.Time
		broken                        bool
		events, unkept, refused, asks int
		failed                        bool
	}{
		{"all", time.Time{}, false, 2000, 250, 250, 3, false},
		{"the last hour", noon.Add(-time.Hour), false, 48, 7, 6, 1, false},
		{"no second page", time.Time{}, true, 800, 100, 100, 2, true},
	} {
		a.asked, a.broken = 0, tt.broken
		var (
			out    shadowed
			events int
			err    error
		)
		for ev := range kept(records(t.Context(), a), tt.since, &out, &err) {
			if n := ev.Payload.(map[string]any)["n"]; n != 12345678901234567 {
				t.Fatalf("%s: %v (%T)", tt.name, n, n)
			}
			events++
		}
		if events != tt.events || out.Unkept != tt.unkept || out.Refused != tt.refused || a.asked != tt.asks || (err != nil) != tt.failed {
			t.Errorf("%s: %d events, %d not kept, %d refused, %d pages, %v", tt.name, events, out.Unkept, out.Refused, a.asked, err)
		}
	}
}

// TestOddFolder has a folder whose name is no format.
func TestOddFolder(t *testing.T) {
	var out strings.Builder
	shadowed{New: "new%20rules", Report: shadow.Report{OnlyOld: map[string]int{"a": 2}}}.print(newPainter(&out), 1, nil)
	if want := `2 events were for the trigger "a", which new%20rules does not have.`; !strings.Contains(out.String(), want) {
		t.Errorf("got %s", out.String())
	}
}

// TestPeopled compares what a message says of a person, whom nobody asked Kisi for.
func TestPeopled(t *testing.T) {
	side := func(json string) peopled {
		set, err := rules.Load(fstest.MapFS{"t.yaml": {Data: []byte("trigger: t\nfrom: kisi\nauth: {bearer: '${env.T}'}\nrules:\n" +
			"  - name: tell\n    do:\n      - send: {url: \"https://example.com/x\", json: " + json + "}\n")}}, "rules", func(string) string { return "token" })
		if err != nil {
			t.Fatal(err)
		}
		return peopled{set}
	}
	ev := relay.Event{ID: "e", Trigger: "t", ReceivedAt: noon, Payload: map[string]any{"uuid": "e", "type": "lock.unlock", "actor_type": "User", "actor_id": int64(70)}}
	once := func(yield func(relay.Event) bool) { yield(ev) }
	got := shadow.Compare(side(`{at: "${person?.name}"}`), side(`{who: "${person?.name}"}`), once)
	if len(got.Differences) != 1 || len(got.Differences[0].Changed) != 1 {
		t.Fatalf("got %+v", got)
	}
	if f := got.Differences[0].Changed[0].Fields[0]; field(rules.Clock{}, f.Old) != `{"at":"${person.name}"}` || field(rules.Clock{}, f.New) != `{"who":"${person.name}"}` {
		t.Errorf("got %+v", f)
	}
}
