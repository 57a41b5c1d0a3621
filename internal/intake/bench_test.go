package intake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"testing"
	"testing/fstest"

	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

const benchKey = "bench-webhook-key"

// benchRules are those that the benchmarks plan with: one that asks nothing of an event
// of Kisi's, one that hands it on, and the starter rules for bookings.
func benchRules(b *testing.B) *rules.Set {
	b.Helper()
	dir := fstest.MapFS{}
	for _, name := range []string{"skedda.yaml", "studio-hire.yaml"} {
		text, err := os.ReadFile("../../rules/" + name)
		if err != nil {
			b.Fatal(err)
		}
		dir[name] = &fstest.MapFile{Data: text}
	}
	const kisi = "\nfrom: kisi\nauth: [{hmac: \"kisi:${env.DOORHOOK_TOKEN}\"}]\nrules: [{name: hand on, when: payload.type == \"lock.unlock\" && payload.success == "
	for name, success := range map[string]string{"nothing": "false", "send": "true"} {
		dir[name+".yaml"] = &fstest.MapFile{Data: []byte("trigger: " + name + kisi + success +
			", do: [{send: {url: \"https://example.com/hook\", json: \"${payload}\"}}]}]\n")}
	}
	set, err := rules.Load(dir, "rules", func(string) string { return benchKey })
	if err != nil {
		b.Fatal(err)
	}
	return set
}

// writes is a store that does no more than write the event down, as every store has to.
type writes struct {
	*shelf
	b     *testing.B
	wants int // actions
}

func (w writes) Accept(_ context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	if _, err := ev.JSON(); err != nil || len(p.Problems) > 0 || len(p.Actions()) != w.wants {
		w.b.Fatalf("%v %+v", err, p)
	}
	return relay.Receipt{Status: relay.Accepted, JobID: relay.JobID(ev, p), EventID: ev.ID, Changes: 1}, nil
}

const (
	kisiBody    = `{"uuid":"5c9b4f6e-1763831234-17","actor_type":null,"actor_id":null,"actor_name":null,"object_type":"Lock","object_id":22290,"object_name":"Front door","organization_id":3,"place_id":5,"success":true,"type":"lock.unlock","error_code":null,"error_message":null,"created_at":"2026-03-01T11:59:59Z"}`
	bookingBody = `{"event_id":"e1","booking_id":97088432,"updated_at":"2026-02-28T15:59:00Z","status":"confirmed","space":"Studio A","start":"2026-03-02T08:00:00","end":"2026-03-02T09:00:00","email":"jo@example.com","name":"Jo Doe","notes":null}`
)

func benchSignature(body string) string {
	mac := hmac.New(sha256.New, []byte(benchKey))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// BenchmarkReceive takes in events, all but the store: an event of Kisi's of which
// nothing is asked, one that is handed on, and bookings.
func BenchmarkReceive(b *testing.B) {
	head := map[string][]string{"Host": {"doors.example.com"}, "User-Agent": {"Bench/1.0"}, "Content-Type": {"application/json"}, "Content-Length": {"321"}}
	set := benchRules(b)
	for _, c := range []struct {
		trigger, header, value, body string
		wants                        int
	}{
		{"nothing", "X-Signature", benchSignature(kisiBody), kisiBody, 0},
		{"send", "X-Signature", benchSignature(kisiBody), kisiBody, 1},
		{"skedda", "Authorization", "Bearer " + benchKey, bookingBody, 2},
		{"studio-hire", "Authorization", "Bearer " + benchKey, bookingBody, 1},
	} {
		b.Run(c.trigger, func(b *testing.B) {
			in := New(set, writes{&shelf{}, b, c.wants}, Options{})
			req := Request{Trigger: c.trigger, Method: "POST", ContentType: "application/json", Header: maps.Clone(head), Body: []byte(c.body)}
			req.Header[c.header] = []string{c.value}
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := in.Receive(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
