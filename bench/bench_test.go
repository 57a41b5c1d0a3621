//go:build linux

package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain lets the bench start itself as a ceiling, and as a doorhook that has the fault
// it is called by.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(child(os.Args)) // never all the tests again
	}
	os.Exit(m.Run())
}

func child(args []string) int {
	switch args[1] {
	case "ceiling":
		return command(context.Background(), args[1:], os.Stderr)
	case "serve":
		return crooked(filepath.Base(args[0]), args[2:])
	}
	return 1
}

func needRedis(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed, and the bench measures it")
		}
		t.Skip("redis-server is not installed")
	}
}

// TestBench measures everything for a moment: each row has requests, none of which
// failed, each figure has a value, and an event is no more than one round trip to Redis.
func TestBench(t *testing.T) {
	needRedis(t)
	file := filepath.Join(t.TempDir(), "all.json")
	var out strings.Builder
	if code := command(t.Context(), []string{"-short", "-for", "100ms", "-rounds", "1", "-soak", "500ms", "-json", file}, &out); code != 0 {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	got, err := saved(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != len(workloads())+1 || len(got.Failed) > 0 || got.Machine.Cores == 0 || got.Machine.Redis == "unknown" {
		t.Errorf("%d rows of %d, %+v, failed: %q", len(got.Rows), len(workloads())+1, got.Machine, got.Failed)
	}
	for i := range got.Rows {
		checkRow(t, got.Rows[i].Name, got.Rows[i].Median)
	}
	for _, f := range got.Figures {
		if len(f.Values) == 0 || !strings.Contains(out.String(), f.Name) {
			t.Errorf("%s is not measured, or not printed:\n%s", f.Name, out.String())
		}
	}
	if got.Soak == nil || len(got.Soak.Samples) < 3 || got.Soak.Load.Duplicates == 0 {
		t.Errorf("the soak: %+v", got.Soak)
	}
}

func checkRow(t *testing.T, name string, r round) {
	t.Helper()
	if r.Load.Requests == 0 || r.Load.Errors > 0 || r.Load.P50 > r.Load.P99 || r.CPU < 0 || r.BenchCPU <= 0 || r.Peak == 0 {
		t.Errorf("%s: %+v", name, r)
	}
	switch name {
	case accept, acceptTwice, acceptRate:
		if r.Trips <= 0 || r.Trips > 1.3 {
			t.Errorf("%s: %.2f round trips for each event", name, r.Trips)
		}
	}
	switch name {
	case accept, acceptTwice, acceptLater, acceptBook:
		if r.Ratio <= 0 {
			t.Errorf("%s has no ratio", name)
		}
	}
	if share := float64(r.Load.Duplicates) / float64(r.Load.Requests); strings.Contains(name, "half") != (share > 0.3) {
		t.Errorf("%s: %.2f of the answers are duplicates", name, share)
	}
}

// crooked serves like a doorhook, with a fault.
func crooked(fault string, args []string) int {
	flags := flag.NewFlagSet(fault, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var listen string
	for _, name := range []string{"rules", "kisi-url", "catchup", "send-allow", "log-format", "redis", "dedup", "retention", "events", "data"} {
		flags.String(name, "", "")
	}
	flags.StringVar(&listen, "listen", "", "")
	if fault == "silent" { // no other is ever told to give profiles
		flags.String("admin-listen", "", "")
	}
	if err := flags.Parse(args); err != nil || fault == "ends" {
		return 1
	}
	var n atomic.Int64
	http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/hooks/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		tenth := n.Add(1)%10 == 0
		if fault == "fails" && tenth {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, `{"status":"accepted"}`)
		times := 1
		if tenth {
			times = map[string]int{"loses": 0, "doubles": 2}[fault] + map[string]int{"works": 1, "mixes": 1}[fault]
		}
		for range times {
			id := string(body)
			if fault == "mixes" {
				id = "the same"
			}
			handOn(string(body), id)
		}
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(listen, nil))
	return 1
}

func handOn(body, id string) {
	req, _ := http.NewRequest(http.MethodPost, os.Getenv("SINK_URL"), strings.NewReader(body))
	req.Header.Set("Webhook-Id", id)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// TestFaultsAreFound: the bench ends with 1 if a doorhook fails requests, takes duplicates
// for new, loses or doubles what it is to hand on, or does not start; and with 0 if it works.
func TestFaultsAreFound(t *testing.T) {
	needRedis(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		fault, run string
		code       int
		says       string
	}{
		{"works", deliver, 0, "events lost or doubled ≤ 0 events 0 events yes"},
		{"fails", deliver, 1, "requests failed, the first with: 500"},
		{"works", acceptTwice, 1, "events were sent, and"}, // it knows no duplicates
		{"loses", deliver, 1, "were lost and 0 doubled"},
		{"doubles", deliver, 1, "0 were lost and"},
		{"mixes", deliver, 1, "with 1 different webhook-ids"},
		{"doubles", idle, 1, "of 31 events 0 were lost and 3 doubled"},
		{"ends", deliver, 1, "doorhook ended before it was ready"},
		{"ends", "start", 1, "doorhook ended before it was ready"},
	}
	for _, tt := range tests {
		t.Run(tt.fault+" "+tt.run, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(t.TempDir(), tt.fault)
			if err := os.Symlink(self, program); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			code := command(t.Context(), []string{"-short", "-for", "100ms", "-rounds", "1", "-doorhook", program, "-run", tt.run}, &out)
			if code != tt.code || !strings.Contains(strings.Join(strings.Fields(out.String()), " "), tt.says) {
				t.Errorf("exit %d, want %d; it does not say %q:\n%s", code, tt.code, tt.says, out.String())
			}
		})
	}
}

// TestProfile: the CPU profile of a row is written, and what was allocated; if one cannot
// be had, that is a failure.
func TestProfile(t *testing.T) {
	needRedis(t)
	file := filepath.Join(t.TempDir(), "accept.pprof")
	args := []string{"-short", "-for", "2s", "-rounds", "1", "-run", accept, "-profile", file} // as long as the profile, and longer than it takes to ask for it
	var out strings.Builder
	if code := command(t.Context(), args, &out); code != 0 {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	for name, holds := range map[string]string{file: "nanoseconds", strings.TrimSuffix(file, ".pprof") + ".allocs.pprof": "alloc_space"} {
		if got := unzipped(t, name); !strings.Contains(got, holds) || !strings.Contains(got, "doorhook/internal/") {
			t.Errorf("%s, of %d bytes, does not have %q and doorhook's functions", name, len(got), holds)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "silent")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if code := command(t.Context(), append(args, "-doorhook", program), &out); code != 1 || !strings.Contains(out.String(), "ask doorhook for its profile") {
		t.Errorf("exit %d without profiles: %s", code, out.String())
	}
}

func unzipped(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(text)
}

// TestInterrupted: an end in the middle leaves no process and no folder.
func TestInterrupted(t *testing.T) {
	needRedis(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "works")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	var out strings.Builder
	go func() { done <- command(ctx, []string{"-for", "1h", "-doorhook", program, "-run", deliver}, &out) }()
	for end := time.Now().Add(20 * time.Second); processesOf(dir) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never began")
		}
	}
	cancel()
	select {
	case code := <-done:
		if code != 1 {
			t.Errorf("exit %d: %s", code, out.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 || processesOf(dir) > 0 {
		t.Errorf("left behind: %v, %d processes, %v", left, processesOf(dir), err)
	}
}

// processesOf counts those that were told of a folder.
func processesOf(dir string) (n int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		if text, _ := os.ReadFile(file); strings.Contains(string(text), dir) {
			n++
		}
	}
	return n
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-soak", "2h"}, {"accept"}, {"-nothing"}, {"-profile", "x"}, {"-profile", "x", "-run", oneSet}, {"-profile", "x", "-run", "start"}} {
		if code := command(t.Context(), args, io.Discard); code != 2 {
			t.Errorf("%v: exit %d", args, code)
		}
	}
	old := filepath.Join(t.TempDir(), "old.json")
	if err := os.WriteFile(old, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if code := command(t.Context(), []string{"-against", old}, &out); code != 1 || !strings.Contains(out.String(), "is not what -json writes now") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

// TestSaved: what is written can be read, and compared with.
func TestSaved(t *testing.T) {
	f := figure{Name: deliverRate, Unit: "events/s", Limit: 8000, AtLeast: true, Values: []float64{7000, 9000}}
	f.judge()
	text, err := json.Marshal(report{Figures: []figure{f}, Rows: []row{{Name: accept, Spread: 0.05, Median: round{Load: measured{PerSecond: 100}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var old report
	if err := json.Unmarshal(text, &old); err != nil {
		t.Fatal(err)
	}
	is := figure{Name: deliverRate, Unit: "events/s", Values: []float64{8800}}
	is.judge()
	if got := is.against(old.Figures); got != "8000 events/s, +10 % ±12 %" {
		t.Errorf("a figure: %q", got)
	}
	r := row{Name: accept, Spread: 0.05, Median: round{Load: measured{PerSecond: 80}}}
	if got := r.against(old.Rows); got != "-20 % ±10 %" {
		t.Errorf("a row: %q", got)
	}
	if _, err := saved(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
