package golden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"doorhook/internal/rules"
)

// TestMistakes is about every mistake that a file of cases can have. All are told at once.
func TestMistakes(t *testing.T) {
	const x = "trigger: x\nauth: {none: true}\nrules: [{name: r, do: [{unlock: {lock_id: 1}}]}]\n"
	const head = "trigger: x\nnow: 2026-12-01T09:00:00Z\ncases:\n"
	for name, tt := range map[string]struct{ text, want string }{
		"no cases":      {"trigger: x\n", "1:1: cases: is missing"},
		"empty":         {"", "1:1: the file is empty"},
		"two documents": {head + "  - {name: a, payload: {}}\n---\na: b\n", "5:1: a file of cases is one document: remove the --- or make it two files"},
		"unknown keys": {
			"triger: x\ncases: []\n",
			`1:1: a file of cases has no key "triger"; did you mean "trigger"?`,
		},
		"a key of a case":      {head + "  - {name: a, paylod: {}, payload: {}}\n", `4:15: a case has no key "paylod"; did you mean "payload"?`},
		"a key of an event":    {head + "  - {name: a, payload: {}, before: [{name: x, payload: {}}]}\n", `4:38: an event has no key "name"; it takes trigger, now, payload, file, headers, query`},
		"no name":              {head + "  - payload: {}\n", "4:5: this case has no name"},
		"twice the name":       {head + "  - {name: a, payload: {}}\n  - {name: a, payload: {}}\n", `5:5: the case "a" has the name of the one in line 4`},
		"no trigger":           {"now: 2026-12-01T09:00:00Z\ncases: [{name: a, payload: {}}]\n", "2:9: trigger: is missing, here and at the top of the file"},
		"a trigger for all":    {"trigger: y\nnow: 2026-12-01T09:00:00Z\ncases: [{name: a, payload: {}}, {name: b, payload: {}}]\n", `1:10: no rule file has the trigger "y"; there is x`},
		"no time":              {"trigger: x\ncases: [{name: a, payload: {}}]\n", "2:9: now: is missing, here and at the top of the file: say when the event comes in, as 2026-11-22T16:00:00Z"},
		"no zone":              {"trigger: x\nnow: 2026-12-01 09:00\ncases: [{name: a, payload: {}}]\n", "2:6: now takes a time with its zone, as 2026-11-22T16:00:00Z or 2026-11-22T11:00:00-05:00"},
		"back in time":         {head + "  - {name: a, payload: {}, before: [{payload: {}, now: 2026-12-02T09:00:00Z}], now: 2026-12-01T09:00:00Z}\n", "4:5: the clock would go back: an event at 2026-12-01T09:00:00Z comes after one at 2026-12-02T09:00:00Z"},
		"no payload":           {head + "  - {name: a}\n", "4:5: this event has no payload: nor a file: with one"},
		"two payloads":         {head + "  - {name: a, payload: {}, file: a.json}\n", "4:28: there is a payload: already: the event is one or the other"},
		"a file that is not":   {head + "  - {name: a, file: a.json}\n", "4:21: the file a.json cannot be read from DIR, where the cases are: no such file or directory"},
		"an odd number":        {head + "  - {name: a, payload: {a: 010}}\n", "4:28: YAML reads 010 as another number than it looks like: write it without leading zeros and _, or in quotes"},
		"no number":            {head + "  - {name: a, payload: {a: .inf}}\n", "4:28: .inf is no number that can be sent: put it into quotes if it is text"},
		"a tag":                {head + "  - {name: a, payload: {a: !x y}}\n", "4:28: YAML takes the `!` at the beginning for a tag and drops what follows: put the value into quotes"},
		"a wish":               {head + "  - {name: a, query: {dry_run: 1, a: b}}\n", "4:23: dry_run speaks to doorhook and not to the rules: a case has an answer as with wait=10"},
		"an unknown part":      {head + "  - {name: a, payload: {}, want: {request: []}}\n", `4:35: want has no key "request"; did you mean "requests"?`},
		"an answer in a list":  {head + "  - {name: a, payload: {}, want: {answer: [done]}}\n", "4:43: answer takes fields with values"},
		"actions in no list":   {head + "  - {name: a, payload: {}, want: {actions: {}}}\n", "4:44: actions takes a list: lines that begin with `- `"},
		"what Kisi has":        {head + "  - {name: a, payload: {}, kisi: {locks: [1]}}\n", `4:35: kisi has no key "locks"; it takes groups, users, answers`},
		"ids":                  {head + "  - {name: a, payload: {}, kisi: {groups: {a: [1], 2: -1}}}\n", `4:44: the id of a group is a positive whole number, and this is "a"` + "\n" + `4:55: the id of a lock is a positive whole number, and this is "-1"`},
		"nothing wrong":        {head + "  - {name: a, payload: {}, kisi: {answers: [{to: GET}]}}\n", "4:45: an answer takes one of status, timeout, reset, crash, empty, junk: that is what goes wrong"},
		"two things wrong":     {head + "  - {name: a, payload: {}, kisi: {answers: [{status: 500, timeout: true}]}}\n", "4:45: an answer takes one of status, timeout, reset, crash, empty, junk: that is what goes wrong"},
		"a success":            {head + "  - {name: a, payload: {}, kisi: {answers: [{status: 200}]}}\n", "4:54: status takes a number from 300 to 599: Kisi's refusal, before it does anything"},
		"not quite a timeout":  {head + "  - {name: a, payload: {}, kisi: {answers: [{timeout: 5s}]}}\n", "4:55: write `timeout: true`, or remove it"},
		"an unknown method":    {head + "  - {name: a, payload: {}, kisi: {answers: [{to: PUT /x, status: 500}]}}\n", "4:50: to takes a request as `POST /group_links`, or its method or the beginning of its path alone, or a send as `POST ${env.NAME}`; the methods are GET, POST, PATCH, DELETE"},
		"never":                {head + "  - {name: a, payload: {}, kisi: {answers: [{times: 0, status: 500}]}}\n", "4:53: times takes a number from 1 on, or always"},
		"a number of nothing":  {head + "  - a\n", "4:5: a case takes keys with values here"},
		"a case in an address": {head + "  - {name: a, payload: &a {}}\n", "4:24: anchors and aliases (& and *) cannot be used in rule files: use tables: or let:, or quote the text\n4:5: this event has no payload: nor a file: with one"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, &txtar.Archive{Files: []txtar.File{{Name: "x.yaml", Data: []byte(x)}, {Name: "x_test.yaml", Data: []byte(tt.text)}}})
			_, err := Load(dir)
			bad, ok := errors.AsType[rules.Errors](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			var got []string
			for _, e := range bad {
				got = append(got, strings.ReplaceAll(fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Message), dir, "DIR"))
			}
			slices.Sort(got)
			if d := cmp.Diff(tt.want, strings.Join(got, "\n")); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// TestLoad is about what is no file of cases, and about rules that are wrong themselves.
func TestReadOrdinary(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, mostRead+1)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{os.DevNull: "not an ordinary file", filepath.Dir(large): "a folder", large: "larger than 16 MiB"} {
		if _, err := readOrdinary(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoad(t *testing.T) {
	const x = "trigger: x\nauth: {bearer: \"${env.NOT_SET}\"}\nrules: [{name: r, do: [{unlock: {lock_id: 1}}]}]\n"
	dir := folder(t, &txtar.Archive{Files: []txtar.File{
		{Name: "x.yaml", Data: []byte(x)}, {Name: ".hidden_test.yaml", Data: []byte("{")}, {Name: "x_test.json", Data: []byte("{")},
	}})
	if n := load(t, dir).Files(); n != 0 {
		t.Errorf("found %d files of cases", n)
	}
	for name, text := range map[string]string{"y.yaml": "trigger: y\n", "y_test.yaml": "trigger: z\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(dir)
	bad, ok := errors.AsType[rules.Errors](err)
	if !ok || len(bad) != 2 { // while a rule file is wrong, no trigger is known, and none is called unknown
		t.Errorf("got %v", err)
	}
}
