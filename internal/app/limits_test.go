package app

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

// limited are the rules of a house under limits, which stand in a file for all.
func limited(limits string) fstest.MapFS {
	return fstest.MapFS{"t.yaml": {Data: []byte(testRules)}, "all.yaml": {Data: []byte("limits: " + limits + "\n")}}
}

func underLimits(limits string) func(*Settings, *kisifake.Options) {
	return func(s *Settings, o *kisifake.Options) {
		s.Rules = limited(limits)
		giveAdminToken(s, o)
	}
}

func (h *house) dead() (letters []relay.DeadLetter) {
	h.t.Helper()
	var answer struct{ Dead []relay.DeadLetter }
	h.ask("GET", "dead", "", &answer)
	return answer.Dead
}

// TestNeverOpened: the front door, lock 22290, is in both groups, and opens by no way
// until somebody who edits the rules says so.
func TestNeverOpened(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis, underLimits("{never: [22290]}"), func(s *Settings, _ *kisifake.Options) {
			if redis == "" {
				s.Data = t.TempDir()
			}
		})
		for _, want := range []struct {
			rule    string
			payload map[string]any
			status  relay.Status
			says    string
			asked   []string
		}{
			{
				"link", bookingOf("link", 1, 10, 11, "email", "a@example.com"), relay.Failed,
				"limits.never: lock 22290 is one that this trigger never opens, and it is in group 32693",
				[]string{"GET /group_locks"},
			},
			{
				"group", bookingOf("group", 1, 10, 11, "group", 32694), relay.Failed,
				"limits.never: lock 22290 is one that this trigger never opens, and it is in group 32694",
				[]string{"GET /group_locks"},
			},
			{"front", bookingOf("front", 1, 10, 11, "front", true), relay.Finished, "limits.never: lock 22290 is one that this trigger never opens", nil},
		} {
			from, letters := len(h.fake.Journal()), len(h.dead())
			answer := h.settle(want.status, want.payload)
			if !strings.Contains(answer["error"].(string), want.says) {
				t.Errorf("%s: %v", want.rule, answer)
			}
			if diff := cmp.Diff(want.asked, h.asked(from)); diff != "" {
				t.Errorf("%s: asked (-want +got):\n%s", want.rule, diff)
			}
			dead := h.dead()
			if len(dead) != letters+1 || dead[0].Cause != relay.ByRule || dead[0].Rule != want.rule || !strings.Contains(dead[0].Error, want.says) || len(dead[0].Revision) != 12 {
				t.Errorf("%s: dead letters %+v", want.rule, dead)
			}
		}
		h.settle(relay.Finished, bookingOf("studio", 1, 10, 11, "lock", 22281))
		h.stands(0, 1)

		h.stop()
		h.settings.Rules = limited("{never: [1]}")
		h.start()
		var all replayedAnswer
		h.ask("POST", "replay", `{"all":true}`, &all)
		for _, r := range all.Replayed {
			if r.Status != relay.Accepted {
				t.Errorf("replayed %+v", r)
			}
		}
		waitFor(t, "what is allowed now", func() bool { return len(h.fake.GroupLinks()) == 1 && len(h.fake.Schedules()) == 4 })
	})
}

// TestGrantsRunWild: what goes beyond the limit of a minute is answered, kept, and
// not carried out, by a replay neither; what takes access back goes through.
func TestGrantsRunWild(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis, underLimits("{grants_per_minute: 2}"))
		h.settle(relay.Finished, booking(1, 10, 11, "lock", 22281, "front", true))
		from := len(h.fake.Journal())
		for range 2 {
			code, answer := h.post("/hooks/t?wait=5", booking(2, 12, 13, "lock", 22281))
			if text, _ := answer["error"].(string); code != http.StatusOK || answer["status"] != "failed" || !strings.HasPrefix(text, "limits.grants_per_minute: ") {
				t.Fatalf("answered %d %v", code, answer)
			}
		}
		code, answer := h.post("/hooks/t", map[string]any{"event": "e9", "unlock": 22282})
		if code != http.StatusOK || answer["status"] != "failed" {
			t.Fatalf("answered %d %v", code, answer)
		}
		dead := h.dead()
		if len(dead) == 0 || slices.ContainsFunc(dead, func(l relay.DeadLetter) bool { return l.Cause != relay.ByRule || l.Event == nil }) {
			t.Fatalf("dead letters %+v", dead)
		}
		var all replayedAnswer
		h.ask("POST", "replay", `{"all":true}`, &all)
		if len(all.Replayed) != len(dead) {
			t.Errorf("replayed %+v", all.Replayed)
		}
		for _, r := range all.Replayed {
			if r.Status != relay.Failed || !strings.HasPrefix(r.Note, "limits.grants_per_minute: ") {
				t.Errorf("replayed %+v", r)
			}
		}
		if asked := h.asked(from); asked != nil {
			t.Errorf("asked %v", asked)
		}
		h.stands(0, 2)
		h.settle(relay.Finished, map[string]any{"booking": "b1", "version": 3, "status": "cancelled"})
		h.stands(0, 0)
	})
}

// TestLimitsNeedTheLocksOfGroups: the doctor asks whether doorhook may look at them.
func TestLimitsNeedTheLocksOfGroups(t *testing.T) {
	const link, unlock = "group_link: {group_id: 5}", "unlock: {lock_id: 5}"
	for _, tt := range []struct {
		limits, do string
		needs      bool
	}{
		{"{never: [1]}", link, true},
		{"{max_doors: 1}", link, true},
		{"{max_doors: 1}", unlock, false},
		{"{max_window: 1h, grants_per_minute: 1}", link, false},
	} {
		file := fmt.Sprintf("trigger: t\nauth: {none: true}\nlimits: %s\nrules: [{name: r, do: [{%s}]}]\n", tt.limits, tt.do)
		set, err := rules.Load(fstest.MapFS{"t.yaml": {Data: []byte(file)}}, "rules", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, needs := usesOf(set).needs[kisi.ReadGroupLocks]; needs != tt.needs {
			t.Errorf("%s for %s: it has to look: %v", tt.limits, tt.do, needs)
		}
	}
}

// TestNeverHoldsForWhatWaits: a door becomes one that is never opened while bookings that
// want it wait for their time. None of them opens it, by itself or by way of a group, also
// if nobody sends anything more, and if their trigger has gone.
func TestNeverHoldsForWhatWaits(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"by its trigger":      {"t.yaml": testRules + "limits: {never: [22290]}\n"},
		"by all":              {"t.yaml": testRules, "all.yaml": "limits: {never: [22290]}\n"},
		"its trigger is gone": {"t.yaml": strings.Replace(testRules, "trigger: t", "trigger: other", 1), "all.yaml": "limits: {never: [22290]}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "t.yaml"), testRules)
			h := startHouse(t, "", giveAdminToken, func(s *Settings, _ *kisifake.Options) { s.Rules = os.DirFS(dir) })
			h.settle(relay.Pending, map[string]any{"event": "u", "unlock": 22290, "after": "5s"})
			h.settle(relay.Pending, map[string]any{"event": "g", "unlock": 22281, "after": "5s"})
			for file, text := range files {
				replace(t, filepath.Join(dir, file), text)
			}
			waitFor(t, "the end of both", func() bool { return len(h.fake.Unlocks()) > 0 && len(h.dead()) > 0 })
			if diff := cmp.Diff([]string{"POST /locks/22281/unlock"}, h.asked(0)); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if l := h.dead(); len(l) != 1 || l[0].Cause != relay.ByRule || !strings.Contains(l[0].Error, "limits.never: lock 22290 is one that this trigger never opens") {
				t.Errorf("dead letters %+v", l)
			}
		})
	}
}
