package intake

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

// loaded are the rules of one file.
func loaded(t *testing.T, file string) *rules.Set {
	t.Helper()
	set, err := rules.Load(fstest.MapFS{"a.yaml": {Data: []byte(file)}}, "rules", func(name string) string {
		return map[string]string{"KEY": signatureSecret, "TOKEN": "s3cret", "HOOK": "h00k-s3cret-path"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const kisiRules = `trigger: kisi
from: kisi
auth:
  - hmac: kisi:${env.KEY}
rules:
  - name: front too
    when: payload.type == "lock.unlock" && payload.success
    do: [{unlock: {lock_id: "${payload.object_id}"}}]
`

func kisiRequest(body string) Request {
	return Request{Trigger: "kisi", Method: "POST", ContentType: "application/json", Body: []byte(body), Header: http.Header{"X-Signature": {hexMAC(signatureSecret, body)}}}
}

func TestKisiEvent(t *testing.T) {
	whole, err := os.ReadFile("testdata/kisi-event.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, body string
		at         time.Time // when it is counted as received; noon if zero
		id         string
		fields     dict // that the payload has
	}{
		{
			name: "of the webhook, long ago", body: string(whole), at: time.Date(2022, 10, 6, 13, 49, 35, 0, time.UTC), id: "d7cf0237-a492-4e5d-b20c-f58fc3ef4eff",
			fields: dict{"object_type": "Lock", "object_id": 123, "error_code": nil},
		},
		{name: "little", body: `{"uuid":"u","type":"lock.unlock"}`, id: "u", fields: dict{"type": "lock.unlock"}},
		{name: "all of it null", body: `{"uuid":"u","type":"t","object":null,"success":null,"created_at":null}`, id: "u", fields: dict{"created_at": nil}},
		{name: "a minute ago", body: `{"uuid":"u","created_at":"2026-03-01T12:59:00.5+01:00"}`, id: "u", at: noon.Add(-59500 * time.Millisecond)},
		{name: "in an hour", body: `{"uuid":"u","created_at":"2026-03-01T13:00:00Z"}`, id: "u"},
		{name: "a uuid with space around it", body: `{"uuid":" u "}`, id: "u"},
		{name: "a uuid of space", body: `{"uuid":"  "}`, id: "evt_drawn"},
		{name: "a uuid that is too long", body: `{"uuid":"` + strings.Repeat("u", 1025) + `"}`, id: "evt_drawn"},
		{name: "at no time", body: `{"uuid":"u","created_at":"yesterday"}`, id: "u"},
		{
			name: "of an event set", id: "u",
			body:   `{"uuid":"u","object":{"id":12345678901234567,"type":"Lock","name":"Front"},"success":false,"code":"abc","message":"no","unknown":[{"a__b":1}]}`,
			fields: dict{"object_type": "Lock", "object_id": 12345678901234567, "object_name": "Front", "error_code": "abc", "error_message": "no", "unknown": []any{dict{"a__b": 1}}},
		},
		{
			name: "flat fields stay", id: "u",
			body:   `{"uuid":"u","object":{"id":2,"resource_type":"Lock","name":"B"},"object_id":1,"object_name":null,"success":false,"code":"abc","error_code":"x"}`,
			fields: dict{"object_type": "Lock", "object_id": 1, "object_name": "B", "error_code": "x"},
		},
		{name: "no error where it went well", id: "u", body: `{"uuid":"u","success":true,"code":"abc","message":"fine"}`, fields: dict{"error_code": nil}},
		{name: "under another content type", id: "u", body: `{"uuid":"u"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := kisiRequest(tt.body)
			req.ContentType = strings.Repeat("text/xml", strings.Count(tt.name, "another"))
			ev, err := Event(req, relay.Trigger{Name: "kisi", From: "kisi"}, "evt_drawn", noon)
			if err != nil {
				t.Fatal(err)
			}
			want := noon
			if !tt.at.IsZero() {
				want = tt.at
			}
			if ev.ID != tt.id || !ev.ReceivedAt.Equal(want) {
				t.Errorf("%s at %s", ev.ID, ev.ReceivedAt)
			}
			for name, want := range tt.fields {
				if diff := cmp.Diff(want, ev.Payload.(dict)[name]); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		})
	}
	for _, body := range []string{"", " ", "[]", `[{"uuid":"u"}]`, "1", `{"uuid":`, "null"} {
		_, err := Event(kisiRequest(body), relay.Trigger{From: "kisi"}, "e", noon)
		if e, ok := errors.AsType[*UnreadableError](err); !ok {
			t.Errorf("%q: %v", body, e)
		}
	}
}

// TestKisiIsAnswered200: Kisi gives a webhook up that answers with errors.
func TestKisiIsAnswered200(t *testing.T) {
	const now = `"created_at":"2026-03-01T11:59:50Z"`
	for _, tt := range []struct {
		name, more, body string
		want             string
		accepted         int
	}{
		{name: "an unlock", body: `{"uuid":"u","type":"lock.unlock","success":true,"object_id":7,` + now + `}`, want: `{"status":"accepted","event_id":"u","job_id":"kisi:event:u","rules":"front too","actions":1}`, accepted: 1},
		{
			name: "an unlock two minutes ago", body: `{"uuid":"u","type":"lock.unlock","success":true,"object_id":7,"created_at":"2026-03-01T11:58:00Z"}`, accepted: 1,
			want: `{"status":"accepted","event_id":"u","job_id":"kisi:event:u","rules":"front too","actions":1,"error":"front too: its time is over; nothing will be sent"}`,
		},
		{name: "as old as is known", body: `{"uuid":"u","type":"x","created_at":"2026-02-22T12:00:00Z"}`, want: `{"status":"accepted","event_id":"u","job_id":"kisi:event:u","actions":0}`, accepted: 1},
		{name: "too old to know", body: `{"uuid":"u","type":"x","created_at":"2026-02-22T11:59:59Z"}`, want: `{"status":"stale","event_id":"u","actions":0}`},
		{name: "no uuid", body: `{"type":"x"}`, want: `{"status":"failed","event_id":"evt_drawn","actions":0,"error":"rules/a.yaml:2:7: this is no event of Kisi's: it has no uuid, and so could be taken twice"}`, accepted: 1},
		{name: "a uuid that is none", body: `{"uuid":{}}`, want: `{"status":"failed","event_id":"evt_drawn","actions":0,"error":"rules/a.yaml:2:7: this is no event of Kisi's: it has no uuid, and so could be taken twice"}`, accepted: 1},
		{
			name: "a cancellation of nothing", more: "booking: payload.b\ncancelled: payload.gone\n", body: `{"uuid":"u","gone":true}`, accepted: 1,
			want: `{"status":"failed","event_id":"u","actions":0,"error":"a cancellation needs a booking"}`,
		},
		{
			name: "all rules fail", body: `{"uuid":"u","type":"lock.unlock","success":true}`, accepted: 1,
			want: `{"status":"failed","event_id":"u","actions":0,"error":"rule \"front too\": `,
		},
		{name: "an id of its own", more: "id: payload.object_id\n", body: `{"type":"x","object_id":5}`, want: `{"status":"accepted","event_id":"5","job_id":"kisi:event:5","actions":0}`, accepted: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := &planner{}
			in := New(loaded(t, kisiRules+tt.more), store, options())
			a, err := in.Receive(t.Context(), kisiRequest(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := encode(t, a); !strings.HasPrefix(got, tt.want) || len(store.accepted) != tt.accepted {
				t.Errorf("%d accepted; got %s", len(store.accepted), got)
			}
			again, err := in.Take(t.Context(), "kisi", json.RawMessage(tt.body)) // as catch-up has it
			if err != nil || encode(t, again) != encode(t, a) || len(store.accepted) != 2*tt.accepted {
				t.Errorf("taken: %v, %s", err, encode(t, again))
			}
		})
	}
	for body, want := range map[string]error{"{": &UnreadableError{}, "[]": &UnreadableError{}} {
		if _, err := New(loaded(t, kisiRules), &planner{}, options()).Receive(t.Context(), kisiRequest(body)); !isKind(err, want) {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := New(loaded(t, kisiRules), &planner{shelf{err: relay.ErrUnavailable}}, options()).Receive(t.Context(), kisiRequest(`{"type":"x"}`)); !errors.Is(err, relay.ErrUnavailable) {
		t.Errorf("without a store: %v", err)
	}
}

// planner is a shelf that says of a plan what the store says.
type planner struct{ shelf }

func (s *planner) Accept(ctx context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	r, err := s.shelf.Accept(ctx, ev, p)
	if p.Fatal && err == nil {
		r = relay.Receipt{Status: relay.Failed, EventID: ev.ID}
	}
	return r, err
}

// TestRefusedBurnsNothing: what came with a wrong signature is as if it never had.
func TestRefusedBurnsNothing(t *testing.T) {
	const body = `{"uuid":"u","type":"lock.unlock","success":true,"object_id":7}`
	for name, spoil := range map[string]func(*Request){
		"a wrong key":  func(r *Request) { r.Header["X-Signature"] = []string{hexMAC("wrong", body)} },
		"no signature": func(r *Request) { delete(r.Header, "X-Signature") },
		"a doubled signature": func(r *Request) {
			r.Header["X-Signature"] = append(r.Header["X-Signature"], r.Header["X-Signature"]...)
		},
		"another body":    func(r *Request) { r.Body = []byte(strings.Replace(body, "7", "8", 1)) },
		"another address": func(r *Request) { r.From = netip.MustParseAddr("203.0.113.8") },
	} {
		t.Run(name, func(t *testing.T) {
			store := &planner{}
			in := New(loaded(t, kisiRules+"allow_ip: [203.0.113.7]\n"), store, options())
			good := kisiRequest(body)
			good.From = netip.MustParseAddr("::ffff:203.0.113.7")
			bad := good
			bad.Header = http.Header{"X-Signature": good.Header["X-Signature"]}
			spoil(&bad)
			if _, err := in.Receive(t.Context(), bad); !errors.Is(err, ErrUnauthorized) && !errors.Is(err, ErrForbidden) {
				t.Errorf("it was not refused: %v", err)
			}
			if diff := cmp.Diff(map[string]int64{"kisi": 1}, in.Refused()); diff != "" || len(store.accepted) != 0 {
				t.Errorf("%d events accepted; refused %s", len(store.accepted), diff)
			}
			a, err := in.Receive(t.Context(), good)
			if err != nil || a.Status != relay.Accepted || len(store.accepted) != 1 {
				t.Errorf("afterwards: %v, %v", a, err)
			}
		})
	}
}

func TestRefusedCountsWhatThereIs(t *testing.T) {
	in := New(book{trigger: relay.Trigger{Name: "skedda"}}, &shelf{}, options())
	for range 3 {
		_, _ = in.Receive(t.Context(), Request{Trigger: "nobody"})
		_, _ = in.Receive(t.Context(), Request{Trigger: "skedda"})
		_, _ = in.Allow(Request{Trigger: "skedda"})
	}
	in.Refuse(Request{Trigger: "skedda"})
	in.Refuse(Request{Trigger: "nobody"})
	if diff := cmp.Diff(map[string]int64{"skedda": 4}, in.Refused()); diff != "" {
		t.Error(diff)
	}
}

func TestAllowedAddresses(t *testing.T) {
	rule := "trigger: skedda\nauth: {bearer: \"${env.TOKEN}\"}\nallow_ip: [203.0.113.0/24, 2001:db8::1]\n"
	in := New(loaded(t, rule), &shelf{}, options())
	for from, want := range map[string]error{
		"203.0.113.0": nil, "203.0.113.255": nil, "::ffff:203.0.113.9": nil, "2001:db8::1": nil,
		"203.0.114.0": ErrForbidden, "2001:db8::2": ErrForbidden, "127.0.0.1": ErrForbidden, "": ErrForbidden,
	} {
		req := jsonRequest("{}")
		req.From, _ = netip.ParseAddr(from)
		if _, err := in.Receive(t.Context(), req); want != nil && !errors.Is(err, want) || want == nil && !errors.Is(err, ErrUnauthorized) {
			t.Errorf("%s without a secret: %v", from, err)
		}
		req.Header = http.Header{"Authorization": {"Bearer s3cret"}}
		if _, err := in.Receive(t.Context(), req); !errors.Is(err, want) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

const aliasRules = `trigger: old
auth: [{alias: true}, {bearer: "${env.TOKEN}"}]
alias: /hooks/catch/${env.HOOK}/
id: payload.id
respond: {seen: "${payload}"}
rules:
  - name: front
    when: payload.open == "yes"
    do: [{unlock: {lock_id: "${payload.lock}"}}]
`

// TestAlias answers as Zapier does, whatever becomes of an event that is safe.
func TestAlias(t *testing.T) {
	const path = "/hooks/catch/h00k-s3cret-path"
	drawn := 0
	o := options()
	o.NewUUID = func() string { drawn++; return "5f3e0a6c-0000-4000-8000-00000000000" + string(rune('0'+drawn%10)) }
	ids := map[string]string{}
	for _, tt := range []struct {
		name, query, body string
		receipt           relay.Receipt
		accepted          int
	}{
		{name: "an event", body: `{"id":1,"open":"yes","lock":7}`, accepted: 1},
		{name: "again", body: `{"id":1}`, receipt: relay.Receipt{Status: relay.Duplicate}, accepted: 1},
		{name: "of no consequence", body: `{"id":2}`, receipt: relay.Receipt{Status: relay.Ignored}, accepted: 1},
		{name: "an old one", body: `{"id":3}`, receipt: relay.Receipt{Status: relay.Stale}, accepted: 1},
		{name: "rules that fail", body: `{"id":4,"open":"yes"}`, accepted: 1},
		{name: "what is no wish here", query: "dry_run=perhaps&wait=soon", body: `{"id":5}`, accepted: 1},
		{name: "in the address", query: "id=6", accepted: 1},
		{name: "nothing"},
		{name: "blank", body: " \r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := &planner{shelf{receipt: tt.receipt}}
			in := New(loaded(t, aliasRules), store, o)
			req := Request{Alias: path + strings.Repeat("/", len(tt.name)%2), Method: "POST", ContentType: "application/json", Body: []byte(tt.body)}
			req.Query, _ = url.ParseQuery(tt.query)
			req.Header = http.Header{"X-Original-Uri": {"https://doors.example" + path}, "X-Other": {"1"}}
			a, err := in.Receive(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			got := encode(t, a)
			var said struct{ ID, RequestID, Attempt, Status string }
			if err := json.Unmarshal([]byte(strings.ReplaceAll(got, "request_id", "requestid")), &said); err != nil {
				t.Fatal(err)
			}
			want := `{"id":"` + said.ID + `","request_id":"` + said.RequestID + `","attempt":"` + said.RequestID + `","status":"success"}`
			if got != want || said.RequestID == said.ID || len(said.ID) != 36 || a.Trigger != "old" {
				t.Errorf("got %s", got)
			}
			if len(store.accepted) != tt.accepted {
				t.Errorf("%d accepted", len(store.accepted))
			}
			for _, ev := range store.accepted {
				if other, again := ids[ev.ID]; again && other != said.ID {
					t.Errorf("a repeat is told %s, and the first %s", said.ID, other)
				}
				ids[ev.ID] = said.ID
				if text, _ := json.Marshal(ev); strings.Contains(string(text), "h00k") || !strings.Contains(string(text), "X-Other") {
					t.Errorf("kept %s", text)
				}
				if tt.query != "" && len(ev.Query) != len(req.Query) {
					t.Errorf("query %v", ev.Query)
				}
			}
		})
	}
	if len(ids) != 6 {
		t.Errorf("%d events", len(ids))
	}
}

func TestAliasRefuses(t *testing.T) {
	const path = "/hooks/catch/h00k-s3cret-path"
	signedOnly := strings.Replace(aliasRules, `{alias: true}, `, "", 1)
	for _, tt := range []struct {
		name, rules string
		req         Request
		down        bool
		want        error
	}{
		{"another path", aliasRules, Request{Alias: path + "x"}, false, ErrUnknownTrigger},
		{"an inner slash more", aliasRules, Request{Alias: path + "//"}, false, ErrUnknownTrigger},
		{"the name, without a secret", aliasRules, Request{Trigger: "old"}, false, ErrUnauthorized},
		{"the alias does not suffice", signedOnly, Request{Alias: path}, false, ErrUnauthorized},
		{"unreadable", aliasRules, Request{Alias: path, ContentType: "application/json", Body: []byte("{")}, false, &UnreadableError{}},
		{"no store", aliasRules, Request{Alias: path, ContentType: "application/json", Body: []byte("{}")}, true, relay.ErrUnavailable},
		{"another address", aliasRules + "allow_ip: [203.0.113.7]\n", Request{Alias: path}, false, ErrForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := &planner{}
			if tt.down {
				store.err = relay.ErrUnavailable
			}
			_, err := New(loaded(t, tt.rules), store, options()).Receive(t.Context(), tt.req)
			if !isKind(err, tt.want) || strings.Contains(err.Error(), "h00k") {
				t.Errorf("got %v", err)
			}
		})
	}
	named := Request{Alias: path, Header: http.Header{"Authorization": {"Bearer s3cret"}}}
	if _, err := New(loaded(t, signedOnly), &planner{}, options()).Receive(t.Context(), named); err != nil {
		t.Errorf("with the secret as well: %v", err)
	}
}

// TestCodeStep is a file that only answers: Zapier's inputData is all text, and comes as
// JSON or as a form.
func TestCodeStep(t *testing.T) {
	const file = `trigger: step
auth: {bearer: "${env.TOKEN}"}
timezone: Europe/Berlin
let: {start: time(payload.start)}
respond:
  lock_id: ${int(payload.room) + 1}
  opens: ${start - minutes(10)}
  who: ${email(payload.who)}
  bad: ${payload.none.at.all}
`
	want := `{"status":"ignored","event_id":"evt_drawn","actions":0,"lock_id":8,"opens":"2026-05-14T09:50:00+02:00","who":"a@b.example","bad":null}`
	for contentType, body := range map[string]string{
		"application/json": `{"room":"7","start":"2026-05-14 10:00","who":"Ann <a@b.example>"}`,
		formType:           url.Values{"room": {"7"}, "start": {"2026-05-14 10:00"}, "who": {"Ann <a@b.example>"}}.Encode(),
		xmlType:            "<room>7</room><start>2026-05-14 10:00</start><who>a@b.example</who>",
	} {
		store := &planner{shelf{receipt: relay.Receipt{Status: relay.Ignored}}}
		req := Request{Trigger: "step", ContentType: contentType, Body: []byte(body), Header: http.Header{"Authorization": {"Bearer s3cret"}}}
		a, err := New(loaded(t, file), store, options()).Receive(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if got := encode(t, a); got != want {
			t.Errorf("%s: %s", contentType, got)
		}
	}
}
