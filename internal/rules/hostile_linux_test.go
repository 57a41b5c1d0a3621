package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/relay"
)

// What an event may take, whatever it says and whatever its rules say: of the processor, and
// of memory besides the event itself.
const (
	mostTime   = 150 * time.Millisecond
	mostMemory = 32 << 20
)

// attack is an event and a rule file that want to hang or to kill the process.
type attack struct {
	expression string // of a let that a rule uses
	file       string // instead of it
	payload    string // one of attackPayload; "text" by default
	ends       bool   // it is computed to its end, and cheap
}

// attackPayload is as large as a request may be: 1 MiB.
func attackPayload(kind string) map[string]any {
	const size = 1 << 20
	p := map[string]any{"n": 4, "list": numbers(2000)}
	switch kind {
	case "list":
		p["list"] = numbers(170_000)
	case "objects":
		p["list"] = many(size/3, func(int) any { return map[string]any{} })
	case "rooms":
		p["list"] = many(990, func(i int) any { return map[string]any{"id": i, "room": fmt.Sprint("Studio ", i)} })
	case "strings":
		p["list"] = many(1000, func(i int) any { return strings.Repeat("a", 1000) + fmt.Sprint(i) })
	case "equal":
		p["list"] = many(2, func(int) any { return strings.Repeat("a", size/2) })
		p["s"], p["t"] = p["list"].([]any)[0], p["list"].([]any)[1]
	case "keys":
		m := map[string]any{}
		for i := range size / 14 {
			m[fmt.Sprintf("k%d", i)] = i
		}
		p["map"] = m
	case "deep":
		var v any = numbers(100_000)
		for range 5000 {
			v = []any{v}
		}
		p["deep"] = v
	case "twins":
		p["a"], p["b"] = numbers(85_000), numbers(85_000)
	case "unicode":
		p["s"], p["set"] = strings.Repeat("é", size/4), strings.Repeat("ü", size/8)+"é"
	case "addresses":
		p["s"] = strings.Repeat("a@", size/2)
	case "zones":
		p["list"] = many(60_000, func(i int) any { return fmt.Sprintf("Europe/Berl%d", i) })
	case "spaces":
		p["s"] = strings.Repeat(" ", size)
	case "padded":
		space := strings.Repeat(" ", size/3)
		p["s"], p["t"], p["u"] = space+"7", space+"1795428000", space+"2h"
	case "digits":
		p["s"] = strings.Repeat("1", size)
	default:
		p["s"] = strings.Repeat("a", size)
		p["pattern"] = "(?s).{0,1000}Phone"
	}
	return p
}

var attacks = []attack{
	// Loops in loops.
	{expression: `all(1..2000, {all(1..2000, {all(1..2000, {true})})})`},
	{expression: `all(payload.list, {all(payload.list, {all(payload.list, {true})})})`},
	{expression: `let r = 1..2000; all(r, {all(r, {all(r, {true})})})`},
	{expression: `count(1..9999, {let a = #; count(1..9999, {a*# > 5}) > 0})`},
	{expression: `count(payload.list, {count(payload.list, {# > 3}) > 5000})`},
	{expression: `count(payload.list, {# > 3 and # < 2 or # == 7 or # > 3 and # < 2 or # == 8})`, payload: "list", ends: true},
	{expression: `any(payload.list[:1000], {any(payload.list[:1000], # == -1)})`, ends: true},
	{expression: `any(payload.list, {any(payload.list, #.room == "none")})`, payload: "rooms", ends: true}, // an honest one
	{expression: `any(payload.list, {let a = #; any(payload.list, # == a + 5000)})`},
	{expression: `map(payload.list, {map(payload.list, {sum(payload.list)})})`},
	{expression: `reduce(payload.list, #acc + # % 7, 0)`, payload: "list"},
	{expression: `reduce(1..99999, #acc + [#], [])`},
	{expression: `len(reduce(1..30, [#acc, #acc], [1]))`, ends: true},
	{expression: `reduce(1..30, [#acc, #acc], [1]) == reduce(1..30, [#acc, #acc], [1])`},
	{expression: `-1 in reduce(1..30, [#acc, #acc], [1])`},
	{expression: `len(map(1..900, {map(1..900, #)}))`},
	// Ranges and long lists.
	{expression: `map(1..1000000000, #)`},
	{expression: `(0-9223372036854775807)..9223372036854775807`},
	{expression: `len((0-5000000000000000000)..5000000000000000000)`},
	{expression: `payload.n in 1..9000000000000000000`, ends: true},
	{expression: `count(payload.list, {# in 1..99999})`, payload: "list", ends: true},
	{expression: `count(payload.list, {[#] in [1..999]})`, payload: "list"},
	{expression: `len(1..99999)`, ends: true},
	{expression: `sum(1..999000)`},
	{expression: `sum(payload.list)`, payload: "list", ends: true},
	{expression: `count(payload.list, {sum(payload.list) > 0})`},
	{expression: `median(payload.list)`, payload: "list", ends: true},
	{expression: `median(payload.deep)`, payload: "deep"},
	{expression: `mean(payload.deep)`, payload: "deep"},
	{expression: `sum(payload.deep)`, payload: "deep"},
	{expression: `max(payload.list)`, payload: "list", ends: true},
	{expression: `count(payload.list, {max(payload.list) > 0})`, payload: "list"},
	{expression: `sort(payload.list, "desc")`, payload: "list"},
	{expression: `count(payload.list, {len(sort(payload.list)) > 0})`},
	{expression: `sort(map(1..1000, payload.s[#:]))`},
	{expression: `sort(payload.list)`, payload: "strings", ends: true},
	{expression: `sortBy(map(1..99999, -#), #)`},
	{expression: `sortBy(1..1000, payload.s[#:])`},
	{expression: `reverse(payload.list)`, payload: "list"},
	{expression: `count(payload.list, {len(reverse(payload.list)) > 0})`, payload: "list"},
	{expression: `count(payload.list, {first(take(payload.list, 100000)) > 0})`, payload: "list", ends: true},
	{expression: `filter(payload.list, true)`, payload: "objects"},
	{expression: `map(payload.list, {{"a": #, "b": #}})`, payload: "list"},
	{expression: `map(1..20000, {[#, #, #, #, #, #, #, #]})`},
	{expression: `map(1..9000, {{"a1": #, "a2": #, "a3": #, "a4": #, "a5": #, "a6": #}})`},
	{expression: `count(1..20000, {len({"a1": #, "a2": #, "a3": #, "a4": #, "a5": #, "a6": #}) > 6})`, ends: true},
	{expression: `groupBy(payload.list, #)`, payload: "list"},
	{expression: `groupBy(payload.list, payload.s)`},
	{expression: `groupBy(1..15000, #)`, ends: true},
	{expression: `keys(payload.map)`, payload: "keys", ends: true},
	{expression: `count(1..2000, {len(keys(payload.map)) > 0})`, payload: "keys"},
	{expression: `values(payload.map)`, payload: "keys", ends: true},
	{expression: `count(payload.list, {-1 in payload.list || -2 in payload.list})`},
	{expression: `count(payload.list, {payload.t in [payload.s]})`, payload: "equal", ends: true},
	// Deep equality, and equal texts that are not the same.
	{expression: `payload.a == payload.b`, payload: "twins", ends: true},
	{expression: `count(1..2000, {payload.a == payload.b})`, payload: "twins"},
	{expression: `count(1..2000, {payload.a != payload.b})`, payload: "twins"},
	{expression: `count(1..99999, {payload.s == payload.t})`, payload: "equal"},
	{expression: `count(1..99999, {payload.s < payload.t})`, payload: "equal"},
	{expression: `count(1..99999, {payload.s startsWith payload.t})`, payload: "equal"},
	{expression: `count(1..99999, {hasPrefix(payload.s, payload.t)})`, payload: "equal"},
	{expression: `payload.deep == payload.deep`, payload: "deep"},
	{expression: `payload.list == payload.list`, payload: "objects", ends: true},
	// Long texts.
	{expression: `map(payload.list, {upper(payload.s)})`},
	{expression: `upper(payload.s)`, payload: "unicode", ends: true},
	{expression: `len(map(payload.list, {split(payload.s, "")}))`},
	{expression: `split(payload.s, "")`},
	{expression: `count(payload.list, {-1 in payload.list || len(split(payload.s, "")) == 1})`},
	{expression: `len(map(1..90000, replace(payload.s, "b", "cc")))`},
	{expression: `len(replace(replace(payload.s, "a", payload.s), "a", "aaaaaaaaaa"))`},
	{expression: `replace(payload.s, "", "xxxxxxxx")`},
	{expression: `len(reduce(1..30, #acc + #acc, "a"))`},
	{expression: `let b = payload.s + payload.s + payload.s + payload.s; let c = b + b + b + b; let d = c + c + c + c; len(d + d + d)`},
	{expression: `map(1..9000, payload.s + "x")`},
	{expression: `map(1..9000, "x" + payload.s)`},
	{expression: `join(map(1..9000, payload.s))`},
	{expression: `join(1..99999, payload.s)`},
	{expression: `string(map(1..9000, payload.s))`},
	{expression: `count(payload.list, {len(payload.s) > 4})`},
	{expression: `count(payload.list, {payload.s contains "b"})`},
	{expression: `count(payload.list, {indexOf(payload.s, "ab") > 4})`},
	{expression: `count(payload.list, {lastIndexOf(payload.s, "ba") > 4})`},
	{expression: `count(payload.list, {len(trimPrefix(payload.s, payload.s[1:])) > 4})`},
	{expression: `trim(payload.s, payload.set)`, payload: "unicode"},
	{expression: `trim(payload.s)`, payload: "spaces", ends: true},
	{expression: `count(payload.list, {trim(payload.s) == ""})`, payload: "spaces"},
	{expression: `count(1..9999, {{(payload.s): #} == nil})`},
	{expression: `count(1..9999, {payload[payload.s] == 1})`},
	{expression: `count(1..9999, {get(payload, payload.s) == 1})`},
	{expression: `count(1..9999, {payload.s in payload})`},
	{expression: `count(1..9999, {lookup(payload, payload.s) == 1})`},
	{expression: `count(1..9999, {email(payload.s) == nil})`, payload: "addresses"},
	{expression: `email(payload.s)`, payload: "addresses", ends: true},
	{expression: `email(payload.s)`, ends: true},
	// Numbers, times and zones.
	{expression: `count(1..9999, {int(payload.s) == 7})`, payload: "padded"},
	{expression: `count(1..9999, {time(payload.t) > now()})`, payload: "padded"},
	{expression: `count(1..9999, {duration(payload.u) > hours(1)})`, payload: "padded"},
	{file: manyRules(1000, "when: time(payload.s) > now() || duration(payload.s) > hours(1)"), payload: "digits"},
	{file: manyRules(20, "each: 1..99") + `      - group_link: {group_id: 1, name: "${payload.s}"}` + "\n", payload: "spaces"},
	{expression: `number(payload.s)`, payload: "digits"},
	{expression: `int(payload.s)`, payload: "spaces"},
	{expression: `time(payload.s)`, payload: "digits"},
	{expression: `duration(payload.s)`, payload: "digits"},
	{expression: `format(now(), payload.s, "UTC")`, ends: true},
	{expression: `map(1..9999, format(now() + days(#), "January January January January January January January January January January", "UTC"))`, ends: true},
	{expression: `map(1..9999, now().Format(payload.s))`},
	{expression: `get(now(), "Format")(payload.s)`},
	{expression: `let f = now().Format; map(1..9999, f(payload.s))`},
	{expression: `count(1..9999, {time("Monday, November 23, 2026 at 10:00:00.123 AM UTC") > now()})`, ends: true},
	{expression: `count(1..99999, {time("Monday, November 23, 2026 at 10:00:00.123 AM UTC") > now()})`},
	{expression: `map(payload.list, time("2026-01-01", #))`, payload: "zones"},
	{expression: `time("2040-12-31 12:00", "America/New_York")`, ends: true},
	{expression: `let t = {"dateTime": "2040-12-31T12:00:00", "timeZone": "America/New_York"}; count(1..9999, {overlaps(t, t, t, t)})`},
	{expression: `count(1..9999, {` + strings.Repeat(`time("2040-12-31T12:00:00", "America/New_York") == nil || `, 6) + `false})`},
	{expression: `count(1..9999, {` + strings.Repeat(`at_time("2040-12-31T12:00:00-05:00", "12:00", "America/New_York") == nil || `, 3) + `false})`, ends: true},
	{expression: `count(1..9999, {` + strings.Repeat(`add_days("2040-12-30T12:00:00-05:00", 1, "America/New_York") == nil || `, 3) + `false})`, ends: true},
	// Patterns.
	{expression: `extract(payload.s, "(a?){300}b")`},
	{expression: `extract(payload.s, payload.pattern)`},
	{expression: `extract(payload.s, "(a{1,500}){1,2}[0-9]")`},
	{expression: `extract(payload.s[:2000], "` + strings.Repeat("(a?)", 200) + `b")`, ends: true},
	{expression: `payload.s matches "(a?){300}b"`},
	{expression: `payload.s matches "((a{1,100}){1,100}){1,100}"`},
	{expression: `payload.s matches "[a-z]*[a-z]*[a-z]*x"`, ends: true},
	{expression: `payload.s matches "(a+)+$"`, ends: true},
	{expression: `count(1..9999, {payload.s[:100] matches "[a-y]*z"})`, ends: true},
	{expression: `count(1..99999, {extract("a", "(" + string(#) + ")") == nil})`},
	{expression: `extract("a", "[` + strings.Repeat(`\\pL`, 11) + `]")`},
	// Files that spread it.
	{file: manyRules(4000, "when: email(payload.s) == nil || len(payload.s) > 4"), payload: "addresses"},
	{file: manyRules(4000, "when: payload.s + payload.s == nil")},
	{file: manyRules(4000, "when: payload.nothing.a")},
	{file: "trigger: t\nauth: {none: true}\nrules: [" + rulesOnOneLine(6000) + "]\n"},
	{file: manyRules(4000, `when: time("2026-01-01", payload.s[:50]) == nil`)},
	{file: manyRules(4000, `when: time("2026-01-01", payload.s[:16]) == nil`)},
	{file: manyRules(4000, "when: any(payload.list, any(payload.list, any(payload.list, false)))")},
	{file: manyRules(1, "each: payload.list\n    when: each == 'x'"), payload: "list"},
	{file: manyRules(1, "when: true") + `      - group_link: {group_id: 1, name: "` + strings.Repeat("${payload.s}", 1000) + `"}` + "\n"},
	{file: manyRules(50, "when: true\n    let: {long: \"payload.s[:9000]\"}") + `      - group_link: {group_id: 1, name: "${long}"}` + "\n", ends: true},
	{file: manyRules(1, "when: true") + `      - schedule: {lock_ids: "${payload.list}", starts_at: 2026-11-23 10:00, ends_at: 2026-11-23 11:00}` + "\n", payload: "list"},
	{file: manyRules(0, "") + "respond: {" + fields(2000, `"${payload.s}-${payload.s}"`) + "}\n", ends: true},
	{file: manyRules(0, "") + "let: {" + fields(500, `"len(map(payload.list, [#, #, #]))"`) + "}\nrespond: {" + fields(500, `"${f%d}"`) + "}\n", ends: true},
}

func manyRules(n int, keys string) string {
	var b strings.Builder
	b.WriteString("trigger: t\nauth: {none: true}\ntimezone: UTC\n")
	if n > 0 {
		b.WriteString("rules:\n")
	}
	for i := range n {
		fmt.Fprintf(&b, "  - name: r%d\n    %s\n    do:\n      - unlock: {lock_id: 1}\n", i, keys)
	}
	return b.String()
}

// rulesOnOneLine are rules that all fail, on one line.
func rulesOnOneLine(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{name: r%d, when: payload.nothing.a, do: [{unlock: {lock_id: 1}}]}, ", i)
	}
	return b.String()
}

// fields are keys f0, f1, … with the same value; %d in it is the number.
func fields(n int, value string) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("f%d: ", i) + strings.ReplaceAll(value, "%d", fmt.Sprint(i))
	}
	return strings.Join(out, ", ")
}

// measured is what a child process says of an attack.
type measured struct {
	Refused string        // why it could not be loaded
	Problem string        // why it was not computed to its end
	Time    time.Duration // of the processor
	Memory  int           // how much it grew
}

const attackVariable = "DOORHOOK_TEST_ATTACK"

// TestHostileExpressions runs every attack in a process of its own, since what it is about cannot be
// survived in this one, and measures the processor's time, since the machine may be busy.
func TestHostileExpressions(t *testing.T) {
	if text := os.Getenv(attackVariable); text != "" {
		i, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(attacks[i].run(t))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\n%s%s\n", attackVariable, out)
		return
	}
	program := plainProgram(t)
	for i, a := range attacks {
		t.Run(fmt.Sprintf("%d %s", i, cut(a.expression+strings.ReplaceAll(a.file, "\n", " "), 80)), func(t *testing.T) {
			m := inProcess(t, program, i)
			for range 2 { // a machine that is busy with something else makes it cost more, and nothing makes it cost less
				if m.Time > mostTime {
					m = inProcess(t, program, i)
				}
			}
			t.Logf("%s, %.1f MiB; refused %q, problem %q", m.Time, float64(m.Memory)/(1<<20), cut(m.Refused, 150), m.Problem)
			if (m.Refused+m.Problem == "") != a.ends {
				t.Errorf("computed to its end: %t, want %t", !a.ends, a.ends)
			}
			if m.Time > mostTime {
				t.Errorf("it took %s", m.Time)
			}
			if m.Memory > mostMemory {
				t.Errorf("it took %d MiB", m.Memory>>20)
			}
		})
	}
}

// plainProgram is this test as a program without the race detector, which makes everything
// twenty times slower, and larger.
func plainProgram(t *testing.T) string {
	t.Helper()
	if !raceDetected() {
		return os.Args[0]
	}
	program := filepath.Join(t.TempDir(), "rules.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the test: %v\n%s", err, out)
	}
	return program
}

// inProcess runs an attack in a process of its own.
func inProcess(t *testing.T, program string, attack int) (m measured) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestHostileExpressions$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", attackVariable, attack))
	out, err := cmd.CombinedOutput()
	_, found, ok := strings.Cut(string(out), attackVariable)
	if err != nil || !ok || json.NewDecoder(strings.NewReader(found)).Decode(&m) != nil {
		t.Fatalf("the process died: %v\n%s", err, cut(string(out), 2000))
	}
	return m
}

func (a attack) run(t *testing.T) measured {
	text := a.file
	if text == "" {
		text = hostileFile(a.expression)
	}
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		return measured{Refused: err.Error()}
	}
	ev := relay.Event{Trigger: "t", ReceivedAt: received, Payload: attackPayload(a.payload)}
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Log(err) // the peak is that of the whole process then, which is more
	}
	memory, used := statusKiB(t, "VmRSS"), processorTime(t)
	p := set.Plan(ev)
	m := measured{Time: processorTime(t) - used, Memory: (statusKiB(t, "VmHWM") - memory) << 10}
	if len(p.Problems) > 0 {
		m.Problem = p.Problems[0].Message
	}
	return m
}

// processorTime is what this process has used, its garbage collection with it.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func statusKiB(t *testing.T, key string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	_, rest, _ := strings.Cut(string(text), key+":")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// raceDetected reports whether this test runs under -race.
func raceDetected() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
