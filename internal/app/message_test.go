package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorhook/internal/action"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/store"
	"doorhook/internal/worker"
)

// outside are those who get messages, without a network.
type outside func(*http.Request) (*http.Response, error)

func (o outside) RoundTrip(r *http.Request) (*http.Response, error) { return o(r) }

// neverAnswers answers nothing, ever.
func neverAnswers(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// messenger makes a worker one of messages, that go to o.
func (w *tower) messenger(o outside) func(*worker.Options, *heldDoer) {
	return func(opts *worker.Options, d *heldDoer) {
		opts.Lane, opts.Concurrency = relay.Messages, action.AtOnce
		d.Doer = action.New(w.kisi, action.SendOptions{Transport: o})
	}
}

// messageOf is an event that asks for one send, and its plan.
func messageOf(id string, args map[string]any) (relay.Event, relay.Plan) {
	a := relay.Action{Key: "tell#0", Rule: "tell", Kind: relay.Send, Args: relay.Encode(args)}
	return relay.Event{ID: id, Trigger: "t", ReceivedAt: time.Now()}, relay.Plan{EventID: id, Rules: []relay.Match{{Rule: "tell", Actions: []relay.Action{a}}}}
}

func accepted(t *testing.T, s *store.Store, ev relay.Event, p relay.Plan) {
	t.Helper()
	if r, err := s.Accept(t.Context(), ev, p); err != nil || r.Status != relay.Accepted {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestNoDoorWaitsForMessages opens a door on time, and takes back what was cancelled at
// once, while many more messages than there is room for wait for a receiver that hangs.
func TestNoDoorWaitsForMessages(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		for i := range 300 {
			ev, p := messageOf(fmt.Sprint("m", i), map[string]any{"url": "https://slow.example", "json": i})
			accepted(t, w.store, ev, p)
		}
		w.work()
		w.work(w.messenger(neverAnswers))
		time.Sleep(time.Second)
		w.send(relay.Accepted, map[string]any{"booking": "b", "lock": 22281, "start": time.Now(), "end": time.Now().Add(time.Hour)})
		w.send(relay.Accepted, map[string]any{"booking": "u", "unlock": 22290, "start": time.Now().Add(3 * time.Second)})
		time.Sleep(4 * time.Second)
		w.send(relay.Accepted, map[string]any{"booking": "b", "status": "cancelled"})
		time.Sleep(time.Millisecond)
		want := []string{"2000-01-01 00:00:01.000 POST /schedules", "2000-01-01 00:00:04.000 POST /locks//unlock", "2000-01-01 00:00:05.000 DELETE /schedules/"}
		got := w.asked()
		for i := range got {
			got[i] = strings.Replace(got[i], "/locks/22290/", "/locks//", 1)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("asked of Kisi %q, want %q", got, want)
		}
	})
}

// TestSendsOfABookingLeaveRoom: with a booking its messages wait beside the doors. However
// slow those who get them, half of the room is left.
func TestSendsOfABookingLeaveRoom(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		for i := range 50 {
			ev, p := messageOf(fmt.Sprint("m", i), map[string]any{"url": fmt.Sprintf("https://slow%d.example", i)})
			p.Booking = fmt.Sprint("slow", i)
			accepted(t, w.store, ev, p)
		}
		w.work(func(_ *worker.Options, d *heldDoer) {
			d.Doer = action.New(w.kisi, action.SendOptions{Transport: outside(neverAnswers)})
		})
		time.Sleep(time.Second)
		w.send(relay.Accepted, map[string]any{"booking": "u", "unlock": 22290, "start": time.Now()})
		time.Sleep(10 * time.Millisecond)
		if got := w.asked(); len(got) != 1 {
			t.Errorf("asked of Kisi %q", got)
		}
	})
}

// TestOneMessageOneIdentity sends a message again: because its receiver refuses, because a
// worker stood still with the answer in its hand, and because something else is wanted.
// Only the last is another message.
func TestOneMessageOneIdentity(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		var mu sync.Mutex
		var ids []string
		o := outside(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, r.Header.Get("Webhook-Id"))
			status := http.StatusOK
			if len(ids) == 1 {
				status = http.StatusServiceUnavailable
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})
		var once atomic.Bool
		frozen := func(create func() relay.Outcome) relay.Outcome {
			out := create()
			if out.Verdict == relay.OK && !once.Swap(true) {
				time.Sleep(15 * time.Second) // longer than its lease
			}
			return out
		}
		ev, p := messageOf("m", map[string]any{"url": "https://a.example", "json": 1})
		accepted(t, w.store, ev, p)
		w.work(w.messenger(o), func(_ *worker.Options, d *heldDoer) { d.held = frozen })
		time.Sleep(2 * time.Second)
		w.work(w.messenger(o))
		time.Sleep(time.Minute)
		job, ok, err := w.store.Job(t.Context(), "t:event:m")
		if err != nil || !ok || len(job.Have) != 1 || job.Have[0].State != relay.Done || job.Have[0].Answer != "200 OK" {
			t.Fatalf("%+v, %v", job, err)
		}
		if n := len(job.Attempts); n == 0 || job.Attempts[n-1].Result != "sent" {
			t.Errorf("attempts %+v", job.Attempts)
		}
		ev, p = messageOf("m", map[string]any{"url": "https://a.example", "json": 2})
		if r, err := w.store.Replay(t.Context(), ev, p, relay.Replay{Changes: job.Changes}); err != nil || r.Status != relay.Accepted {
			t.Fatalf("%+v, %v", r, err)
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(ids) != 4 || ids[0] != ids[1] || ids[0] != ids[2] || ids[0] == ids[3] || len(ids[0]) != len("msg_")+32 {
			t.Errorf("sent were %q", ids)
		}
	})
}

// TestSecretsOfASendStayIn keeps the secrets of a message out of all that is kept and
// logged, whatever its receiver says back.
func TestSecretsOfASendStayIn(t *testing.T) {
	for _, status := range []int{200, 400, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			dir, log := t.TempDir(), &safeBuffer{}
			s, err := store.Open(t.Context(), store.Options{Data: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			parrot := outside(func(r *http.Request) (*http.Response, error) {
				all, err := httputil.DumpRequestOut(r, true)
				if err != nil {
					return nil, err
				}
				rec := http.Response{StatusCode: status, Header: http.Header{}, Request: r}
				rec.Body = body(r.URL.String() + "\n" + string(all))
				return &rec, nil
			})
			env := map[string]string{"URL": "https://canary-user:canary-pass@canary.example/canary-path/x?key=canary-key", "TOKEN": "canary-token", "KEY": "Y2FuYXJ5LWtleS1vZi1vdXJz"}
			doer := action.New(nil, action.SendOptions{Transport: parrot, Env: func(name string) string { return env[name] }})
			w, err := worker.New(s, doer, slog.New(slog.NewTextHandler(log, nil)), worker.Options{Lane: relay.Messages})
			if err != nil {
				t.Fatal(err)
			}
			ev, p := messageOf("m", map[string]any{
				"url": relay.Text{{Env: "URL"}}, "headers": map[string]relay.Text{"Authorization": {{Text: "Bearer "}, {Env: "TOKEN"}}}, "sign": relay.Text{{Env: "KEY"}}, "text": "hello",
			})
			accepted(t, s, ev, p)
			if _, err := w.WorkOff(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			kept := filesIn(t, dir)
			if !strings.Contains(kept, "[redacted]") || !strings.Contains(log.String(), "attempt") {
				t.Errorf("this shows nothing:\n%s\n%s", log, kept)
			}
			for _, secret := range []string{"canary", env["KEY"]} {
				for where, text := range map[string]string{"kept": kept, "logged": log.String()} {
					if i := leakOf(text, secret); i >= 0 {
						t.Errorf("%s is %s: …%s…", secret, where, text[max(0, i-300):min(len(text), i+100)])
					}
				}
			}
		})
	}
}

func body(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

// TestDoorsBesideThousandsOfMessages is the same with all of a doorhook, on the Redis of
// production: each door opens within a second, while thousands of messages wait.
func TestDoorsBesideThousandsOfMessages(t *testing.T) {
	t.Parallel()
	const messages = 5000
	var got atomic.Int64
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see its client go
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	server := realRedis(t)
	h := startHouse(t, server.url, brisk, func(s *Settings, _ *kisifake.Options) { s.SendAllow = "127.0.0.1" })
	s, err := store.Open(t.Context(), store.Options{URL: server.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i := range messages {
		ev, p := messageOf(fmt.Sprint("m", i), map[string]any{"url": slow.URL, "json": i})
		accepted(t, s, ev, p)
	}
	waitFor(t, "messages under way", func() bool { return got.Load() > 0 })
	for i := range 5 {
		before, began := len(h.fake.Journal()), time.Now()
		h.deliver(map[string]any{"event": fmt.Sprint("e", i), "unlock": 22290})
		waitFor(t, "the door", func() bool { return len(h.fake.Journal()) > before })
		if took := time.Since(began); took > time.Second {
			t.Errorf("a door took %s to open", took)
		}
		time.Sleep(300 * time.Millisecond)
	}
	if n := server.number(t, "ZCARD", "{doorhook}:due-messages"); n < messages-200 {
		t.Errorf("only %d messages wait, so nothing is shown", n)
	}
}
