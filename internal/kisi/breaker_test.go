package kisi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/kisi"

	"github.com/google/go-cmp/cmp"
)

// line is the way to a Kisi, in memory.
type line struct {
	mu     sync.Mutex
	answer func(*http.Request) (*http.Response, error)
	asked  []string
	closed int // how often idle connections were
}

func (l *line) CloseIdleConnections() { l.closed++ }

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	l.asked = append(l.asked, r.Method+" "+r.URL.Path)
	answer := l.answer
	l.mu.Unlock()
	return answer(r)
}

// set says what is answered from now on.
func (l *line) set(answer func(*http.Request) (*http.Response, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

// requests is how many got as far as Kisi, or to where it should be.
func (l *line) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.asked)
}

// status answers with code and body; header has names and values in turn.
func status(code int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		wrote(r)
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func wrote(r *http.Request) { httptrace.ContextClientTrace(r.Context()).WroteHeaders() }

// well is what Kisi says to an unlock.
var well = status(http.StatusOK, `{"message":"Unlocked!"}`)

func unreachable(*http.Request) (*http.Response, error) {
	return nil, errors.New("connect: connection refused")
}

func resetting(r *http.Request) (*http.Response, error) {
	wrote(r)
	return nil, errors.New("connection reset by peer")
}

func hanging(r *http.Request) (*http.Response, error) {
	wrote(r)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// over gives a line on which nobody answers, and a client that uses it. What
// OnDown is told goes into told.
func over(t *testing.T, o kisi.Options) (l *line, c *kisi.Client, told *[]string) {
	t.Helper()
	l, told = &line{answer: unreachable}, new([]string)
	o.Transport = l
	if o.OnDown == nil {
		o.OnDown = func(down bool, why error) { *told = append(*told, fmt.Sprint(down, " ", why)) }
	}
	return l, client(t, "", o), told
}

// trip makes c find out that Kisi is down.
func trip(t *testing.T, c *kisi.Client) {
	t.Helper()
	for lock := range int64(5) {
		if err := c.Unlock(t.Context(), lock); err == nil || errors.Is(err, kisi.ErrDown) {
			t.Fatalf("request %d: %v", lock, err)
		}
	}
}

// refused wants err to say that nothing was sent since Kisi is down, and when to
// come back.
func refused(t *testing.T, err error, after time.Duration) {
	t.Helper()
	e := failure(t, err)
	if !errors.Is(err, kisi.ErrDown) || !e.Unsent || e.Status != 0 || e.RetryAfter != after {
		t.Errorf("got %v, unsent %v, come back in %s, want it refused for %s", err, e.Unsent, e.RetryAfter, after)
	}
}

func TestDownAndUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := 0
		l, c, told := over(t, kisi.Options{Wait: func(context.Context) error { turns++; return nil }})
		unlock := func() error { return c.Unlock(t.Context(), lockA) }
		trip(t, c)
		err := unlock()
		refused(t, err, 10*time.Second)
		if want := "POST /locks/22281/unlock: not sent: Kisi is down: connect: connection refused; doorhook asks again"; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %s\nwant %s", err, want)
		}
		time.Sleep(9 * time.Second)
		refused(t, unlock(), time.Second)
		time.Sleep(time.Second)
		if err := unlock(); errors.Is(err, kisi.ErrDown) {
			t.Errorf("the probe was refused: %v", err)
		}
		refused(t, unlock(), 10*time.Second)

		l.set(well)
		refused(t, unlock(), 10*time.Second)
		time.Sleep(10 * time.Second)
		for range 3 {
			if err := unlock(); err != nil {
				t.Error(err)
			}
		}
		if l.requests() != 9 || turns != 9 {
			t.Errorf("%d requests took %d turns, want 5, a probe, and 3", l.requests(), turns)
		}
		if l.closed != 1 {
			t.Errorf("closed idle connections %d times", l.closed)
		}
		want := []string{
			"true POST /locks/4/unlock: not sent: connect: connection refused; check the network, the name server and the Kisi URL",
			"false <nil>",
		}
		if diff := cmp.Diff(want, *told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// TestWhatDownIs has Kisi fail in one way for ten different requests.
func TestWhatDownIs(t *testing.T) {
	const html = "<html>Bad gateway</html>"
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	within := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
	}
	for name, tt := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		caller func(context.Context) (context.Context, context.CancelFunc)
		down   bool
	}{
		"nobody there":                   {answer: unreachable, down: true},
		"a reset":                        {answer: resetting, down: true},
		"no answer in our time":          {answer: hanging, down: true},
		"no answer in the caller's time": {answer: hanging, caller: within(2 * time.Second), down: true},
		"502":                            {answer: status(502, html), down: true},
		"503":                            {answer: status(503, html), down: true},
		"503, come back at once":         {answer: status(503, "", "Retry-After", "0"), down: true},
		"504":                            {answer: status(504, ""), down: true},
		"522 of a proxy":                 {answer: status(522, html), down: true},

		"a caller with next to no time": {answer: hanging, caller: within(500 * time.Millisecond)},
		"a caller that gave up": {answer: hanging, caller: func(context.Context) (context.Context, context.CancelFunc) {
			return cancelled, func() {}
		}},
		"503, come back later":       {answer: status(503, html, "Retry-After", "7")},
		"503, the door is offline":   {answer: status(503, `{"error":"Unavailable.","code":"fac002"}`)},
		"500":                        {answer: status(500, `{"error":"An unexpected issue occured.","code":"ffffff"}`)},
		"500 without a word":         {answer: status(500, "")},
		"429":                        {answer: status(429, "")},
		"401":                        {answer: status(401, "")},
		"404":                        {answer: status(404, `{"error":"The door could not be found.","code":"fad10e"}`)},
		"302 of a proxy":             {answer: status(302, "")},
		"200 with a page of a proxy": {answer: status(200, html)},
		"200":                        {answer: well},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c, told := over(t, kisi.Options{})
				l.set(tt.answer)
				for lock := range int64(10) {
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if tt.caller != nil {
						ctx, cancel = tt.caller(ctx)
					}
					_ = c.Unlock(ctx, lock)
					cancel()
				}
				want := map[bool]int{true: 5, false: 10}[tt.down]
				if l.requests() != want || (len(*told) == 1) != tt.down {
					t.Errorf("sent %d of 10, want %d; told %v", l.requests(), want, *told)
				}
			})
		})
	}
}

func TestFailuresHaveToBeInARow(t *testing.T) {
	l, c, _ := over(t, kisi.Options{})
	for i := range int64(40) {
		l.set(map[bool]func(*http.Request) (*http.Response, error){true: well, false: unreachable}[i%5 == 4])
		if err := c.Unlock(t.Context(), i); errors.Is(err, kisi.ErrDown) {
			t.Fatalf("request %d was refused: %v", i, err)
		}
	}
}

// TestAnAnswerWipesTheSlate: what failed before it counts again.
func TestAnAnswerWipesTheSlate(t *testing.T) {
	l, c, told := over(t, kisi.Options{})
	for range 2 {
		l.set(well)
		if err := c.Unlock(t.Context(), lockA); err != nil {
			t.Fatal(err)
		}
		l.set(resetting)
		for lock := range int64(4) {
			_ = c.Unlock(t.Context(), lock)
		}
	}
	if err := c.Unlock(t.Context(), 4); err == nil || len(*told) != 1 {
		t.Errorf("after five failures in a row: %v, told %v", err, *told)
	}
}

// TestOneRequestThatKisiNeverAnswers is repeated all night and holds nobody back,
// unless it could not be sent, which is not its own fault.
func TestOneRequestThatKisiNeverAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		down   bool
	}{
		"no answer": {hanging, false}, "a reset": {resetting, false}, "502": {status(502, ""), false},
		"nobody there": {unreachable, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c, _ := over(t, kisi.Options{})
				l.set(tt.answer)
				for range 20 {
					_ = c.DeleteGroupLink(t.Context(), 7)
				}
				l.set(well)
				if err := c.Unlock(t.Context(), lockA); errors.Is(err, kisi.ErrDown) != tt.down {
					t.Errorf("another request: %v", err)
				}
			})
		})
	}
}

// TestDifferentBodies are different requests, though to the same address.
func TestDifferentBodies(t *testing.T) {
	l, c, told := over(t, kisi.Options{})
	l.set(resetting)
	start, end := morning()
	for i := range 10 {
		_, _ = c.CreateSchedule(t.Context(), studio(start.AddDate(0, 0, i), end.AddDate(0, 0, i)))
	}
	if l.requests() != 5 || len(*told) != 1 {
		t.Errorf("sent %d, told %v", l.requests(), *told)
	}
}

func TestOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c, _ := over(t, kisi.Options{})
		trip(t, c)
		time.Sleep(10 * time.Second)
		before := l.requests()
		answered := make(chan struct{})
		l.set(func(r *http.Request) (*http.Response, error) { <-answered; return well(r) })
		probe := make(chan error)
		go func() { probe <- c.Unlock(t.Context(), lockA) }()
		synctest.Wait()

		together(20, func() { refused(t, c.Unlock(t.Context(), lockA), time.Second) })
		close(answered)
		if err := <-probe; err != nil || l.requests() != before+1 {
			t.Errorf("%d probes, %v", l.requests()-before, err)
		}
		together(20, func() {
			if err := c.Unlock(t.Context(), lockA); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestProbeThatTellsNothing leaves its place to the next request.
func TestProbeThatTellsNothing(t *testing.T) {
	for name, probe := range map[string]func(t *testing.T, l *line, c *kisi.Client, turn *error){
		"its caller gave up": func(t *testing.T, l *line, c *kisi.Client, _ *error) {
			l.set(hanging)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if e := failure(t, c.Unlock(ctx, lockA)); !errors.Is(e, context.Canceled) {
				t.Error(e)
			}
		},
		"it did not get its turn": func(t *testing.T, _ *line, c *kisi.Client, turn *error) {
			*turn = errors.New("others went first")
			if err := c.Unlock(t.Context(), lockA); !errors.Is(err, *turn) || strings.Contains(err.Error(), "check the network") {
				t.Error(err)
			}
			*turn = nil
		},
		"it panicked": func(t *testing.T, l *line, c *kisi.Client, _ *error) {
			l.set(func(*http.Request) (*http.Response, error) { panic("oops") })
			defer func() { _ = recover() }()
			_ = c.Unlock(t.Context(), lockA)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var turn error
				l, c, told := over(t, kisi.Options{Wait: func(context.Context) error { return turn }})
				trip(t, c)
				time.Sleep(10 * time.Second)
				probe(t, l, c, &turn)
				if len(*told) != 1 {
					t.Errorf("told %v", *told)
				}
				l.set(well)
				if err := c.Unlock(t.Context(), lockA); err != nil || len(*told) != 2 {
					t.Errorf("the next request: %v, told %v", err, *told)
				}
			})
		})
	}
}

// TestTrippedWhileWaiting: who waits for a turn when Kisi is found to be down does
// not use it.
func TestTrippedWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := make(chan struct{})
		l, c, _ := over(t, kisi.Options{Wait: func(ctx context.Context) error {
			if ctx.Value(patient{}) != nil {
				<-turn
			}
			return nil
		}})
		late := make(chan error, 8)
		for range cap(late) {
			go func() { late <- c.Unlock(context.WithValue(t.Context(), patient{}, true), lockA) }()
		}
		synctest.Wait()
		trip(t, c)
		close(turn)
		for range cap(late) {
			refused(t, <-late, 10*time.Second)
		}
		if l.requests() != 5 {
			t.Errorf("sent %d", l.requests())
		}
	})
}

type patient struct{}

// TestSignInWhileDown: the sign-in is a request like any other, also as a probe,
// but that everybody needs it.
func TestSignInWhileDown(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"nobody there": unreachable, "a reset": resetting, "502": status(502, ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c, _ := over(t, kisi.Options{Email: "a@b.c", Password: "p", Logins: &memory{}})
				l.set(answer)
				for range 5 {
					if e := failure(t, c.Unlock(t.Context(), lockA)); e.Op != "POST /logins" || !e.Unsent || errors.Is(e, kisi.ErrDown) {
						t.Errorf("%+v", e)
					}
				}
				refused(t, c.Unlock(t.Context(), lockA), 10*time.Second)
				time.Sleep(10 * time.Second)
				l.set(status(http.StatusOK, `{"secret":"s"}`))
				if err := c.Unlock(t.Context(), lockA); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff([]string{"POST /logins", "POST /locks/22281/unlock"}, l.asked[5:]); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestListCutShort: Kisi goes down between two pages, and a part does not pass for
// the whole.
func TestListCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c, _ := over(t, kisi.Options{})
		l.set(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/locks" {
				return unreachable(r)
			}
			trip(t, c)
			return status(http.StatusOK, `[{"id":1}]`, "X-Collection-Range", "0-249/2")(r)
		})
		all, err := c.Locks(t.Context())
		refused(t, err, 10*time.Second)
		if all != nil {
			t.Errorf("listed %v", all)
		}
	})
}

// TestOnDownMayUseTheClient, even when that changes things again.
func TestOnDownMayUseTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *kisi.Client
		var l *line
		var told []bool
		l, c, _ = over(t, kisi.Options{OnDown: func(down bool, _ error) {
			told = append(told, down)
			if down {
				refused(t, c.Unlock(t.Context(), lockA), 10*time.Second)
			} else if len(told) == 3 {
				l.set(unreachable)
				trip(t, c)
			}
			told = append(told, down)
		}})
		trip(t, c)
		l.set(well)
		time.Sleep(10 * time.Second)
		if err := c.Unlock(t.Context(), lockA); err != nil {
			t.Error(err)
		}
		if want := []bool{true, true, false, false, true, true}; !slices.Equal(told, want) {
			t.Errorf("told %v", told)
		}
	})
}

// TestALongQueue waits for a Kisi that is away for five minutes: it gets a few
// requests a minute, and all of the queue is served when it is back.
func TestALongQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		var down atomic.Bool
		var sent atomic.Int64
		c := client(t, "", kisi.Options{
			OnDown: func(d bool, _ error) { told = append(told, d) },
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if !down.Load() {
					time.Sleep(200 * time.Millisecond)
					return well(r)
				}
				sent.Add(1)
				return hanging(r)
			}),
		})
		start := time.Now()
		down.Store(true)
		time.AfterFunc(5*time.Minute, func() { down.Store(false) })
		var wg sync.WaitGroup
		const jobs = 200
		slots := make(chan struct{}, 8)
		for lock := range int64(jobs) {
			wg.Go(func() {
				for {
					slots <- struct{}{}
					err := c.Unlock(t.Context(), lock)
					<-slots
					if err == nil {
						return
					}
					time.Sleep(max(failure(t, err).RetryAfter, time.Second))
				}
			})
		}
		wg.Wait()
		// Eight at a time until five have failed, and then one every 15 s.
		if n := sent.Load(); n < 8+15 || n > 8+5*6 {
			t.Errorf("a Kisi that is down got %d requests", n)
		}
		if took := time.Since(start); took > 5*time.Minute+15*time.Second+jobs/8*200*time.Millisecond+10*time.Second {
			t.Errorf("done after %s", took)
		}
		if !slices.Equal(told, []bool{true, false}) {
			t.Errorf("told %v", told)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
