package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/alicebob/miniredis/v2"
	"go.yaml.in/yaml/v4"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/rules"
)

// askFake starts a pretend Kisi and gives settings that ask it.
func askFake(t *testing.T, o kisifake.Options) (*kisifake.Server, Settings) {
	t.Helper()
	o.Key, o.Rate = canaryKey, -1
	fake := kisifake.New(o)
	url, err := fake.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return fake, Settings{Kisi: Kisi{URL: url, APIKey: canaryKey, Rate: -1}}
}

func loadText(t *testing.T, text string) *rules.Set {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, "rules", func(string) string { return "token" })
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return set
}

const onlineRules = `
trigger: a
auth: {none: true}
tables:
  spaces:
    Studio A: {lock: 22281, group: 32693}
    Studio B: {lock: 22299, group: 22282}
    Nobody: {lock: 32694, group: 5}
    Store: {lock: 22283, group: 40000}
let:
  space: spaces[payload.space]
rules:
  - name: door
    do:
      - unlock: {lock_id: "${space.lock}"}
      - group_link: {group_id: "${space.group}"}
  - name: again
    do:
      - schedule: {lock_id: "${space.lock}", starts_at: "${payload.a}", ends_at: "${payload.b}"}
      - schedule: {group_id: 40000, starts_at: "${payload.a}", ends_at: "${payload.b}"}
`

func TestOnline(t *testing.T) {
	locks, groups := kisifake.DefaultSite()
	locks = append(locks, kisifake.Lock{ID: 22283, Name: "Store\x1b[2J\nroom", Geofence: true, ReaderOnly: true})
	groups = append(groups, kisifake.Group{ID: 40000, Name: "empty"})
	fake, s := askFake(t, kisifake.Options{Locks: locks, Groups: groups})
	mistakes, doubts, err := Online(t.Context(), s, loadText(t, onlineRules))
	if err != nil {
		t.Fatal(err)
	}
	const list = "22281 Studio A, 22282 Studio B, 22283 Store [2J room, 22290 Front door"
	wantFindings(t, mistakes, []string{
		"7:22: Kisi has no lock 22299; it has: " + list + " (did you mean 22282 Studio B?)",
		"7:36: 22282 is a lock, Studio B, and not a group",
		"8:20: 32694 is a group, Studio B and front door, and not a lock",
		"8:34: Kisi has no group 5; it has: 32693 Studio A and front door, 32694 Studio B and front door, 40000 empty",
		"20:30: the group 40000, empty, has no locks: a schedule for it opens nothing",
	})
	wantFindings(t, doubts, []string{
		"9:19: lock 22283, Store [2J room, opens only to somebody near it (geofence restriction): Kisi refuses this unlock",
		"9:19: lock 22283, Store [2J room, opens only with a phone at its reader (reader restriction): Kisi refuses this unlock",
	})
	asked := map[string]int{}
	for _, c := range fake.Journal() {
		asked[c.Method+" "+c.Path]++
	}
	if want := "map[GET /groups:1 GET /locks:1 GET /login:1 GET /role_assignments:1 GET /roles:1]"; fmt.Sprint(asked) != want {
		t.Errorf("asked %v, want %s", asked, want)
	}
}

func wantFindings(t *testing.T, got rules.Errors, want []string) {
	t.Helper()
	var said []string
	for _, e := range got {
		said = append(said, fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Message))
	}
	if !slices.Equal(said, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

const soundRules = `
trigger: a
auth: {none: true}
rules:
  - name: door
    do:
      - unlock: {lock_id: 22281}
      - unlock: {lock_id: 22282}
      - schedule: {lock_id: 22281, starts_at: "${payload.a}", ends_at: "${payload.b}"}
      - group_link: {group_id: 32693}
`

func TestOnlineDoubts(t *testing.T) {
	fake, s := askFake(t, kisifake.Options{})
	set := loadText(t, soundRules)
	if mistakes, doubts, err := Online(t.Context(), s, set); len(mistakes)+len(doubts) > 0 || err != nil {
		t.Fatalf("an owner's key: %v %v %v", mistakes, doubts, err)
	}
	fake.Forbid(canaryKey, "schedules_write")
	fake.Forbid(canaryKey, "locks_unlock")
	_, doubts, err := Online(t.Context(), s, set)
	if err != nil || len(doubts) != 2 {
		t.Fatalf("doubts %v, %v", doubts, err)
	}
	for i, want := range []string{"no role of this key's user with locks_unlock for lock 22281, which unlock needs", "with schedules_write for lock 22281, which schedule needs"} {
		if !strings.Contains(doubts[i].Message, want) {
			t.Errorf("doubt %d is %v", i, doubts[i])
		}
	}
}

// TestOnlineAsksForLimits: a wrong number in never would keep no door shut, and what
// looks at the locks of a group needs to be allowed to.
func TestOnlineAsksForLimits(t *testing.T) {
	fake, s := askFake(t, kisifake.Options{})
	fake.Forbid(canaryKey, "group_locks_read")
	set, err := rules.Load(fstest.MapFS{
		"a.yaml":   {Data: []byte(soundRules + "limits: {never: [22282, 22291, 32693]}\n")},
		"all.yaml": {Data: []byte("limits:\n  never: [5]\n")},
	}, "rules", nil)
	if err != nil {
		t.Fatal(err)
	}
	mistakes, doubts, err := Online(t.Context(), s, set)
	if err != nil {
		t.Fatal(err)
	}
	const list = "Kisi has no lock %d; it has: 22281 Studio A, 22282 Studio B, 22290 Front door"
	wantFindings(t, mistakes, []string{
		"11:25: " + fmt.Sprintf(list, 22291) + " (did you mean 22281 Studio A?)",
		"11:32: 32693 is a group, Studio A and front door, and not a lock",
		"2:11: " + fmt.Sprintf(list, 5),
	})
	if len(doubts) != 1 || !strings.Contains(doubts[0].Message, "with group_locks_read for group 32693, which group_link needs") {
		t.Errorf("doubts %v", doubts)
	}
	if _, doubts, err = Online(t.Context(), s, loadText(t, soundRules)); err != nil || len(doubts) > 0 {
		t.Errorf("without limits: %v, %v", doubts, err)
	}
}

func TestOnlineCannotAsk(t *testing.T) {
	_, s := askFake(t, kisifake.Options{})
	set := loadText(t, soundRules)
	refused, silent, email, none := s, s, s, s
	refused.Kisi.APIKey = "another"
	silent.Kisi.URL = "http://127.0.0.1:1"
	email.Kisi.APIKey, email.Kisi.Email, email.Kisi.Password = "", "a@example.com", canaryPassword
	none.Kisi.APIKey = ""
	for want, s := range map[string]Settings{
		"make a new one in Kisi": refused, "check the network": silent, "shared through Redis: set DOORHOOK_REDIS": email, "set either KISI_API_KEY": none,
	} {
		mistakes, doubts, err := Online(t.Context(), s, set)
		if err == nil || !strings.Contains(err.Error(), want) || len(mistakes)+len(doubts) > 0 {
			t.Errorf("got %v %v %v, want an error with %q", mistakes, doubts, err, want)
		}
		if err != nil && strings.Contains(err.Error(), canaryPassword) {
			t.Errorf("a secret is in %v", err)
		}
	}
}

// TestOnlineThroughRedis shares a sign-in with the doorhooks that run.
func TestOnlineThroughRedis(t *testing.T) {
	fake := kisifake.New(kisifake.Options{Email: "owner@example.com", Password: canaryPassword, Rate: -1})
	url, err := fake.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	s := Settings{Redis: "redis://" + miniredis.RunT(t).Addr(), Kisi: Kisi{URL: url, Email: "owner@example.com", Password: canaryPassword, Rate: -1}}
	for range 2 {
		if mistakes, doubts, err := Online(t.Context(), s, loadText(t, soundRules)); len(mistakes)+len(doubts) > 0 || err != nil {
			t.Fatalf("%v %v %v", mistakes, doubts, err)
		}
	}
	if n := len(fake.Logins()); n != 1 {
		t.Errorf("%d sign-ins, want 1", n)
	}
}

// TestWarningsAreLogged starts a doorhook with rules that are probably not meant.
func TestWarningsAreLogged(t *testing.T) {
	var log bytes.Buffer
	_, s := askFake(t, kisifake.Options{})
	s.Rules = fstest.MapFS{"a.yaml": {Data: []byte("trigger: a\nauth: {none: true}\nlet:\n  x: payload.x\n")}}
	s.RulesDir, s.Listen, s.Log = "rules", "127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil))
	a, err := New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "level=WARN msg=\"a rule file says what is probably not meant\" at=rules/a.yaml:4:3"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
}

func TestSurvey(t *testing.T) {
	_, s := askFake(t, kisifake.Options{})
	site, err := Survey(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := "{[{5 HQ America/New_York}] [{22281 Studio A 5} {22282 Studio B 5} {22290 Front door 5}] " +
		"[{32693 Studio A and front door 5 [22281 22290]} {32694 Studio B and front door 5 [22282 22290]}]}"
	if got := fmt.Sprint(site); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestStarter pairs doors with groups, and leaves to a person what is not plain.
func TestStarter(t *testing.T) {
	door := func(id int64, name string) SiteDoor { return SiteDoor{ID: id, Name: name} }
	group := func(id int64, doors ...int64) SiteGroup {
		return SiteGroup{ID: id, Name: fmt.Sprint("g", id), Doors: doors}
	}
	tests := []struct {
		name   string
		doors  []SiteDoor
		groups []SiteGroup
		want   string // lines of the table
	}{
		{"a group of its own", []SiteDoor{door(1, "A")}, []SiteGroup{group(11, 1)}, `A: {lock: 1, group: 11}`},
		{
			"the smallest",
			[]SiteDoor{door(1, "AA"), door(2, "BB")},
			[]SiteGroup{group(10, 1, 2), group(11, 1), group(12, 2)},
			"AA: {lock: 1, group: 11}\nBB: {lock: 2, group: 12}\n# group 10, g10, opens AA, BB",
		},
		{
			"one group for all",
			[]SiteDoor{door(1, "AA"), door(2, "BB")},
			[]SiteGroup{group(10, 1, 2)},
			"# AA: {lock: 1}   # group 10, g10, is the smallest that has it, and the smallest of other doors, too: make it a group of its own\n" +
				"# BB: {lock: 2}   # group 10, g10, is the smallest that has it, and the smallest of other doors, too: make it a group of its own\n" +
				"# group 10, g10, opens AA, BB",
		},
		{
			"two as small",
			[]SiteDoor{door(1, "AA")},
			[]SiteGroup{group(11, 1), group(12, 1)},
			"# AA: {lock: 1}   # which group is for it? 11, g11, or 12, g12\n# group 11, g11, opens AA\n# group 12, g12, opens AA",
		},
		{"none", []SiteDoor{door(1, "AA")}, nil, "# AA: {lock: 1}   # no group has it, so no link can open it"},
		{
			"twice the same name",
			[]SiteDoor{door(1, "AA"), door(2, " aa")},
			[]SiteGroup{group(11, 1), group(12, 2)},
			"# AA: {lock: 1}   # 2 doors are called like this: give them names of their own\n" +
				"# \" aa\": {lock: 2}   # 2 doors are called like this: give them names of their own\n" +
				"# group 11, g11, opens AA\n# group 12, g12, opens aa",
		},
		{"no name", []SiteDoor{door(1, " ")}, []SiteGroup{group(11, 1)}, "# \" \": {lock: 1}   # it has no name in Kisi\n# group 11, g11, opens"},
		{
			"more than its own",
			[]SiteDoor{door(1, "AA"), door(2, "Front")},
			[]SiteGroup{group(11, 1, 2), group(12, 2)},
			"AA: {lock: 1, group: 11}   # the group, g11, opens AA, Front\nFront: {lock: 2, group: 12}",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, _ := Starter(Site{Doors: tt.doors, Groups: tt.groups}, "skedda")
			_, table, _ := strings.Cut(text, "  spaces:")
			_, table, _ = strings.Cut(table, "\n")
			table, _, _ = strings.Cut(table, "\nlimits:")
			var got []string
			for line := range strings.Lines(table) {
				got = append(got, strings.TrimSpace(line))
			}
			if g := strings.Trim(strings.Join(got, "\n"), "\n"); strings.ReplaceAll(g, `"A"`, "A") != tt.want {
				t.Errorf("got\n%s\nwant\n%s", g, tt.want)
			}
		})
	}
}

// TestStarterIsSound writes files for sites with names that nobody would choose, and
// checks each, also against a Kisi with that site.
func TestStarterIsSound(t *testing.T) {
	hostile := []string{
		"", " ", "a\nb", "\n- x: y", `"`, `'`, `\`, "${env.KISI_API_KEY}", "${", "}", "# no", "a # b", "a: b", "- a", "? a", "*a", "&a", "!a", "@a", "`", "%a", "{a}", "[a]",
		"null", "~", "true", "No", "1", "0x1F", "1e3", "2026-11-23", "<<", "=", "日本", "Café", "🚪", "a\u2028b", "\u202egnp", "\x00", "\x1b[2J", "\ufeff", "\u0085", "a\tb", "Studio A", "studio a", "%s %d",
		strings.Repeat("long ", 300), strings.Repeat("é", 199), "---", "...", "|", ">", "a,b", "trigger", "each",
	}
	r := rand.New(rand.NewPCG(1, 2)) // the same sites on every run
	for i := range 150 {
		var o kisifake.Options
		var site Site
		for id := range int64(1 + r.IntN(20)) {
			name := hostile[r.IntN(len(hostile))]
			o.Locks = append(o.Locks, kisifake.Lock{ID: id + 1, Name: name})
			site.Doors = append(site.Doors, SiteDoor{ID: id + 1, Name: name})
			g := kisifake.Group{ID: 100 + id, Name: hostile[r.IntN(len(hostile))], Locks: []int64{id + 1}}
			for range r.IntN(3) {
				g.Locks = append(g.Locks, 1+r.Int64N(id+1))
			}
			slices.Sort(g.Locks)
			g.Locks = slices.Compact(g.Locks)
			o.Groups = append(o.Groups, g)
			site.Groups = append(site.Groups, SiteGroup{ID: g.ID, Name: g.Name, Doors: g.Locks})
		}
		site.Places = []SitePlace{{ID: 1, Name: hostile[r.IntN(len(hostile))], TimeZone: hostile[r.IntN(len(hostile))]}}
		text, paired := Starter(site, "true")
		set := loadText(t, text)
		if w := set.Warnings(); len(w) > 0 {
			t.Fatalf("warnings %v\n%s", w, text)
		}
		wantTable(t, text, site, paired)
		if i%10 != 0 {
			continue // a server for each would take long
		}
		_, s := askFake(t, o)
		if mistakes, doubts, err := Online(t.Context(), s, set); len(mistakes)+len(doubts) > 0 || err != nil {
			t.Fatalf("%v %v %v\n%s", mistakes, doubts, err, text)
		}
	}
}

// wantTable wants every name in the table to be that of the door whose lock stands there.
func wantTable(t *testing.T, text string, site Site, paired int) {
	t.Helper()
	var file struct {
		Tables struct {
			Spaces map[string]struct{ Lock, Group int64 }
		}
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Tables.Spaces) != paired {
		t.Fatalf("%d doors, want %d\n%s", len(file.Tables.Spaces), paired, text)
	}
	for name, got := range file.Tables.Spaces {
		i := slices.IndexFunc(site.Doors, func(d SiteDoor) bool { return d.ID == got.Lock })
		j := slices.IndexFunc(site.Groups, func(g SiteGroup) bool { return g.ID == got.Group })
		if i < 0 || site.Doors[i].Name != name || j < 0 || !slices.Contains(site.Groups[j].Doors, got.Lock) {
			t.Fatalf("%q has lock %d and group %d\n%s", name, got.Lock, got.Group, text)
		}
	}
}
