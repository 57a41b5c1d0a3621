package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

type fakeOptions = kisifake.Options

const canaryAdmin = "canary-admin-token"

func giveAdminToken(s *Settings, _ *fakeOptions) { s.AdminToken = canaryAdmin }

// ask asks the API of h, and reads the answer into out.
func (h *house) ask(method, path, body string, out any) string {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+"/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+canaryAdmin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, text, err)
	}
	for _, canary := range []string{canaryToken, canaryKey, canaryPassword, canaryAdmin} {
		if strings.Contains(string(text), canary) || strings.Contains(h.log.String(), canaryAdmin) {
			h.t.Errorf("a secret in the answer or in the log: %s", text)
		}
	}
	if err := json.Unmarshal(text, out); err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

type replayedAnswer struct{ Replayed []relay.Replayed }

func TestEmptyListsAreNotNull(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis, giveAdminToken)
		for path, want := range map[string]string{
			"jobs": `{"jobs":[]}`, "jobs?state=waiting": `{"jobs":[]}`, "events": `{"events":[]}`, "dead": `{"dead":[]}`,
		} {
			if got := h.ask("GET", path, "", new(any)); got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
		if got := h.ask("POST", "replay", `{"all":true}`, new(any)); got != `{"replayed":[]}` {
			t.Errorf("replay: %s", got)
		}
		h.settle(relay.Finished, map[string]any{"booking": "b1", "version": 1, "status": "cancelled"})
		for _, path := range []string{"jobs", "jobs/t:booking:b1"} {
			if got := h.ask("GET", path, "", new(any)); !strings.Contains(got, `"want":[]`) || !strings.Contains(got, `"have":[]`) {
				t.Errorf("%s: %s", path, got)
			}
		}
	})
}

// TestReplayOverTheAPI gives up one action and one rule, and replays both when what
// was wrong is mended. What cannot be replayed says so and stops no other.
func TestReplayOverTheAPI(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := startHouse(t, redis, giveAdminToken)
		h.fake.Fail(kisifake.Fault{Method: "POST", Path: "/schedules", Status: 403, Code: "fcd8ef"})
		h.settle(relay.Failed, bookingOf("a/b c", 1, 10, 11, "lock", 22281))
		h.settle(relay.Finished, bookingOf("b2", 1, 10, 11, "lock", 22282, "broken", map[string]any{}))

		var dead struct{ Dead []relay.DeadLetter }
		h.ask("GET", "dead", "", &dead)
		if len(dead.Dead) != 2 || dead.Dead[0].Cause != relay.ByRule || dead.Dead[1].Cause != relay.ByKisi {
			t.Fatalf("dead letters %+v", dead.Dead)
		}
		var job struct{ Job relay.Job }
		h.ask("GET", "jobs/"+url.PathEscape("t:booking:a/b c"), "", &job)
		if job.Job.Booking != "a/b c" || len(job.Job.Attempts) != 1 || job.Job.Attempts[0].Result != "rejected" {
			t.Errorf("job %+v", job.Job)
		}

		var one replayedAnswer
		h.ask("POST", "replay", `{"ids":["nobody's","`+dead.Dead[1].ID+`"]}`, &one)
		want := []relay.Replayed{
			{ID: "nobody's", Status: relay.Failed, Note: "there is no such dead letter, or not any more"},
			{ID: dead.Dead[1].ID, Status: relay.Accepted, JobID: "t:booking:a/b c"},
		}
		if diff := cmp.Diff(want, one.Replayed); diff != "" {
			t.Error(diff)
		}
		waitFor(t, "the schedule", func() bool { return len(h.fake.Schedules()) == 2 })

		var all replayedAnswer
		h.ask("POST", "replay", `{"all":true}`, &all) // the rule is as broken as before
		if len(all.Replayed) != 1 || all.Replayed[0].ID != dead.Dead[0].ID {
			t.Errorf("replayed %+v", all.Replayed)
		}
	})
}

// TestOperateOnRedis asks Redis itself, without a key for Kisi and without rules
// that load, unless it is for a replay.
func TestOperateOnRedis(t *testing.T) {
	server := realRedis(t)
	h := startHouse(t, server.url)
	h.settle(relay.Finished, booking(1, 10, 11, "lock", 22281, "broken", map[string]any{}))
	s := Settings{Redis: server.url, Rules: fstest.MapFS{"t.yaml": {Data: []byte("trigger: t")}}, RulesDir: "rules", Getenv: func(string) string { return canaryToken }}
	op, err := Operate(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer op.Close()
	jobs, err := op.Recent(t.Context(), 5)
	if err != nil || len(jobs) != 1 || jobs[0].ID != "t:booking:b1" {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
	events, err := op.Events(t.Context(), "", 5)
	if err != nil || len(events) != 1 {
		t.Errorf("events %+v, %v", events, err)
	}
	letters, err := op.Letters(t.Context(), 5)
	if err != nil || len(letters) != 1 {
		t.Fatalf("letters %+v, %v", letters, err)
	}
	if _, err := op.Replay(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "auth: is missing") {
		t.Errorf("a replay with bad rules: %v", err)
	}

	mended := strings.Replace(testRules, "payload.broken != nil && payload.broken.deep.down", "payload.broken != nil", 1)
	op.settings.Rules = fstest.MapFS{"t.yaml": {Data: []byte(mended)}}
	replayed, err := op.Replay(t.Context(), nil)
	if err != nil || len(replayed) != 1 || replayed[0].Status != relay.Accepted {
		t.Errorf("replayed %+v, %v", replayed, err)
	}
	// The rule asks for lock 1, which this site does not have: the doorhook that
	// runs got it to do.
	waitFor(t, "an unlock", func() bool { return strings.Contains(strings.Join(h.asked(0), " "), "/unlock") })

	server.stop()
	if replayed, err = op.Replay(t.Context(), []string{"a", "b"}); !errors.Is(err, relay.ErrUnavailable) || len(replayed) != 0 {
		t.Errorf("without Redis: %+v, %v", replayed, err)
	}
}

// found are the checks by name.
func found(checks []relay.Check) map[string]relay.Check {
	all := map[string]relay.Check{}
	for _, c := range checks {
		all[c.Name] = c
	}
	return all
}

func TestDoctor(t *testing.T) {
	tests := []struct {
		name   string
		edit   func(*Settings)
		after  func(*house)
		check  string
		health relay.Health
		says   string // in what it says and advises
	}{
		{name: "rules", check: "rules", health: relay.Healthy, says: "triggers: t"},
		{name: "zones", check: "time zones", health: relay.Healthy, says: "in UTC it is "},
		{name: "key", check: "Kisi key", health: relay.Healthy, says: "owner@example.com"},
		{name: "clock", check: "Kisi clock", health: relay.Healthy, says: "agrees"},
		{name: "rights", check: "Kisi rights", health: relay.Healthy, says: "Organization owner"},
		{name: "listener", check: "listener", health: relay.Healthy, says: "127.0.0.1:0"},
		{name: "memory", check: "persistence", health: relay.Doubt, says: "DOORHOOK_DATA"},
		{
			name: "rules that were broken since", check: "rules", health: relay.Sick, says: "rules/t.yaml:1:1: auth: is missing",
			after: func(h *house) {
				h.settings.Rules.(fstest.MapFS)["t.yaml"] = &fstest.MapFile{Data: []byte("trigger: t")}
			},
		},
		{
			name: "rules that are gone", check: "rules", health: relay.Sick, says: "DOORHOOK_RULES",
			after: func(h *house) { delete(h.settings.Rules.(fstest.MapFS), "t.yaml") },
		},
		{
			name: "anybody may call", check: "rules", health: relay.Doubt, says: "anybody may call t",
			edit: func(s *Settings) {
				s.Rules = fstest.MapFS{"t.yaml": {Data: []byte("trigger: t\nauth: {none: true}\nrules: [{name: r, do: [{unlock: {lock_id: 1}}]}]")}}
			},
		},
		{
			name: "a revoked key", check: "Kisi key", health: relay.Sick, says: "set KISI_API_KEY",
			after: func(h *house) { h.fake.Revoke(canaryKey) },
		},
		{
			name: "Kisi is away", check: "Kisi key", health: relay.Sick, says: "no answer came",
			after: func(h *house) { h.fake.Fail(kisifake.Fault{Path: "/login", Then: kisifake.Reset, Times: -1}) },
		},
		{
			name: "Kisi's limit says nothing about the key", check: "Kisi key", health: relay.Doubt, says: "5 requests a second",
			after: func(h *house) { h.fake.Fail(kisifake.Fault{Path: "/login", Status: 429}) },
		},
		{
			name: "a right that the rules need", check: "Kisi rights", health: relay.Doubt, says: "group_links_write (for group_link)",
			after: func(h *house) { h.fake.Forbid(canaryKey, "group_links_write") },
		},
		{
			name: "a right for groups", check: "Kisi rights", health: relay.Doubt, says: "group_locks_read (for schedule)",
			after: func(h *house) { h.fake.Forbid(canaryKey, "group_locks_read") },
		},
		{
			name: "a right that no rule needs", check: "Kisi rights", health: relay.Healthy,
			edit: func(s *Settings) {
				s.Rules = fstest.MapFS{"t.yaml": {Data: []byte("trigger: t\nauth: {bearer: '${env.T}'}\nrules: [{name: r, do: [{unlock: {lock_id: 1}}]}]")}}
			},
			after: func(h *house) { h.fake.Forbid(canaryKey, "schedules_write") },
		},
		{
			name: "rights that are not shown", check: "Kisi rights", health: relay.Doubt, says: "GET /roles",
			after: func(h *house) { h.fake.Fail(kisifake.Fault{Path: "/roles", Status: 403}) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := startHouse(t, "", giveAdminToken, func(s *Settings, _ *fakeOptions) {
				if tt.edit != nil {
					tt.edit(s)
				}
			})
			if tt.after != nil {
				tt.after(h)
			}
			var answer struct{ Checks []relay.Check }
			h.ask("GET", "doctor", "", &answer)
			c := found(answer.Checks)[tt.check]
			if c.Health != tt.health || !strings.Contains(c.Says+" "+c.Advice, tt.says) || (c.Advice == "") != (c.Health == relay.Healthy) {
				t.Errorf("%+v, want %s and %q\n%+v", c, tt.health, tt.says, answer.Checks)
			}
		})
	}
}

// TestDoctorOnRulesNotInUse: the files are right, and others decide.
func TestDoctorOnRulesNotInUse(t *testing.T) {
	op, err := Operate(t.Context(), Settings{Redis: "redis://" + miniredis.RunT(t).Addr(), Rules: fstest.MapFS{"t.yaml": {Data: []byte(soundRules)}}, RulesDir: "rules"})
	if err != nil {
		t.Fatal(err)
	}
	defer op.Close()
	old := loadText(t, onlineRules)
	op.inUse = &atomic.Pointer[rules.Set]{}
	op.inUse.Store(old)
	checks, err := op.Doctor(t.Context())
	if c := found(checks)["rules"]; err != nil || c.Health != relay.Doubt || c.Advice == "" || !strings.HasSuffix(c.Says, "; those in use are still of revision "+old.Revision()) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestExamine looks at a doorhook that does not run: nothing that is missing keeps it
// from looking at the rest.
func TestExamine(t *testing.T) {
	fake := kisifake.New(kisifake.Options{Key: canaryKey, Rate: -1})
	kisiURL, err := fake.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	good := Settings{
		Rules: fstest.MapFS{"t.yaml": {Data: []byte(testRules)}}, RulesDir: "rules", Getenv: func(string) string { return canaryToken },
		AdminToken: canaryAdmin, Kisi: Kisi{URL: kisiURL, APIKey: canaryKey, Rate: -1},
	}
	tests := []struct {
		name string
		edit func(*Settings)
		want map[string]relay.Health // all others are healthy
		says string
	}{
		{"no Redis is given", func(*Settings) {}, map[string]relay.Health{"Redis": relay.Doubt}, "DOORHOOK_URL"},
		{
			"no Redis there", func(s *Settings) { s.Redis = "redis://u:canary-password@127.0.0.1:1" },
			map[string]relay.Health{"Redis": relay.Sick},
			"127.0.0.1:1",
		},
		{
			"a sign-in, and no Redis there", func(s *Settings) { s.Redis, s.Kisi.APIKey, s.Kisi.Email = "redis://127.0.0.1:1", "", "a@example.com" },
			map[string]relay.Health{"Redis": relay.Sick, "Kisi": relay.Doubt},
			"shared through Redis",
		},
		{
			"no key, no rules, no token", func(s *Settings) { s.Kisi.APIKey, s.Rules, s.AdminToken = "", fstest.MapFS{}, " " },
			map[string]relay.Health{"Redis": relay.Doubt, "rules": relay.Sick, "listener": relay.Doubt, "Kisi": relay.Sick},
			"KISI_API_KEY",
		},
		{
			"reachable without a token", func(s *Settings) { s.Listen, s.AdminToken = "0.0.0.0:8080", "" },
			map[string]relay.Health{"Redis": relay.Doubt, "listener": relay.Sick},
			"DOORHOOK_ADMIN_TOKEN",
		},
		{
			"settings that contradict", func(s *Settings) { s.Redis, s.Retention = "redis://127.0.0.1:1", time.Hour },
			map[string]relay.Health{"Redis": relay.Sick},
			"DOORHOOK_RETENTION",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := good
			tt.edit(&s)
			checks := Examine(t.Context(), s)
			text := fmt.Sprintf("%+v", checks)
			for _, c := range checks {
				want, ok := tt.want[c.Name]
				delete(tt.want, c.Name)
				if !ok {
					want = relay.Healthy
				}
				if c.Health != want {
					t.Errorf("%+v, want %s", c, want)
				}
			}
			if len(tt.want) > 0 || !strings.Contains(text, tt.says) || strings.Contains(text, "canary") {
				t.Errorf("%s\nwant %v and %q, and no secret", text, tt.want, tt.says)
			}
		})
	}
}

func TestExamineClock(t *testing.T) {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		kisi, sent, got time.Time
		health          relay.Health
		says            string
	}{
		"the same":                   {noon, noon, noon, relay.Healthy, "agrees"},
		"the end of Kisi's second":   {noon, noon.Add(999 * time.Millisecond), noon.Add(time.Second), relay.Healthy, "agrees"},
		"a slow answer":              {noon.Add(20 * time.Second), noon, noon.Add(30 * time.Second), relay.Healthy, "agrees"},
		"five seconds ahead":         {noon.Add(5 * time.Second), noon, noon, relay.Doubt, "5s ahead of this host's"},
		"not quite five seconds":     {noon.Add(4999 * time.Millisecond), noon, noon, relay.Healthy, "agrees"},
		"ten seconds behind":         {noon, noon.Add(11 * time.Second), noon.Add(12 * time.Second), relay.Doubt, "10s behind this host's"},
		"a minute ahead":             {noon.Add(time.Minute), noon, noon, relay.Sick, "1m0s ahead"},
		"an hour behind":             {noon, noon.Add(time.Hour + time.Second), noon.Add(time.Hour + time.Second), relay.Sick, "1h0m0s behind"},
		"Kisi does not say the time": {time.Time{}, noon, noon, relay.Doubt, "did not tell"},
	} {
		if c := examineClock(tt.kisi, tt.sent, tt.got); c.Health != tt.health || !strings.Contains(c.Says, tt.says) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestExamineRights(t *testing.T) {
	u := uses{needs: map[kisi.Permission]relay.Kind{kisi.UnlockLocks: relay.Unlock, kisi.WriteSchedules: relay.Schedule}}
	group := kisi.Right{Role: "Manager", AppliesTo: "Group", ID: 5, Permissions: map[kisi.Permission]bool{kisi.UnlockLocks: true, kisi.WriteSchedules: true}}
	owner := kisi.Right{Role: "Owner", AppliesTo: "Organization", ID: 3, Permissions: group.Permissions}
	for name, tt := range map[string]struct {
		rights kisi.Rights
		health relay.Health
		says   string
	}{
		"everywhere":          {kisi.Rights{group, owner}, relay.Healthy, "as Owner"},
		"in one group":        {kisi.Rights{group}, relay.Healthy, "as Manager of group 5 alone"},
		"nothing at all":      {nil, relay.Doubt, "has locks_unlock (for unlock), schedules_write (for schedule)"},
		"not what matters":    {kisi.Rights{{Role: "Owner", AppliesTo: "Organization", Permissions: map[kisi.Permission]bool{kisi.UnlockLocks: true}}}, relay.Doubt, "has schedules_write (for schedule)"},
		"said to be not so":   {kisi.Rights{{Role: "Owner", AppliesTo: "Organization", Permissions: map[kisi.Permission]bool{kisi.UnlockLocks: false, kisi.WriteSchedules: true}}}, relay.Doubt, "has locks_unlock (for unlock)"},
		"elsewhere and owner": {kisi.Rights{owner}, relay.Healthy, "as Owner"},
	} {
		if c := examineRights(tt.rights, u); c.Health != tt.health || !strings.HasSuffix(c.Says, tt.says) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestKisiIsDown says once that Kisi does not answer, however many jobs find out.
func TestKisiIsDown(t *testing.T) {
	h := startHouse(t, "")
	h.fake.Fail(kisifake.Fault{Status: 502, Times: -1})
	for i := range 12 {
		h.post("/hooks/t", bookingOf(fmt.Sprint(i), 1, 10, 11, "lock", 22281))
	}
	waitFor(t, "a word about Kisi", func() bool { return strings.Contains(h.log.String(), "kisi does not answer") })
	if n := strings.Count(h.log.String(), "kisi does not answer"); n != 1 {
		t.Errorf("said %d times", n)
	}
	log := &safeBuffer{}
	(&App{log: slog.New(slog.NewTextHandler(log, nil))}).kisiDown(false, nil)
	if !strings.Contains(log.String(), "kisi answers again") {
		t.Errorf("log: %s", log)
	}
}

func TestSettingsThatContradict(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		s    Settings
		want string // "" is none
	}{
		"two places":                         {Settings{Redis: "redis://x", Data: "data"}, "DOORHOOK_DATA"},
		"forgets before the sender":          {Settings{Retention: 6 * day}, "DOORHOOK_RETENTION"},
		"forgets before a long dedup window": {Settings{Dedup: 30 * day, Retention: 29 * day}, "DOORHOOK_DEDUP"},
		"a long dedup window":                {Settings{Dedup: 30 * day}, ""},
		"both short":                         {Settings{Dedup: time.Hour, Retention: time.Hour}, ""},
		"a folder":                           {Settings{Data: "data"}, ""},
		"a slip of the hand":                 {Settings{Kisi: Kisi{Rate: 5000}}, "KISI_RATE"},
	} {
		if err := tt.s.withDefaults().check(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSettingsReachTheStore has what the doctor says about the memory of events.
func TestSettingsReachTheStore(t *testing.T) {
	h := startHouse(t, "", giveAdminToken, func(s *Settings, _ *fakeOptions) {
		s.Dedup, s.Retention, s.DeadRetention, s.Events = 48*time.Hour, 72*time.Hour, 96*time.Hour, 1234
	})
	var answer struct{ Checks []relay.Check }
	h.ask("GET", "doctor", "", &answer)
	says := found(answer.Checks)["memory of events"].Says
	for _, want := range []string{"2d", "3d", "4d", "1234"} {
		if !strings.Contains(says, want) {
			t.Errorf("it says %q, without %s", says, want)
		}
	}
}
