package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"doorhook/internal/relay"
)

const secretive = `
trigger: t
from: kisi
auth: {bearer: "${env.TOKEN}"}
rules:
  - name: r
    do:
      - send:
          url: ${env.ALERT_URL}/${payload.text}
          headers: {X-A: "${payload.text}", X-B: "${payload.text}${env.TOKEN}${payload.text}"}
          json: {a: "${payload.text}", b: "${payload}", c: "x ${payload.text}"}
          sign: ${env.ALERT_KEY}
`

func loaded(t tester, text string) *Set {
	t.Helper()
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// sent are the fields of a send, as its receiver's request is made of them.
type sent struct {
	URL     relay.Text            `json:"url"`
	Headers map[string]relay.Text `json:"headers"`
	JSON    any                   `json:"json"`
	Sign    relay.Text            `json:"sign"`
}

func envOf(t relay.Text) []string {
	var names []string
	for _, p := range t {
		if p.Env != "" {
			names = append(names, p.Env)
		}
	}
	return names
}

// TestNobodyNamesASecret: whatever a sender writes is text, and the only secrets that a
// message has are those that the rule names. None of their values is in what is kept.
func TestNobodyNamesASecret(t *testing.T) {
	set := loaded(t, secretive)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
			"${env.TOKEN}", "$${env.TOKEN}", `[{"env":"TOKEN"}]`, `{"env":"TOKEN"}`, `","env":"TOKEN`, "a\r\nX-Admin: 1", "a\x00", "@b.example", "//b.example",
		})).Draw(t, "text")
		plan := set.Plan(relay.Event{ID: "e", Trigger: "t", ReceivedAt: received, Payload: map[string]any{"uuid": "u-1", "text": text}})
		for _, p := range plan.Problems {
			if whole, _ := json.Marshal(p); strings.Contains(string(whole), "s3cret") {
				t.Fatalf("a secret in %s", whole)
			}
		}
		for _, a := range plan.Actions() {
			if strings.Contains(string(a.Args), "s3cret") {
				t.Fatalf("a secret in %s", a.Args)
			}
			var got sent
			if err := json.Unmarshal(a.Args, &got); err != nil {
				t.Fatal(err)
			}
			want := [][]string{{"ALERT_URL"}, nil, {"TOKEN"}, {"ALERT_KEY"}}
			if diff := cmp.Diff(want, [][]string{envOf(got.URL), envOf(got.Headers["X-A"]), envOf(got.Headers["X-B"]), envOf(got.Sign)}); diff != "" {
				t.Errorf("%q: other secrets than the rule names: %s", text, diff)
			}
			for name, h := range got.Headers {
				if strings.ContainsFunc(h.String(), breaks) {
					t.Errorf("the header %s breaks its line: %q", name, h)
				}
			}
			address, err := got.URL.Reveal(set.Env)
			if err != nil || !strings.HasPrefix(address.Reveal(), "https://hooks.example/T1/s3cret/") {
				t.Errorf("it goes to %q (%v)", address.Reveal(), err)
			}
		}
	})
}

// TestEnv: a set knows the values of what its sends name, as they were when it was
// loaded, and no others.
func TestEnv(t *testing.T) {
	values := map[string]string{"URL": " https://a.example/\n", "TOKEN": "t", "OTHER": "o", "LEFT": "", "SPARE": "s"}
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(`
trigger: t
auth: {bearer: "${env.TOKEN}"}
rules:
  - {name: a, do: [{send: {url: "${env.URL}"}}]}
  - {name: b, needs: LEFT, do: [{send: {url: "${env.LEFT}", headers: {X-A: "${env.SPARE}"}}}]}
`)}}, "rules", func(name string) string { return values[name] })
	if err != nil {
		t.Fatal(err)
	}
	values["URL"] = "https://b.example/"
	for name, want := range map[string]string{"URL": "https://a.example/", "TOKEN": "", "OTHER": "", "LEFT": "", "SPARE": "", "NONE": ""} {
		if got := set.Env(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if diff := cmp.Diff([]LeftOut{{"b", "rules/t.yaml:6:12", []string{"LEFT"}, false}}, set.LeftOut("t")); diff != "" {
		t.Error(diff)
	}
	if got := set.LeftOut("t")[0].String(); got != "b (LEFT is not set)" || set.Rules("t") != 1 || slices.Contains(set.RuleNames("t"), "b") {
		t.Errorf("%s, %d rules", got, set.Rules("t"))
	}
	if got := (LeftOut{Rule: "c", Missing: []string{"A", "B"}}).String(); got != "c (A and B are not set)" {
		t.Error(got)
	}
	if got := (LeftOut{Rule: "c", Missing: []string{"A"}, Grants: true}).String(); got != "c (A is not set; what it has given is taken back with the next message about each booking)" {
		t.Error(got)
	}
}

// TestPretend: whoever only plans needs no secret, and sees the rules that he wants to.
func TestPretend(t *testing.T) {
	fsys := fstest.MapFS{"t.yaml": {Data: []byte(secretive + `
  - name: alert
    needs: [ALERT_URL, ALERT_KEY]
    do:
      - send: {url: "${env.ALERT_URL}", sign: "${env.ALERT_KEY}", headers: {X-A: "${env.ALERT_KEY}"}}
`)}}
	for _, tt := range []struct {
		has  func(string) bool
		want []string
	}{
		{nil, []string{"r", "alert"}},
		{func(name string) bool { return name == "ALERT_KEY" }, []string{"r"}},
	} {
		set, err := Pretend(fsys, "rules", tt.has)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, set.RuleNames("t")); diff != "" {
			t.Error(diff)
		}
	}
}

// TestPassedOn: the whole event goes on as it came in.
func TestPassedOn(t *testing.T) {
	set := loaded(t, "trigger: t\nauth: {none: true}\nrules: [{name: r, do: [{send: {url: \"https://a.example/\", json: \"${payload}\"}}]}]\n")
	rapid.Check(t, func(t *rapid.T) {
		var draw func(depth int) any
		draw = func(depth int) any {
			switch rapid.IntRange(0, 5+2*min(depth, 1)).Draw(t, "kind") {
			case 0:
				return nil
			case 1:
				return rapid.Bool().Draw(t, "bool")
			case 2:
				return rapid.Int().Draw(t, "int")
			case 3:
				return rapid.Float64().Draw(t, "float")
			case 4, 5:
				return rapid.String().Draw(t, "text")
			case 6:
				list := []any{}
				for range rapid.IntRange(0, 3).Draw(t, "length") {
					list = append(list, draw(depth-1))
				}
				return list
			}
			m := map[string]any{}
			for range rapid.IntRange(0, 3).Draw(t, "fields") {
				m[rapid.String().Draw(t, "name")] = draw(depth - 1)
			}
			return m
		}
		payload := draw(3)
		want, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		p := set.Plan(relay.Event{ID: "e", Trigger: "t", ReceivedAt: received, Payload: payload})
		if len(p.Problems) > 0 {
			t.Fatal(p.Problems)
		}
		var got struct {
			JSON json.RawMessage `json:"json"`
		}
		if err := json.Unmarshal(p.Actions()[0].Args, &got); err != nil || string(got.JSON) != string(want) {
			t.Errorf("%s, want %s (%v)", got.JSON, want, err)
		}
	})
}

// TestSendsAreBounded: all that an event sends is counted.
func TestSendsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("trigger: t\nfrom: kisi\nauth: {bearer: \"${env.TOKEN}\"}\nrules:\n")
	for i := range 60 {
		fmt.Fprintf(&b, "  - {name: r%d, do: [{send: {url: \"https://a.example/\", text: \"${%s}\"}}]}\n", i, []string{"payload.long", "person.x"}[i%2])
	}
	set := loaded(t, b.String())
	long := map[string]any{"long": strings.Repeat("a", 200<<10), "uuid": "u-1", "actor_type": "User", "actor_id": 1}
	p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: long})
	kept := 0
	for _, a := range p.Actions() {
		kept += len(a.Args)
		if a.Later != nil {
			kept += len(a.Later.Event)
		}
	}
	if kept < 1<<20 || kept > 5<<20 || len(p.Problems) == 0 || !strings.Contains(p.Problems[0].Message, "more work") {
		t.Errorf("%d bytes are kept; %v", kept, p.Problems)
	}
	long["long"] = strings.Repeat("a", 300<<10)
	p = set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: long})
	if len(p.Problems) != 60 || !strings.Contains(p.Problems[0].Message, "no more than 262144 are sent") || !strings.Contains(p.Problems[1].Message, "keeps no more than 262144") {
		t.Errorf("%d problems: %v", len(p.Problems), p.Problems)
	}
}

// TestUsersAreNoDoors: the id of a user is none of a lock or a group.
func TestUsersAreNoDoors(t *testing.T) {
	set := loaded(t, "trigger: t\nauth: {none: true}\nrules: [{name: r, do: [{role_assignment: {group_id: 5, user_id: 7}}]}]\n")
	if uses := set.Uses(); len(uses) != 1 || uses[0].String() != "group 5" || uses[0].For != relay.RoleAssignment {
		t.Errorf("%v", uses)
	}
	if !set.Asks(relay.RoleAssignment, "user_id") || set.Asks(relay.RoleAssignment, "email") || set.Asks(relay.Send, "") {
		t.Error("it asks for something else")
	}
}
