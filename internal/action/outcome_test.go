package action

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// steps are all that can be asked of a Doer that asks something of Kisi.
func steps(ctx context.Context, d *Doer) map[string]func() relay.Outcome {
	return map[string]func() relay.Outcome{
		"make a schedule":   func() relay.Outcome { return d.Create(ctx, theSchedule()) },
		"make a link":       func() relay.Outcome { return d.Create(ctx, theLink()) },
		"make a role":       func() relay.Outcome { return d.Create(ctx, theRole()) },
		"revoke a role":     func() relay.Outcome { return d.Revoke(ctx, theRole(), 1) },
		"find a role":       func() relay.Outcome { return d.Find(ctx, theRole(), starts, nil) },
		"ask for a person":  func() relay.Outcome { _, out := d.Person(ctx, 77); return out },
		"unlock":            func() relay.Outcome { return d.Create(ctx, theUnlock()) },
		"change a schedule": func() relay.Outcome { return d.Change(ctx, theSchedule(), 1) },
		"revoke a schedule": func() relay.Outcome { return d.Revoke(ctx, theSchedule(), 1) },
		"revoke a link":     func() relay.Outcome { return d.Revoke(ctx, theLink(), 1) },
		"find a schedule":   func() relay.Outcome { return d.Find(ctx, theSchedule(), starts, nil) },
		"find a link":       func() relay.Outcome { return d.Find(ctx, theLink(), starts, nil) },
		"locks":             func() relay.Outcome { return d.Locks(ctx, theGroup()) },
	}
}

// inMemory is the way to a pretend Kisi without a network, which fake time needs.
type inMemory struct{ *kisifake.Server }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody // a server's request always has one
	}
	m.ServeHTTP(w, in)
	return w.Result(), nil
}

// unshared are logins of which none is kept.
type unshared struct{}

func (unshared) Login(ctx context.Context, _, _ string, signIn func(context.Context) (string, error)) (string, error) {
	return signIn(ctx)
}

func doerOver(t *testing.T, o kisi.Options) (*kisifake.Server, *Doer) {
	t.Helper()
	fake := kisifake.New(kisifake.Options{Rate: -1})
	if o.Transport = (inMemory{fake}); o.Email == "" {
		o.APIKey = kisifake.DefaultKey
	}
	client, err := kisi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return fake, New(client, SendOptions{})
}

// TestUntried: what was not asked of Kisi is no attempt, whatever it was.
func TestUntried(t *testing.T) {
	signIn := kisi.Options{Email: "a@b.c", Password: "p", Logins: unshared{}}
	lateSignIn := signIn
	lateSignIn.Wait = turnDidNotCome
	for name, tt := range map[string]struct {
		o     kisi.Options
		down  string // what of Kisi has been down for three seconds
		after time.Duration
	}{
		"Kisi is down":                 {down: "/", after: 7 * time.Second},
		"nobody can sign in":           {o: signIn, down: "/logins", after: 7 * time.Second},
		"others went first":            {o: kisi.Options{Wait: turnDidNotCome}},
		"others went first to sign in": {o: lateSignIn},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, d := doerOver(t, tt.o)
				if tt.down != "" {
					fake.Fail(kisifake.Fault{Path: tt.down, Status: http.StatusBadGateway, Times: -1})
					for object := range int64(5) {
						d.Revoke(t.Context(), theLink(), object)
					}
					time.Sleep(3 * time.Second)
				}
				asked := len(fake.Journal())
				for step, do := range steps(t.Context(), d) {
					if out := do(); out.Verdict != relay.Untried || out.After != tt.after || out.Err == nil {
						t.Errorf("%s: %s, after %s: %v", step, out.Verdict, out.After, out.Err)
					}
				}
				if n := len(fake.Journal()) - asked; n != 0 {
					t.Errorf("%d requests were sent", n)
				}
			})
		})
	}
}

func turnDidNotCome(context.Context) error {
	return fmt.Errorf("its turn did not come: %w", relay.ErrUntried)
}

// TestRetryAfter: when Kisi says when to come back, that is passed on with what the
// answer means, whatever was asked.
func TestRetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		header func(now time.Time) string
		want   time.Duration
	}{
		"seconds":        {func(time.Time) string { return "7" }, 7 * time.Second},
		"a date":         {func(now time.Time) string { return now.Add(90 * time.Second).UTC().Format(http.TimeFormat) }, 90 * time.Second},
		"a date gone by": {func(now time.Time) string { return now.Add(-time.Hour).UTC().Format(http.TimeFormat) }, 0},
		"a century":      {func(time.Time) string { return "3153600000" }, 24 * time.Hour},
		"neither":        {func(time.Time) string { return "soon" }, 0},
		"nothing":        {func(time.Time) string { return "" }, 0},
	} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fake, d := doerOver(t, kisi.Options{})
					fault := kisifake.Fault{Status: status, Code: "fac002", RetryAfter: tt.header(time.Now()), Times: -1}
					fake.Fail(fault)
					for step, do := range steps(t.Context(), d) {
						out := do()
						if out.After != tt.want || out.Verdict != relay.Retry && out.Verdict != relay.Unsure {
							t.Errorf("%s: %s, after %s, want %s: %v", step, out.Verdict, out.After, tt.want, out.Err)
						}
					}
				})
			})
		}
	}
}
