package golden

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// BenchmarkCases is a hundred cases: a booking that comes, moves and is cancelled.
func BenchmarkCases(b *testing.B) {
	a, err := txtar.ParseFile("testdata/stories.txtar")
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("trigger: x\nnow: 2026-12-01T09:00:00Z\ncases:\n")
	for i := range 100 {
		fmt.Fprintf(&text, `  - name: case %d
    before:
      - payload: {event: e1, booking: b1, version: 1, lock: 3, email: jo@example.com, start: 2026-12-01T10:00:00}
      - payload: {event: e2, booking: b1, version: 2, lock: 3, email: jo@example.com, start: 2026-12-01T12:00:00}
    payload: {event: e3, booking: b1, version: 3, status: cancelled}
    want: {answer: {status: done}, kisi: []}
`, i)
	}
	for i := range a.Files {
		if a.Files[i].Name == "x_test.yaml" {
			a.Files[i].Data = []byte(text.String())
		}
	}
	s := load(b, folder(b, a))
	for b.Loop() {
		for _, r := range s.Run(b.Context(), nil) {
			if !r.OK() {
				b.Fatal(r.Name, r.Err, r.Differences)
			}
		}
	}
}
