package action

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"testing"

	"doorhook/internal/relay"
)

const (
	briefly = "HTTP/1.1 204 No Content\r\n\r\n"
	gladly  = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"success\":true}"
)

// thrifty is the address of a receiver that costs next to nothing: it answers always the
// same, and reads no more of a request than where it ends.
func thrifty(tb testing.TB, answer string) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(c, answer)
		}
	}()
	return ln.Addr().String()
}

func answerAll(c net.Conn, answer string) {
	defer c.Close()
	buf, have := make([]byte, 64<<10), 0
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		head, _, ok := bytes.Cut(buf[:have], []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		length := 0
		if _, after, ok := bytes.Cut(head, []byte("Content-Length: ")); ok {
			digits, _, _ := bytes.Cut(after, []byte("\r\n"))
			length, _ = strconv.Atoi(string(digits))
		}
		if have < len(head)+4+length {
			continue
		}
		have = 0
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// BenchmarkSend sends an event of Kisi's over the loopback interface.
func BenchmarkSend(b *testing.B) {
	event := map[string]any{
		"id": "0d4ab9a2-7e5c-4b59-a7d6-0a4f3f9a3b7e", "type": "lock.unlock", "success": true, "created_at": "2026-11-22T17:00:00Z",
		"actor_type": "User", "actor_id": 4711, "actor_name": "Ada Lovelace", "actor_email": "ada@example.com", "object_type": "Lock",
		"object_id": 22281, "object_name": "Front door", "action": "unlock", "message": "Ada Lovelace unlocked Front door",
		"references": []map[string]any{{"type": "Place", "id": 1, "name": "Berlin"}, {"type": "Lock", "id": 22281, "name": "Front door"}},
	}
	for _, c := range []struct {
		name, answer string
		secret       bool
	}{
		{"to an open address", briefly, false},
		{"to a secret address", briefly, true},
		{"to a secret address that says something", gladly, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			url := "http://" + thrifty(b, c.answer) + "/hooks/T0123456789/abcdefgh"
			var to any = url
			if c.secret {
				to = secret("SINK_URL")
			}
			d := doerWith(local(map[string]string{"SINK_URL": url}))
			a := sending(map[string]any{"url": to, "json": event})
			b.ReportAllocs()
			for b.Loop() {
				if out := d.Create(b.Context(), a); out.Verdict != relay.OK {
					b.Fatal(out.Err)
				}
			}
		})
	}
}
