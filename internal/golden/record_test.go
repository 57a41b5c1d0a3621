package golden

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"doorhook/internal/relay"
)

func TestRedact(t *testing.T) {
	literals := map[string]bool{"Studio A": true, "desk@venue.example": true, "confirmed": true, "Private hire": true, "X-Room": true}
	for name, tt := range map[string]struct{ in, want string }{
		"ids, times and numbers stay": {
			`{"event_id":"evt-1","bookingId":97088432,"start":"2026-11-23T10:00:00-05:00","seats":4,"paid":true,"space":"Room 7","none":null,"price":12.5}`,
			`{"event_id":"evt-1","bookingId":97088432,"start":"2026-11-23T10:00:00-05:00","seats":4,"paid":true,"space":"Xxxx 1","none":null,"price":12.5}`,
		},
		"an address is the same person wherever it is": {
			`{"email":"Jo@Example.org","list":["sam.o'neill+x@mail.example.co.uk","a jo@example.org b"],"jo@example.org":1,"uid":"jo%40example.org"}`,
			`{"email":"person1@example.com","list":["person2@example.com","x person1@example.com x"],"person1@example.com":1,"uid":"person1@example.com"}`,
		},
		"what the rules are written with stays": {
			`{"name":"studio a","email":"desk@venue.example","holder":{"status":"x","state":"confirmed"},"title":"A Private hire of Jo's","note":"Private hires"}`,
			`{"name":"studio a","email":"desk@venue.example","holder":{"status":"x","state":"confirmed"},"title":"X Private hire xx Xx'x","note":"Xxxxxxx xxxxx"}`,
		},
		"names and free text keep their shape": {
			`{"first_name":"Jo","displayName":"Ünal Öz","attendees":[{"fullName":"Al 2","id":7}],"description":"Key at\nNo. 12","guests":"12","customer":{"since":"2026-01-02","street":"5 Elm St"}}`,
			`{"first_name":"Xx","displayName":"Xxxx Xx","attendees":[{"fullName":"Xx 1","id":7}],"description":"Xxx xx\nXx. 11","guests":"12","customer":{"since":"2026-01-02","street":"1 Xxx Xx"}}`,
		},
		"phone numbers": {
			`{"phone":"+12125550123","mobile_number":"(212) 555-0123","where":"call +49 30 1234567 or 212-555-0199","tel":12125550123,"at":"2026-11-23 10:00","cell":"none"}`,
			`{"phone":"+15555555502","mobile_number":"(555) 555-5501","where":"xxxx +45 55 5555503 xx 555-555-5504","tel":55555555502,"at":"2026-11-23 10:00","cell":"xxxx"}`,
		},
		"a text may speak of people under any key, in any language": {
			`{"Nom":"Dupont","Nachname":"Müller","correo":"x@y.example","téléphone":"06 12 34 56 78","telefono":600123456,"PLZ":"SW1A 1AA","booked_by":"Jane Doe","ip":"203.0.113.9","q":"Jane is ill"}`,
			`{"Nom":"Xxxxxx","Nachname":"Xxxxxx","correo":"person1@example.com","téléphone":"55 55 55 55 02","telefono":555555501,"PLZ":"XX1X 1XX","booked_by":"Xxxx Xxx","ip":"111.1.111.1","q":"Xxxx xx xxx"}`,
		},
		"a text may hold others": {
			`{"raw":"{\"name\":\"Jane Doe\",\"n\":\"5551234567\"}","invite":"zoom.example/j/1?pwd=abc","id":"Jane Doe","status":"ill, says Jane","Jane":{"id":"b-1"}}`,
			`{"raw":"{\"xxxx\":\"Xxxx Xxx\",\"x\":\"1111111111\"}","invite":"xxxx.xxxxxxx/x/1?xxx=xxx","id":"Xxxx Xxx","status":"xxx, xxxx Xxxx","Jane":{"id":"b-1"}}`,
		},
		"times stay however they are written, but birthdays": {
			`{"start":"11/23/2026 10:00 AM","due":"Mon, 23 Nov 2026 10:00 GMT","open":"9:30","last":"November 23, 2026","birthdate":"1990-05-01","customer":{"since":"2026-01-02"}}`,
			`{"start":"11/23/2026 10:00 AM","due":"Mon, 23 Nov 2026 10:00 GMT","open":"9:30","last":"November 23, 2026","birthdate":"1111-11-11","customer":{"since":"2026-01-02"}}`,
		},
		"codes and numbers for the phone are no numbers": {
			`{"access_code":4821,"door_code":"4821#","room_code":7,"phone":5551234567.5,"session":"abc"}`,
			`{"access_code":0,"door_code":"1111#","room_code":7,"phone":0,"session":"xxx"}`,
		},
		"secrets go, wherever they are": {
			`{"access_token":"abc-DEF1","apiKey":"k1","pin":4711,"auth":{"password":"Studio A"},"link":"https://jo:pw@host.example:8443/b/Ab1?key=s3cret#x see","a":"b"}`,
			`{"access_token":"xxx-XXX1","apiKey":"x1","pin":0,"auth":{"password":"Xxxxxx X"},"link":"https://host.example:8443/x/Xx1?xxx=x1xxxx#x xxx","a":"x"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := eventOf(relay.Record{Event: []byte(`{"payload":` + tt.in + `}`)})
			if err != nil {
				t.Fatal(err)
			}
			want, err := eventOf(relay.Record{Event: []byte(`{"payload":` + tt.want + `}`)})
			if err != nil {
				t.Fatal(err)
			}
			got := newRedactor(literals).event(ev).Payload
			if d := cmp.Diff(want.Payload, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestRedactHeaders(t *testing.T) {
	r := newRedactor(map[string]bool{"X-Room": true})
	got := r.event(relay.Event{
		Headers: map[string]any{"X-Room": "of jo@example.org", "X-Other": "x", "Content-Type": "application/json", "Idempotency-Key": "k1", "X-Forwarded-For": "192.0.2.1"},
		Query:   map[string]any{"name": "Jo", "room": []any{"a", "jo@example.org"}},
	})
	want := relay.Event{
		Headers: map[string]any{"X-Room": "xx person1@example.com", "Content-Type": "application/json", "Idempotency-Key": "x1"},
		Query:   map[string]any{"name": "Xx", "room": []any{"x", "person1@example.com"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

const recordRules = `trigger: x
timezone: UTC
auth: {none: true}
id: payload.id
booking: payload.booking
tables:
  rooms:
    Jo's Room: {lock: 3}
rules:
  - name: door
    when: payload.title contains "Rehearsal" || headers["X-Loud"] == "yes"
    do:
      - schedule: {lock_id: "${rooms[payload.name].lock}", starts_at: "${payload.start}", ends_at: "${time(payload.start) + hours(1)}"}
  - name: link
    when: payload.holder == "Sam"
    do:
      - group_link: {group_id: 7, email: "${email(payload.note)}", valid_until: "${time(payload.start) + hours(1)}"}
  - name: short
    when: len(payload.owner ?? "") == 3
    do:
      - unlock: {lock_id: 3}
  - name: loud
    when: payload.owner startsWith "Al"
    do:
      - unlock: {lock_id: 4}
`

func recorded(t *testing.T, payload string) relay.Record {
	t.Helper()
	event, err := json.Marshal(map[string]any{
		"id": "evt-7", "trigger": "x", "received_at": time.Date(2026, 12, 1, 9, 0, 0, 123456789, time.UTC),
		"payload": json.RawMessage(payload), "headers": map[string]any{"X-Loud": "yes", "User-Agent": "Sam's phone"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return relay.Record{EventID: "evt-7", Trigger: "x", Event: event}
}

func TestRecord(t *testing.T) {
	dir := folder(t, &txtar.Archive{Files: []txtar.File{{Name: "x.yaml", Data: []byte(recordRules)}}})
	const payload = `{"id":"evt-7","booking":12345678901234567,"name":"Jo's Room","title":"Rehearsal of Ann","holder":"Sam","note":"Ann <ann@home.example>, 4: +1 212 555 0123","start":"2026-12-01T10:00:00"}`
	first, err := load(t, dir).Record(t.Context(), recorded(t, payload), "")
	if err != nil {
		t.Fatal(err)
	}
	want := Recorded{File: dir + "/x_test.yaml", Line: 5, Name: "recorded evt-7", People: 1, Phones: 1, Texts: 2}
	if d := cmp.Diff(want, first); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	got := read(t, dir, "x_test.yaml")
	if d := cmp.Diff(recordedCase, got[:min(len(got), len(recordedCase))]); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}

	again, err := load(t, dir).Record(t.Context(), recorded(t, payload), "x_test.yaml")
	if err != nil || again.Name != "recorded evt-7 (2)" {
		t.Errorf("got %+v, %v", again, err)
	}
	if text := read(t, dir, "x_test.yaml"); !strings.HasPrefix(text, got) || strings.Contains(text, "Ann") {
		t.Errorf("got:\n%s", text)
	}
	for _, r := range load(t, dir).Run(t.Context(), nil) {
		if !r.OK() {
			t.Errorf("%s: %v %v", r.Name, r.Err, r.Differences)
		}
	}
}

const recordedCase = `# Cases of the rules beside them: doorhook test runs them.

trigger: x
cases:
  - name: recorded evt-7
    now: 2026-12-01T09:00:00.123456789Z
    headers:
      X-Loud: 'yes'
    payload:
      booking: 12345678901234567
      holder: Sam
      id: evt-7
      name: Jo's Room
      note: 'Xxx <person1@example.com>, 1: +1 555 555 5501'
      start: 2026-12-01T10:00:00
      title: Rehearsal xx Xxx
    want:
      answer:
        status: done
        event_id: evt-7
        job_id: x:booking:12345678901234567
        rules: door, link
`

// TestRecordOtherwise is about an event that the rules decide by what is replaced.
func TestRecordOtherwise(t *testing.T) {
	for name, tt := range map[string]struct {
		owner         string
		before, after string // of the rules
	}{
		"by its beginning": {"Alma", `"rules":"door, loud"`, `"rules":"door"`},
		"by its shape":     {"Ann", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, &txtar.Archive{Files: []txtar.File{{Name: "x.yaml", Data: []byte(recordRules)}}})
			got, err := load(t, dir).Record(t.Context(), recorded(t, `{"id":"evt-7","name":"Jo's Room","owner":"`+tt.owner+`","start":"2026-12-01T10:00:00"}`), "")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got.Before, tt.before) || !strings.Contains(got.After, tt.after) || (tt.before == "") != (got.Before == "") {
				t.Errorf("got %q and %q", got.Before, got.After)
			}
		})
	}
}

// TestRecordInto is about the files that a case can be added to.
func TestRecordInto(t *testing.T) {
	const payload = `{"id":"evt-7","name":"Jo's Room","start":"2026-12-01T10:00:00"}`
	for name, tt := range map[string]struct{ into, text, want string }{
		"another trigger's": {
			"all_test.yml", "# all\ntrigger: y\ncases:\n- name: a\n  payload: |\n    # text\n\n# the end\n",
			"# all\ntrigger: y\ncases:\n- name: a\n  payload: |\n    # text\n- name: recorded evt-7\n  trigger: x\n  now: ",
		},
		"an empty list": {"x_test.yaml", "trigger: x\ncases: []  # none\nnow: 2026-12-01T09:00:00Z\n", "trigger: x\ncases:\n  - name: recorded evt-7\n    now: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, &txtar.Archive{Files: []txtar.File{
				{Name: "x.yaml", Data: []byte(recordRules)},
				{Name: "y.yaml", Data: []byte("trigger: y\nauth: {none: true}\nrules: [{name: r, do: [{unlock: {lock_id: 1}}]}]\n")},
				{Name: tt.into, Data: []byte(strings.Replace(tt.text, "- name: a\n", "- name: a\n  now: 2026-12-01T09:00:00Z\n", 1))},
			}})
			if _, err := load(t, dir).Record(t.Context(), recorded(t, payload), tt.into); err != nil {
				t.Fatal(err)
			}
			got := strings.Replace(read(t, dir, tt.into), "- name: a\n  now: 2026-12-01T09:00:00Z\n", "- name: a\n", 1)
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got:\n%s", got)
			}
			load(t, dir)
		})
	}
}

// TestRecordRefuses is about what no case can be made of.
func TestRecordRefuses(t *testing.T) {
	whole := recorded(t, `{}`)
	other := whole
	other.Event = []byte(`{"trigger":"gone","payload":{}}`)
	for name, tt := range map[string]struct {
		kept       relay.Record
		into, want string
	}{
		"too large":          {relay.Record{EventID: "e", Size: 20000}, "", "the event e was too large to be kept (20000 bytes)"},
		"not kept":           {relay.Record{EventID: "e"}, "", "the event e is not kept"},
		"an unknown trigger": {other, "", `has the trigger "gone"`},
		"not a case file":    {whole, "x.yaml", "a name that ends in _test.yaml"},
		"another folder":     {whole, "sub/x_test.yaml", "without a folder"},
		"in brackets":        {whole, "in_test.yaml", "its cases stand within [ ]"},
	} {
		t.Run(name, func(t *testing.T) {
			const brackets = "trigger: x\ncases: [{name: a, now: 2026-12-01T09:00:00Z, payload: {}}]\n"
			dir := folder(t, &txtar.Archive{Files: []txtar.File{{Name: "x.yaml", Data: []byte(recordRules)}, {Name: "in_test.yaml", Data: []byte(brackets)}}})
			_, err := load(t, dir).Record(t.Context(), tt.kept, tt.into)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if read(t, dir, "in_test.yaml") != brackets {
				t.Error("it wrote")
			}
			if _, err := os.Stat(filepath.Join(dir, "x_test.yaml")); err == nil {
				t.Error("it wrote a file")
			}
		})
	}
}
