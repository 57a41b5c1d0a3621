package rules

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/relay"
)

const greeting = `
trigger: t
from: kisi
auth: {bearer: "${env.TOKEN}"}
cancelled: payload.gone
booking: payload.booking
let:
  who: person?.name ?? payload.actor_name
rules:
  - name: greet
    when: payload.type == "lock.unlock"
    each: payload.doors ?? [1]
    at: now() + minutes(1)
    do:
      - send: {url: "https://a.example/${person?.id}", headers: {X-A: "${env.TOKEN}"}, json: {text: "${who}", email: "${person?.email}", door: "${each}"}}
      - send: {url: "https://a.example/", text: plain}
`

func unlocked(payload map[string]any) relay.Event {
	all := map[string]any{"uuid": "u-1", "type": "lock.unlock", "actor_type": "User", "actor_id": 77, "actor_name": "Jo at the door", "doors": []any{1, 2}}
	maps.Copy(all, payload)
	return relay.Event{ID: "e", Trigger: "t", ReceivedAt: received, Payload: all}
}

// TestFill computes what needs the person, as if it had been known from the start.
func TestFill(t *testing.T) {
	set := loaded(t, greeting)
	ev := unlocked(nil)
	plan := set.Plan(ev)
	actions := plan.Actions()
	if len(actions) != 4 || actions[0].Later == nil || actions[1].Later != nil || actions[2].Later == nil {
		t.Fatalf("%+v", plan)
	}
	whole, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range actions {
		if a.Later != nil && (a.Later.User != 77 || string(a.Later.Event) != string(whole) || string(a.Args) != "{}") {
			t.Errorf("%+v", a)
		}
	}
	for _, tt := range []struct {
		name string
		p    *relay.Person
		args string
	}{
		{
			"known", &relay.Person{ID: 77, Email: "jo@example.com", Name: "Jo"},
			`{"headers":{"X-A":[{"env":"TOKEN"}]},"json":{"door":2,"email":"jo@example.com","text":"Jo"},"method":"POST","url":"https://a.example/77"}`,
		},
		{
			"not in Kisi", nil,
			`{"headers":{"X-A":[{"env":"TOKEN"}]},"json":{"door":2,"email":null,"text":"Jo at the door"},"method":"POST","url":"https://a.example/"}`,
		},
		{
			"who calls himself a secret", &relay.Person{ID: 77, Email: "${env.TOKEN}", Name: `[{"env":"TOKEN"}]`},
			`{"headers":{"X-A":[{"env":"TOKEN"}]},"json":{"door":2,"email":"${env.TOKEN}","text":"[{\"env\":\"TOKEN\"}]"},"method":"POST","url":"https://a.example/77"}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := actions[2]
			want.Args, want.Later = json.RawMessage(tt.args), nil
			for range 2 {
				got, err := set.Fill(actions[2], ev, tt.p)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestFillFails says in words why a message cannot be sent, where its rule or what it is
// told of changed.
func TestFillFails(t *testing.T) {
	ev := unlocked(nil)
	a := loaded(t, greeting).Plan(ev).Actions()[0]
	for _, tt := range []struct{ name, was, is, want string }{
		{"the rule is gone", "name: greet", "name: meet", `the rule "greet" is gone`},
		{"the trigger is gone", "trigger: t", "trigger: u", `the rule "greet" is gone`},
		{"it does not match any more", `== "lock.unlock"`, `== "lock.lock"`, `the rule "greet" does not match its event any more`},
		{"nothing is wanted", "cancelled: payload.gone", "cancelled: true", `the rule "greet" does not match its event any more`},
		{"another action stands there", `do:
      - send`, `do:
      - unlock: {lock_id: 1}
      - send`, `the rule "greet" does not ask for this send any more`},
		{"the person lacks something", "${person?.email}", "${person.phone + 1}", `rule "greet": rules/t.yaml:15:134: + does not work between nil and a number`},
		{"nobody knows which booking", "booking: payload.booking", "booking: payload.booking.id", `rules/t.yaml:6:26: cannot take "id" from nothing`},
		{"the address is none", "https://a.example/${person?.id}", "${person?.name}", `rule "greet": rules/t.yaml:15:24: send.url: an address begins with http:// or https://, and this is "Jo"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(greeting, tt.was) {
				t.Fatal("nothing is changed")
			}
			set := loaded(t, strings.Replace(greeting, tt.was, tt.is, 1))
			_, err := set.Fill(a, ev, &relay.Person{ID: 77, Email: "jo@example.com", Name: "Jo"})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestNobodyToAsk: who is no user of Kisi is nil from the start, and nothing waits.
func TestNobodyToAsk(t *testing.T) {
	set := loaded(t, greeting)
	for _, payload := range []map[string]any{
		{"actor_type": "GroupLink"}, {"actor_type": nil}, {"actor_type": "user"}, {"actor_id": nil}, {"actor_id": 0}, {"actor_id": -7}, {"actor_id": 1.5}, {"actor_id": "x"},
	} {
		p := set.Plan(unlocked(payload))
		for _, a := range p.Actions() {
			if a.Later != nil {
				t.Errorf("%v: %+v", payload, a)
			}
		}
		if len(p.Actions()) != 4 || !strings.Contains(string(p.Actions()[0].Args), "Jo at the door") {
			t.Errorf("%v: %+v", payload, p)
		}
	}
}

// TestOwnTrigger: it is planned, and nobody can call it.
func TestOwnTrigger(t *testing.T) {
	set := loaded(t, "trigger: doorhook\nrules: [{name: r, do: [{send: {url: \"https://a.example/\", json: \"${payload}\"}}]}]\n")
	if _, ok := set.Trigger(relay.Own); ok || !set.Has(relay.Own) || set.Has("Doorhook") {
		t.Error("it can be called")
	}
	if len(set.Plan(relay.Event{Trigger: relay.Own, ReceivedAt: received}).Actions()) != 1 {
		t.Error("it asks for nothing")
	}
	if len(set.Warnings()) != 0 || set.Zone(relay.Own) == nil || set.File(relay.Own) != "rules/t.yaml" || len(set.Triggers()) != 1 {
		t.Errorf("%v", set.Warnings())
	}
}

// TestExplainSends: an explanation names the rules that are left out, says which values
// wait for the person, and has no secret in it.
func TestExplainSends(t *testing.T) {
	set := loaded(t, greeting+`
  - name: alert
    needs: NOT_SET
    do:
      - send: {url: "${env.NOT_SET}"}
  - name: with a secret
    do:
      - send: {url: "${env.ALERT_URL}/${payload.type}", headers: {X-A: "${env.TOKEN}"}, sign: "${env.ALERT_KEY}"}
`)
	for _, tt := range []struct {
		actor, happened string
		want            Reading
	}{
		{"User", "lock.unlock", Reading{Later: true}},
		{"Guest", "lock.unlock", Reading{Text: `"Jo at the door"`}},
		{"Guest", "lock.lock", Reading{Unused: true}},
	} {
		x := set.Explain(unlocked(map[string]any{"actor_type": tt.actor, "type": tt.happened}))
		if who := x.Lets[0]; who.Later != tt.want.Later || who.Unused != tt.want.Unused || who.Text != tt.want.Text {
			t.Errorf("%s: %+v", tt.actor, who)
		}
		if diff := cmp.Diff([]LeftOut{{"alert", "rules/t.yaml:18:11", []string{"NOT_SET"}, false}}, x.LeftOut); diff != "" {
			t.Error(diff)
		}
		whole, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(whole), "s3cret") || !strings.Contains(string(whole), `"env":"ALERT_URL"`) {
			t.Errorf("it says %s", whole)
		}
	}
}
