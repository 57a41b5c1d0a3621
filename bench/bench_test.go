//go:build linux

package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the bench start itself as a ceiling.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "ceiling" {
		os.Exit(command(context.Background(), os.Args[1:], os.Stderr))
	}
	os.Exit(m.Run())
}

// TestBench measures everything for a moment: each row has requests, none of which
// failed, and an event is one round trip to Redis.
func TestBench(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed, and the bench measures it")
		}
		t.Skip("redis-server is not installed")
	}
	file := filepath.Join(t.TempDir(), "rows.json")
	var out strings.Builder
	if code := command(t.Context(), []string{"-for", "300ms", "-rounds", "1", "-json", file}, &out); code != 0 {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(text, &rows); err != nil || len(rows) != 7 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		if r.Load.Requests == 0 || r.Load.Errors > 0 || r.Load.P50 > r.Load.P99 || r.CPU <= 0 {
			t.Errorf("%+v", r)
		}
		if strings.HasPrefix(r.Name, "accept") && r.Name != "accept, work and deliver" && (r.Trips < 0.9 || r.Trips > 1.3) {
			t.Errorf("%s: %.2f round trips for each event", r.Name, r.Trips)
		}
	}
}

// TestSummary counts what was meant to be sent.
func TestSummary(t *testing.T) {
	took := make([]time.Duration, 1000)
	for i := range took {
		took[len(took)-1-i] = time.Duration(i) * time.Millisecond
	}
	got := summary(took, 100, 2*time.Second)
	want := measured{Requests: 1000, Errors: 100, Seconds: 2, PerSecond: 450, P50: 500 * time.Millisecond, P99: 990 * time.Millisecond, P999: 999 * time.Millisecond}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
