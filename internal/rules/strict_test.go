package rules

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestStrict is about a file that is no rule file and is read like one.
func TestStrict(t *testing.T) {
	const text = "name: [a, b]\nnme: x\nlist:\n  - 1\n"
	s, root := ReadStrict("rules", "x_test.yaml", []byte(text), "a thing", "name:")
	keys := map[string]Entry{}
	for _, e := range s.Entries(root, "a thing", []string{"name", "list"}) {
		keys[e.Name] = e
	}
	if _, ok := s.Text(keys["name"].Node, "name"); ok {
		t.Error("a list was taken for a text")
	}
	if items := s.Items(keys["list"].Node, "list"); len(items) != 1 {
		t.Errorf("got %d items", len(items))
	}
	s.Errorf(keys["list"].Key, "no %s", "good")
	want := `rules/x_test.yaml:1:7: name takes text here
    name: [a, b]
          ^
rules/x_test.yaml:2:1: a thing has no key "nme"; did you mean "name"?
    nme: x
    ^
rules/x_test.yaml:3:1: no good
    list:
    ^`
	if d := cmp.Diff(want, s.Errors().Error()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for text, want := range map[string]string{"": "the file is empty", "- a": "a thing is a list of keys with values, such as name:"} {
		s, root := ReadStrict("rules", "x.yaml", []byte(text), "a thing", "name:")
		if got := s.Errors(); root != nil || len(got) != 1 || got[0].Message != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// TestLiterals is about what a rule file is written with, wherever it stands.
func TestLiterals(t *testing.T) {
	set, err := Load(fstest.MapFS{
		"shared.yaml": {Data: []byte("tables: {rooms: {Studio A: {lock: 3, also: [Blue]}}}\n")},
		"x.yaml": {Data: []byte(`trigger: x
auth: {bearer: "${env.SECRET}"}
id: payload["the id"]
booking: payload.bookingId
cancelled: payload.status == "gone"
tables: {own: {a: b}}
let:
  where: rooms[payload.room ?? "Hall"]
respond: {said: "It is ${payload.said}", list: [plain, "${upper('x')}"]}
rules:
  - name: first rule
    when: headers["X-Loud"] matches "^ye[sp]$"
    each: payload.spaces
    let: {inner: 'each + "tail"'}
    at: time("2026-12-01T10:00:00Z")
    expires: ${duration("5m")}
    do: [{group_link: {group_id: 7, email: "desk@venue.example", name: "For ${payload.who}"}}]
  - name: second rule
    do: [{unlock: {lock_id: 3}}]
`)},
	}, "rules", func(string) string { return "s3cret" })
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(set.RuleNames("x"), ", "); got != "first rule, second rule" {
		t.Errorf("got %s", got)
	}
	want := append(strings.Fields("2026-12-01T10:00:00Z 5m Blue Hall X-Loud ^ye[sp]$ a also b bookingId desk@venue.example gone lock plain room said spaces status tail who x"), "Studio A", "the id")
	got := slices.Sorted(maps.Keys(set.Literals("x")))
	for _, text := range want {
		if !slices.Contains(got, text) {
			t.Errorf("%q is missing", text)
		}
	}
	if slices.ContainsFunc(got, func(text string) bool { return text == "" || strings.Contains(text, "s3cret") }) {
		t.Errorf("got %q", got)
	}
}
