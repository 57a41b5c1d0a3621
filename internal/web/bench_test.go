package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"
	rulefiles "doorhook/internal/rules"
)

// benchConn is a connection on which the same request comes again and again, for as long as
// a benchmark lasts, and whose answers nobody reads.
type benchConn struct {
	b       *testing.B
	request []byte
	answer  []byte
}

func (c *benchConn) Read(p []byte) (int, error) {
	if !c.b.Loop() {
		return 0, io.EOF
	}
	return copy(p, c.request), nil
}

func (c *benchConn) Write(p []byte) (int, error) {
	if c.answer == nil {
		c.answer = append(c.answer, p...)
	}
	return len(p), nil
}

func (c *benchConn) Close() error        { return nil }
func (c *benchConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (c *benchConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *benchConn) SetDeadline(time.Time) error      { return nil }
func (c *benchConn) SetReadDeadline(time.Time) error  { return nil }
func (c *benchConn) SetWriteDeadline(time.Time) error { return nil }

// writes is a store that does no more than write the event down, as every store has to.
type writes struct{}

func (writes) Accept(_ context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	_, err := ev.JSON()
	return relay.Receipt{Status: relay.Accepted, JobID: relay.JobID(ev, p), EventID: ev.ID, Changes: 1}, err
}

func (writes) Job(context.Context, string) (relay.Job, bool, error) { return relay.Job{}, false, nil }

func (writes) Now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// nowhere is where the log goes: its lines are made, as in the process.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

const benchKey = "bench-webhook-key"

// BenchmarkHook answers requests as the process does, all but the network and the store:
// an event of Kisi's of which nothing is asked, one that is handed on, bookings, and
// somebody who has no business here. Fiber alone, in the same way, is the floor.
func BenchmarkHook(b *testing.B) {
	dir := fstest.MapFS{}
	for _, name := range []string{"skedda.yaml", "studio-hire.yaml"} {
		text, err := os.ReadFile("../../rules/" + name)
		if err != nil {
			b.Fatal(err)
		}
		dir[name] = &fstest.MapFile{Data: text}
	}
	for name, success := range map[string]string{"nothing": "false", "send": "true"} {
		dir[name+".yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, `
trigger: %s
from: kisi
auth: [{hmac: "kisi:${env.DOORHOOK_TOKEN}"}]
rules: [{name: hand on, when: payload.type == "lock.unlock" && payload.success == %s, do: [{send: {url: "https://example.com/hook", json: "${payload}"}}]}]
`, name, success)}
	}
	set, err := rulefiles.Load(dir, "rules", func(string) string { return benchKey })
	if err != nil {
		b.Fatal(err)
	}
	const kisi = `{"uuid":"5c9b4f6e-1763831234-17","actor_type":null,"actor_id":null,"actor_name":null,"object_type":"Lock","object_id":22290,"object_name":"Front door","organization_id":3,"place_id":5,"success":true,"type":"lock.unlock","error_code":null,"error_message":null,"created_at":"2026-03-01T11:59:59Z"}`
	const booking = `{"event_id":"e1","booking_id":97088432,"updated_at":"2026-02-28T15:59:00Z","status":"confirmed","space":"Studio A","start":"2026-03-02T08:00:00","end":"2026-03-02T09:00:00","email":"jo@example.com","name":"Jo Doe","notes":null}`
	mac := hmac.New(sha256.New, []byte(benchKey))
	mac.Write([]byte(kisi))
	signature := "X-Signature: sha256=" + hex.EncodeToString(mac.Sum(nil))
	const token = "Authorization: Bearer " + benchKey
	var many, fields strings.Builder
	for i := range 900 { // as much as the server reads
		fmt.Fprintf(&many, "X-%d: %%25\r\n", i)
		fmt.Fprintf(&fields, "&%d=%%25", i)
	}
	for _, c := range []struct{ name, path, header, body, want string }{
		{"nothing", "/hooks/nothing", signature, kisi, "200"},
		{"send", "/hooks/send", signature, kisi, "200"},
		{"skedda", "/hooks/skedda", token, booking, "200"},
		{"studio-hire", "/hooks/studio-hire", token, booking, "200"},
		{"refused", "/hooks/nothing", "X-Signature: sha256=" + hex.EncodeToString(make([]byte, 32)), kisi, "401"},
		{"refused, many headers", "/hooks/nothing", many.String() + "X-Signature: sha256=00", kisi, "401"},
		{"refused, many fields", "/hooks/nothing?" + fields.String(), "X-Signature: sha256=00", kisi, "401"},
		{"many headers", "/hooks/nothing", many.String() + signature, kisi, "200"},
		{"many fields", "/hooks/skedda?" + fields.String(), token, booking, "200"},
		{"floor", "/livez", "", "", "200"},
	} {
		b.Run(c.name, func(b *testing.B) {
			log := slog.New(slog.NewJSONHandler(nowhere{}, nil))
			s := New(intake.New(set, writes{}, intake.Options{}), &office{}, isReady, Options{Log: log})
			s.app.Handler() // which sets it up
			method, header := "POST", c.header+"\r\n"
			if c.body == "" {
				method, header = "GET", ""
			}
			conn := &benchConn{b: b, request: fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: fasthttp\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
				method, c.path, header, len(c.body), c.body)}
			b.ReportAllocs()
			if err := s.app.Server().ServeConn(conn); err != nil {
				b.Fatal(err)
			}
			if got := string(conn.answer[:min(len(conn.answer), len("HTTP/1.1 200"))]); got != "HTTP/1.1 "+c.want {
				b.Fatalf("%s", conn.answer)
			}
		})
	}
}
