package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/rules"
)

// opens is a rule file that opens one lock.
func opens(lock int) string {
	return fmt.Sprintf("trigger: t\nauth: {none: true}\nrespond: {lock: %d}\nrules:\n  - name: r\n    do: [{unlock: {lock_id: %d}}]\n", lock, lock)
}

const broken = "trigger: t\nauth: {none: true}\nrules:\n  - name: r\n    when: payload.\n    do: [{unlock: {lock_id: 1}}]\n"

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts a new file in the place of another, as editors do.
func replace(t *testing.T, file, text string) {
	t.Helper()
	write(t, file+".new", text)
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// TestReloader changes rule files as people and programs do, and waits a second each time.
func TestReloader(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.yaml")
	steps := []struct {
		name   string
		do     func(t *testing.T)
		loaded int64  // how many more sets come into use
		logs   string // what the log has then, since the step began
		broken bool   // the files are not those in use
	}{
		{"nothing happens", func(*testing.T) {}, 0, "", false},
		{"written in place", func(t *testing.T) { write(t, file, opens(2)) }, 1, "", false},
		{"a new file in its place", func(t *testing.T) { replace(t, file, opens(3)) }, 1, "", false},
		{"touched", func(t *testing.T) { replace(t, file, opens(3)) }, 0, "", false},
		{"a mistake", func(t *testing.T) { write(t, file, broken) }, 0, "rules/t.yaml:5:", true},
		{"the mistake again is old news", func(*testing.T) {}, 0, "", true},
		{"mended", func(t *testing.T) { write(t, file, opens(4)) }, 1, "", false},
		{"undone", func(t *testing.T) { write(t, file, opens(3)) }, 1, "", false},
		{"a second file", func(t *testing.T) {
			write(t, filepath.Join(dir, "u.yaml"), strings.Replace(opens(5), "trigger: t", "trigger: u", 1))
		}, 1, "", false},
		{"a case is not a rule", func(t *testing.T) { write(t, filepath.Join(dir, "t_test.yaml"), "cases: []") }, 0, "", false},
		{"the folder goes", func(t *testing.T) {
			if err := os.Rename(dir, dir+".gone"); err != nil {
				t.Fatal(err)
			}
		}, 0, "the old ones stay in use", true},
		{"and comes back", func(t *testing.T) {
			if err := os.Rename(dir+".gone", dir); err != nil {
				t.Fatal(err)
			}
		}, 1, "", false},
	}
	write(t, file, opens(1))
	synctest.Test(t, func(t *testing.T) {
		var log safeBuffer
		s := Settings{Rules: os.DirFS(dir), RulesDir: "rules", Getenv: os.Getenv, Log: slog.New(slog.NewJSONHandler(&log, nil))}
		set, err := rules.Load(s.Rules, s.RulesDir, s.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		var loaded atomic.Int64
		var r *reloader
		r = newReloader(s, set, func(_, now *rules.Set) {
			loaded.Add(1)
			if r.inUse.Load() != now {
				t.Error("events are planned by rules whose variables no message gets")
			}
		})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { r.watch(ctx, nil) })
		for _, step := range steps {
			before, logged := loaded.Load(), len(log.String())
			step.do(t)
			time.Sleep(time.Second)
			synctest.Wait()
			if now := loaded.Load(); now-before != step.loaded {
				t.Errorf("%s: %d sets came into use, want %d", step.name, now-before, step.loaded)
			}
			got := log.String()[logged:]
			if !strings.Contains(got, step.logs) || step.logs == "" && got != "" {
				t.Errorf("%s: logged %q, want %q in it", step.name, got, step.logs)
			}
			if now, err := rules.Revision(s.Rules); err == nil && !step.broken && r.inUse.Load().Revision() != now {
				t.Errorf("%s: revision %s is in use, the files are %s", step.name, r.inUse.Load().Revision(), now)
			}
		}
		stop()
		wg.Wait()
	})
}

// TestReloaderLooksOn after a load that failed, and says once what it comes to, and
// again after an hour.
func TestReloaderLooksOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.yaml")
	write(t, file, opens(1))
	synctest.Test(t, func(t *testing.T) {
		var log safeBuffer
		s := Settings{Rules: os.DirFS(filepath.Dir(file)), RulesDir: "rules", Getenv: os.Getenv, Log: slog.New(slog.NewJSONHandler(&log, nil))}
		set, err := rules.Load(s.Rules, s.RulesDir, s.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		r := newReloader(s, set, func(_, _ *rules.Set) {})
		var fails atomic.Bool
		fails.Store(true)
		load := r.load
		r.load = func() (*rules.Set, error) {
			if fails.Load() {
				return nil, errors.New("read rules/t.yaml: too many open files")
			}
			return load()
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { r.watch(ctx, nil) })
		said := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if n := strings.Count(log.String(), "the old ones stay in use"); n != want {
				t.Errorf("it was said %d times, want %d", n, want)
			}
		}
		write(t, file, opens(2))
		said(time.Minute, 1)
		said(time.Hour, 2)
		fails.Store(false)
		said(time.Second, 2)
		if now, err := rules.Revision(s.Rules); err != nil || r.inUse.Load().Revision() != now {
			t.Errorf("revision %s is in use, the files are %s, %v", r.inUse.Load().Revision(), now, err)
		}
		write(t, file, broken)
		said(time.Minute, 3)
		said(2*time.Hour, 5)
		write(t, file, opens(2))
		said(2*time.Hour, 5)
		stop()
		wg.Wait()
	})
}

// TestReloadTellsOfTriggersThatAreGone: whoever cancels through one is not heard.
func TestReloadTellsOfTriggersThatAreGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.yaml")
	write(t, file, opens(22281))
	h := startHouse(t, "", func(s *Settings, _ *kisifake.Options) { s.Rules = os.DirFS(filepath.Dir(file)) })
	write(t, file, strings.Replace(opens(22281), "trigger: t", "trigger: u", 1))
	waitFor(t, "a warning", func() bool {
		return strings.Contains(h.log.String(), "this trigger is gone: what its bookings were given stays, and no message changes or cancels it")
	})
}

// hanging is a folder on a drive that may hang.
type hanging struct {
	fs.FS
	hung, looks atomic.Bool
	let         chan struct{}
}

func (h *hanging) Open(name string) (fs.File, error) {
	if h.hung.Load() {
		h.looks.Store(true)
		<-h.let
	}
	return h.FS.Open(name)
}

// TestStopsWhileItsDriveHangs looks at rules on a network drive that does not answer.
func TestStopsWhileItsDriveHangs(t *testing.T) {
	drive := &hanging{FS: fstest.MapFS{"t.yaml": {Data: []byte(opens(1))}}, let: make(chan struct{})}
	h := startHouse(t, "", func(s *Settings, _ *kisifake.Options) { s.Rules = drive })
	defer close(drive.let)
	drive.hung.Store(true)
	waitFor(t, "a look", drive.looks.Load)
	stopped := make(chan struct{})
	go func() {
		h.stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("it does not stop")
	}
}

// TestReloaderWaitsForTheWhole writes a rule file in pieces, each of which would be one.
func TestReloaderWaitsForTheWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.yaml")
	whole := opens(1) + "  - name: s\n    do: [{unlock: {lock_id: 2}}]\n"
	write(t, file, opens(1))
	synctest.Test(t, func(t *testing.T) {
		s := Settings{Rules: os.DirFS(filepath.Dir(file)), RulesDir: "rules", Getenv: os.Getenv}.withDefaults()
		set, err := rules.Load(s.Rules, s.RulesDir, s.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		var used []int
		r := newReloader(s, set, func(_, s *rules.Set) { used = append(used, s.Rules("t")) })
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { r.watch(ctx, nil) })
		time.Sleep(lookPause / 2) // each piece is written between two looks
		for i := len(opens(1)) - 10; i < len(whole); i += 6 {
			write(t, file, whole[:i])
			time.Sleep(lookPause)
		}
		write(t, file, whole)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(used) != 1 || used[0] != 2 {
			t.Errorf("sets with so many rules came into use: %v; want the whole file alone", used)
		}
		stop()
		wg.Wait()
	})
}

// lock is the one that the rules in use open.
func (h *house) lock() float64 {
	_, answer := h.post("/hooks/t?dry_run=1", map[string]any{})
	lock, _ := answer["lock"].(float64)
	return lock
}

// TestReloadOfAMount swaps a folder behind a link, as Kubernetes does with a ConfigMap.
func TestReloadOfAMount(t *testing.T) {
	dir := t.TempDir()
	link := func(name string, lock int) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "t.yaml"), opens(lock))
		if err := os.Symlink(name, filepath.Join(dir, "..new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", 1)
	if err := os.Symlink("..data/t.yaml", filepath.Join(dir, "t.yaml")); err != nil {
		t.Fatal(err)
	}
	h := startHouse(t, "", func(s *Settings, _ *kisifake.Options) { s.Rules = os.DirFS(dir) })
	link("..2", 2)
	started := time.Now()
	waitFor(t, "the new rules", func() bool { return h.lock() == 2 })
	if took := time.Since(started); took > 5*time.Second { // a second, on a machine that has nothing else to do
		t.Errorf("it took %s", took)
	}
}

// TestReloadDropsNothing sends requests all the time while the rules change, and are
// broken now and then.
func TestReloadDropsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.yaml")
	write(t, file, opens(22281))
	ask := make(chan os.Signal)
	h := startHouse(t, "", func(s *Settings, _ *kisifake.Options) {
		s.Rules, s.Reload = os.DirFS(filepath.Dir(file)), ask
	})
	var sent, wrong atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := http.Post(h.url+"/hooks/t?dry_run=1", "application/json", strings.NewReader(`{}`))
				if err != nil || resp.StatusCode != http.StatusOK {
					wrong.Add(1)
				}
				if err == nil {
					resp.Body.Close()
				}
				sent.Add(1)
			}
		})
	}
	for i := range 30 {
		text := opens(22281 + i%2)
		if i%5 == 4 {
			text = broken
		}
		replace(t, file, text)
		ask <- os.Interrupt // any signal: a look that sees the change, and one that takes it
		ask <- os.Interrupt
	}
	replace(t, file, opens(22290))
	waitFor(t, "the last rules", func() bool { return h.lock() == 22290 })
	stop()
	wg.Wait()
	if wrong.Load() > 0 || sent.Load() < 100 {
		t.Errorf("%d of %d requests failed", wrong.Load(), sent.Load())
	}
	if !strings.Contains(h.log.String(), "mistake in the rules") {
		t.Error("the log is silent about the broken rules")
	}
}
