package kisi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
)

func TestRefusalsSayWhatToDo(t *testing.T) {
	start, end := morning()
	unlock := func(c *kisi.Client) error { return c.Unlock(t.Context(), lockA) }
	schedule := func(c *kisi.Client) error {
		_, err := c.CreateSchedule(t.Context(), studio(start, end))
		return err
	}
	link := func(c *kisi.Client) error {
		_, err := c.CreateGroupLink(t.Context(), kisi.GroupLink{GroupID: groupA, Name: "Door"})
		return err
	}
	for name, c := range map[string]struct {
		broken func(*kisifake.Server)
		do     func(*kisi.Client) error
		status int
		code   string
		want   []string
	}{
		"locked down": {
			func(s *kisifake.Server) { s.LockDown(lockA) }, unlock, 409, "fad001",
			[]string{"POST /locks/22281/unlock: Kisi answered 409 fad001: The door is currently locked down.", "lift the lockdown in Kisi"},
		},
		"offline": {
			func(s *kisifake.Server) { s.Offline(lockA) }, unlock, 503, "fac002",
			[]string{"the door's Kisi controller is offline: check its power and network"},
		},
		"may not unlock": {
			func(s *kisifake.Server) { s.Forbid(kisifake.DefaultKey, "locks_unlock") }, unlock, 403, "fcd8ef",
			[]string{"locks_unlock"},
		},
		"may not schedule": {
			func(s *kisifake.Server) { s.Forbid(kisifake.DefaultKey, "schedules_write") }, schedule, 403, "fcd8ef",
			[]string{"may not manage schedules", "schedules_write"},
		},
		"may not link": {
			func(s *kisifake.Server) { s.Forbid(kisifake.DefaultKey, "group_links_write") }, link, 403, "fcd8ef",
			[]string{"group_links_write"},
		},
		"revoked key": {
			func(s *kisifake.Server) { s.Revoke(kisifake.DefaultKey) }, schedule, 401, "afc496",
			[]string{"Kisi does not know this key", "My Account > API"},
		},
		"no such lock": {
			func(*kisifake.Server) {}, func(c *kisi.Client) error { return c.Unlock(t.Context(), 1) }, 404, "fad10e",
			[]string{"check the lock's id"},
		},
		"invalid": {func(*kisifake.Server) {}, func(c *kisi.Client) error {
			_, err := c.CreateSchedule(t.Context(), studio(end, start))
			return err
		}, 422, "", []string{"422: ends_at must be after starts_at", "correct what Kisi names"}},
		"too far": {
			fail(kisifake.Fault{Status: 403, Code: "a3995f", Reason: "You are too far away."}), unlock, 403, "a3995f",
			[]string{"403 a3995f: You are too far away.", "geofence"},
		},
		"too fast":       {fail(kisifake.Fault{Status: 429, RetryAfter: "7"}), unlock, 429, "", []string{"5 requests a second"}},
		"empty answer":   {fail(kisifake.Fault{Status: 503, Empty: true}), unlock, 503, "", []string{"503 (Service Unavailable)"}},
		"page of a wall": {fail(kisifake.Fault{Status: 502, Junk: true}), unlock, 502, "", []string{"502 (Bad Gateway)"}},
		"redirect":       {fail(kisifake.Fault{Status: 302}), unlock, 302, "", []string{"not Kisi's API: check the Kisi URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := site(t)
			c.broken(s)
			e := failure(t, c.do(client))
			if e.Status != c.status || e.Code != c.code || e.Unsent {
				t.Errorf("got %d %q, unsent %v", e.Status, e.Code, e.Unsent)
			}
			for _, want := range c.want {
				if !strings.Contains(e.Error(), want) {
					t.Errorf("%q does not say %q", e, want)
				}
			}
			if strings.Contains(e.Error(), "html") || strings.Contains(e.Error(), "\n") {
				t.Errorf("%q shows the answer", e)
			}
		})
	}
}

func fail(f kisifake.Fault) func(*kisifake.Server) {
	return func(s *kisifake.Server) { s.Fail(f) }
}

func TestRetryAfter(t *testing.T) {
	s, c := site(t)
	s.Fail(kisifake.Fault{Status: 429, RetryAfter: "7"})
	if e := failure(t, c.Unlock(t.Context(), lockA)); e.RetryAfter != 7*time.Second {
		t.Errorf("Retry-After is %s", e.RetryAfter)
	}
}

// A success that cannot be read leaves open what was done.
func TestJunkSuccess(t *testing.T) {
	start, end := morning()
	for name, body := range map[string]string{
		"empty": "", "html": "<html>", "null": "null", "other shape": "[1]", "no id": "{}",
		"id of another type": `{"id":"seven"}`, "time": `{"id":7,"starts_at":"hidden-soon"}`, "cut off": `{"id":7`,
		"too long": `{"id":7,"name":"` + strings.Repeat("x", 2<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
			_, err := c.CreateSchedule(t.Context(), studio(start, end))
			e := failure(t, err)
			if e.Status != 200 || e.Err == nil || e.Unsent {
				t.Errorf("got %+v", e)
			}
			if strings.Contains(e.Error(), "hidden") || strings.Contains(e.Error(), "kisi.Schedule") {
				t.Errorf("%q shows the answer or our types", e)
			}
		})
	}
}

func TestJunkAfterDeletion(t *testing.T) {
	for body, bad := range map[string]bool{"": false, `{"message":"ok"}`: false, "<html>": true} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		if err := c.DeleteSchedule(t.Context(), 1); (err != nil) != bad {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestNoContentWithBody(t *testing.T) {
	c := raw(t, "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\njunk")
	if err := c.DeleteSchedule(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// A connection that breaks within the answer is not a refusal.
func TestAnswerCutOff(t *testing.T) {
	c := raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"id\":7")
	start, end := morning()
	_, err := c.CreateSchedule(t.Context(), studio(start, end))
	if e := failure(t, err); e.Status != 200 || e.Err == nil {
		t.Errorf("got %+v", e)
	}
}

// raw is a client of a server that answers one request with text and hangs up.
func raw(t *testing.T, text string) *kisi.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 64<<10))
		_, _ = conn.Write([]byte(text))
	}()
	return client(t, "http://"+l.Addr().String(), kisi.Options{})
}

func TestWhatNeverReachedKisi(t *testing.T) {
	_, url := start(t, kisifake.Options{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx context.Context
		o   kisi.Options
		url string
	}{
		"refused connection": {t.Context(), kisi.Options{}, closedPort(t)},
		"no such host":       {t.Context(), kisi.Options{}, "https://no-such-host.invalid"},
		"given up before":    {gone, kisi.Options{}, url},
		"not its turn": {t.Context(), kisi.Options{
			Wait: func(context.Context) error { return errors.New("the limiter is down") },
		}, url},
	} {
		t.Run(name, func(t *testing.T) {
			e := failure(t, client(t, c.url, c.o).Unlock(c.ctx, lockA))
			if e.Status != 0 || !e.Unsent || e.Err == nil || !strings.Contains(e.Error(), "not sent") {
				t.Errorf("got %q, unsent %v", e, e.Unsent)
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// What was sent and not answered may have been done, and here it was.
func TestWhatMayHaveReachedKisi(t *testing.T) {
	for name, then := range map[string]kisifake.Then{"hang": kisifake.Hang, "reset": kisifake.Reset} {
		t.Run(name, func(t *testing.T) {
			s, url := start(t, kisifake.Options{})
			c := client(t, url, kisi.Options{Timeout: 100 * time.Millisecond})
			s.Fail(kisifake.Fault{Method: "POST", Path: "/locks/", Then: then})
			e := failure(t, c.Unlock(t.Context(), lockA))
			if e.Status != 0 || e.Unsent || e.Err == nil || len(s.Unlocks()) != 1 {
				t.Errorf("got %q, unsent %v, unlocks %v", e, e.Unsent, s.Unlocks())
			}
			if then == kisifake.Hang && !strings.Contains(e.Error(), "no answer within 100ms") {
				t.Errorf("%q does not say how long it waited", e)
			}
		})
	}
}

func TestCallerGivesUp(t *testing.T) {
	s, c := site(t)
	s.Fail(kisifake.Fault{Then: kisifake.Hang})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_ = s.Await(t.Context(), func() bool { return len(s.Unlocks()) == 1 })
		cancel(errors.New("shutting down"))
	}()
	e := failure(t, c.Unlock(ctx, lockA))
	if e.Unsent || e.Err.Error() != "shutting down" {
		t.Errorf("got %q, unsent %v", e, e.Unsent)
	}
}

// A dead connection from the pool must not make one unlock two.
func TestOneRequestOneUnlock(t *testing.T) {
	s, c := site(t)
	for range 20 {
		s.Fail(kisifake.Fault{Path: "/locks/", Then: kisifake.Reset})
		before := len(s.Unlocks())
		if err := c.Unlock(t.Context(), lockA); err == nil {
			t.Fatal("no error though the connection broke")
		}
		if got := len(s.Unlocks()) - before; got != 1 {
			t.Fatalf("unlocked %d times", got)
		}
		if _, err := c.CurrentLogin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]kisi.Error{
		"POST /logins: Kisi answered 403: single sign-on; Kisi refuses this sign-in": {Op: "POST /logins", Status: 403, Reason: "single sign-on"},
		"POST /logins: Kisi answered 401 afc526; this account signs in with two":     {Op: "POST /logins", Status: 401, Code: "afc526"},
		"GET /locks: Kisi answered 404 (Not Found); there is no such thing":          {Op: "GET /locks", Status: 404},
		"GET /login: not sent: unknown reason; check the network":                    {Op: "GET /login", Unsent: true},
		"DELETE /x/1: Kisi answered 403 (Forbidden); this API key may not do that":   {Op: "DELETE /x/1", Status: 403},
		"POST /schedules: Kisi answered 409 (Conflict); it cannot be done as things": {Op: "POST /schedules", Status: 409},
		"POST /locks/1/unlock: Kisi answered 200: cut; it may have been carried out": {Op: "POST /locks/1/unlock", Status: 200, Err: errors.New("cut")},
	} {
		if got := e.Error(); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Each code that Kisi documents for doors and sign-ins has an advice of its own,
// or one that depends on what was asked.
func TestEveryCodeHasAdvice(t *testing.T) {
	codes := strings.Fields(`fcd8ef fcd8ff afc496 f01337 34ffaa f35ade f358de f398de a3995f a3799f a3793f a7793f bbb99f
		bbb93f bb4faa bbc93f 34bd8f f29aef f298bf f298cf f298df fad10e fad001 fad002 fad110 fad105 ff420a fad108 fad112
		fad137 fad106 fad10f fad107 fac001 fac002 fac003 fac004 ecc123 fbc000 afc516 afc526 afc536 afc546`)
	general := map[string]bool{"fcd8ef": true, "fcd8ff": true, "afc496": true}
	for _, code := range codes {
		own := (&kisi.Error{Op: "POST /x", Status: 418, Code: code}).Advice() != ""
		if own == general[code] {
			t.Errorf("%s: advice of its own: %v", code, own)
		}
		if (&kisi.Error{Op: "POST /locks/1/unlock", Status: 403, Code: code}).Advice() == "" {
			t.Errorf("%s: no advice", code)
		}
	}
}

func ExampleError() {
	err := &kisi.Error{Op: "POST /locks/22281/unlock", Status: 409, Code: "fad001", Reason: "The door is currently locked down."}
	fmt.Println(err)
	// Output:
	// POST /locks/22281/unlock: Kisi answered 409 fad001: The door is currently locked down.; the door is locked down: lift the lockdown in Kisi
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var seen []string
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.URL.Path)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	if e := failure(t, c.Unlock(t.Context(), lockA)); e.Status != 307 || len(seen) != 1 {
		t.Errorf("got %v after %v", e, seen)
	}
}

func TestEndlessAnswer(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(bytes.Repeat([]byte(" "), 64<<10))
		}
	})
	if e := failure(t, c.Unlock(t.Context(), lockA)); !strings.Contains(e.Error(), "longer than") {
		t.Errorf("got %v", e)
	}
}

// The body of a refusal is read to the end, so that its connection serves again.
func TestRefusalKeepsTheConnection(t *testing.T) {
	var seen []string
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.RemoteAddr)
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write(bytes.Repeat([]byte(" "), 100<<10))
	})
	for range 2 {
		_ = failure(t, c.Unlock(t.Context(), lockA))
	}
	if seen[0] != seen[1] {
		t.Error("the second request needed a new connection")
	}
}
