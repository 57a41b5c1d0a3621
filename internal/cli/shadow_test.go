package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"doorhook/internal/relay"
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
		if i%10 != 0 {
			r.Event = fmt.Appendf(nil, `{"id": "e%d", "payload": {"n": 12345678901234567}}`, i)
		}
		a.records = append(a.records, r)
	}
	for _, tt := range []struct {
		name                 string
		since                time.Time
		broken               bool
		events, unkept, asks int
		failed               bool
	}{
		{"all", time.Time{}, false, 2250, 250, 3, false},
		{"the last hour", noon.Add(-time.Hour), false, 54, 7, 1, false},
		{"no second page", time.Time{}, true, 900, 100, 2, true},
	} {
		a.asked, a.broken = 0, tt.broken
		unkept, events := 0, 0
		var err error
		for ev := range kept(records(t.Context(), a), tt.since, &unkept, &err) {
			if n := ev.Payload.(map[string]any)["n"]; n != 12345678901234567 {
				t.Fatalf("%s: %v (%T)", tt.name, n, n)
			}
			events++
		}
		if events != tt.events || unkept != tt.unkept || a.asked != tt.asks || (err != nil) != tt.failed {
			t.Errorf("%s: %d events, %d not kept, %d pages, %v", tt.name, events, unkept, a.asked, err)
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
