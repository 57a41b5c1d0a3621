package app

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/intake"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

// TestOwnTriggerIsAnnounced starts a doorhook with rules for what happens to itself, of
// which one is left out.
func TestOwnTriggerIsAnnounced(t *testing.T) {
	var log bytes.Buffer
	_, s := askFake(t, kisifake.Options{})
	s.Rules = fstest.MapFS{
		"a.yaml": {Data: []byte("trigger: a\nauth: {none: true}\nrules:\n  - {name: link, needs: [SPARE], do: [{group_link: {group_id: 1}}]}\n")},
		"d.yaml": {Data: []byte("trigger: doorhook\nrules:\n  - {name: alert, needs: [ALERT_URL], do: [{send: {url: \"${env.ALERT_URL}\"}}]}\n")},
	}
	s.RulesDir, s.Listen, s.Log, s.Getenv = "rules", "127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)), func(string) string { return "" }
	a, err := New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`level=INFO msg="this rule is left out: what it needs is not set" trigger=doorhook rule=alert not_set=ALERT_URL`,
		`level=WARN msg="this rule is left out: what it needs is not set; what it has given is taken back with the next message about each booking" trigger=a rule=link not_set=SPARE`,
		`level=INFO msg=trigger url="none: it tells of what happens to doorhook itself" rules=0`,
		`level=WARN msg="anybody may call this trigger: its auth is none" trigger=a`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("not logged: %s", want)
		}
	}
	if strings.Contains(log.String(), "/hooks/doorhook") || strings.Count(log.String(), "level=WARN msg=\"anybody") != 1 {
		t.Error("it is announced as one that can be called")
	}
	if t.Failed() {
		t.Log(log.String())
	}
	if c, _ := s.examineRules(); c.Health != relay.Doubt || !strings.Contains(c.Advice, "may call a:") {
		t.Errorf("%+v", c)
	}
}

// TestLaterReadsBack fills a send from the event that is kept with it, as intake reads
// that again.
func TestLaterReadsBack(t *testing.T) {
	set, err := rules.Load(fstest.MapFS{"k.yaml": {Data: []byte(`
trigger: k
from: kisi
auth: {bearer: "${env.TOKEN}"}
rules:
  - name: tell
    do:
      - send: {url: "https://a.example/", json: {who: "${person.email}", all: "${payload}", n: "${payload.actor_id + 1}", q: "${query.a}", h: "${headers}", t: "${now()}"}}
`)}}, "rules", func(string) string { return "token" })
	if err != nil {
		t.Fatal(err)
	}
	body := `{"uuid": "u-1", "type": "lock.unlock", "actor_type": "User", "actor_id": 12345678901234567, "object_type": "Lock", "object_id": 5, "f": 1.5, "list": [{"a__b": null}], "created_at": "2026-11-22T15:59:30Z"}`
	at := time.Date(2026, 11, 22, 16, 0, 0, 123456789, time.UTC)
	tr, _ := set.Trigger("k")
	tr.From = "json" // whichever reads it, this is about what becomes of it then
	ev, err := intake.Event(intake.Request{
		Trigger: "k", Method: "POST", ContentType: "application/json", Body: []byte(body),
		Header: map[string][]string{"X-A": {"b"}}, Query: url.Values{"a": {"1"}},
	}, tr, "evt_1", at)
	if err != nil {
		t.Fatal(err)
	}
	a := set.Plan(ev).Actions()[0]
	kept, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var read relay.Action
	if err := json.Unmarshal(kept, &read); err != nil {
		t.Fatal(err)
	}
	again, err := intake.EventOf(read.Later.Event)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ev, again); diff != "" {
		t.Errorf("another event is read back: %s", diff)
	}
	p := &relay.Person{ID: read.Later.User, Email: "jo@example.com"}
	first, err := set.Fill(a, ev, p)
	if err != nil {
		t.Fatal(err)
	}
	second, err := set.Fill(read, again, p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(first.Args), string(second.Args)); diff != "" || !strings.Contains(string(first.Args), "12345678901234568") {
		t.Errorf("%s\n%s", first.Args, diff)
	}
}
