package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/relay"
)

// asked is a shelf whose Kisi knows people, or says what goes wrong.
type asked struct {
	*shelf
	person func(user int64) (*relay.Person, relay.Outcome)
}

func (a asked) Person(_ context.Context, user int64) (*relay.Person, relay.Outcome) {
	a.note("person %d", user)
	return a.person(user)
}

// runFor runs a worker on s for so long, in fake time.
func runFor(t *testing.T, s *shelf, d doer, o Options, long time.Duration) {
	t.Helper()
	w, err := New(s, d, slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	w.Run(ctx)
}

func theSend() relay.Action {
	return relay.Action{Key: "m", Rule: "r", Kind: relay.Send, Args: relay.Encode(map[string]any{}), Later: &relay.Later{User: 77, Event: []byte(`{"id":"e"}`)}}
}

// TestFill: what needs the person is computed for each attempt, and kept as it was
// asked for.
func TestFill(t *testing.T) {
	jo := &relay.Person{ID: 77, Email: "jo@example.com"}
	known := func(int64) (*relay.Person, relay.Outcome) { return jo, relay.Outcome{Verdict: relay.OK} }
	nobody := func(int64) (*relay.Person, relay.Outcome) { return nil, relay.Outcome{Verdict: relay.OK} }
	says := func(v relay.Verdict) func(int64) (*relay.Person, relay.Outcome) {
		return func(int64) (*relay.Person, relay.Outcome) {
			return nil, relay.Outcome{Verdict: v, Err: errors.New("Kisi says " + v.String())}
		}
	}
	fill := func(_ context.Context, a relay.Action, p *relay.Person) (relay.Action, error) {
		text := "nobody"
		if p != nil {
			text = p.Email
		}
		a.Args, a.Later = relay.Encode(map[string]any{"text": text}), nil
		return a, nil
	}
	broken := func(_ context.Context, a relay.Action, _ *relay.Person) (relay.Action, error) {
		return a, relay.Problem{Where: "t.yaml:3:7", Message: "no"}
	}
	elsewhere := func(_ context.Context, a relay.Action, _ *relay.Person) (relay.Action, error) {
		return a, errors.New("the rule is gone")
	}
	tests := []struct {
		name   string
		person func(int64) (*relay.Person, relay.Outcome)
		fill   func(context.Context, relay.Action, *relay.Person) (relay.Action, error)
		made   string // the args that were sent; "" was not
		state  relay.State
		cause  relay.Cause
		error  string
	}{
		{"somebody", known, fill, `{"text":"jo@example.com"}`, relay.Done, "", ""},
		{"nobody", nobody, fill, `{"text":"nobody"}`, relay.Done, "", ""},
		{"Kisi does not answer", says(relay.Retry), fill, "", relay.Retrying, "", "Kisi says retry"},
		{"Kisi is down", says(relay.Untried), fill, "", relay.Waiting, "", "Kisi says untried"},
		{"Kisi does not tell", says(relay.Rejected), fill, "", relay.Dead, relay.ByKisi, "ask Kisi who is behind the event: Kisi says rejected"},
		{"the rule fails", known, broken, "", relay.Dead, relay.ByRule, "t.yaml:3:7: no"},
		{"the rule is not here, and may be in another process", known, elsewhere, "", relay.Retrying, "", "the rule is gone"},
		{"nobody can fill it", known, nil, "", relay.Dead, relay.ByRule, "cannot be computed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf(theSend())
				made := ""
				s.onCreate = func(a relay.Action) relay.Outcome {
					made = string(a.Args)
					return relay.Outcome{Verdict: relay.OK}
				}
				runFor(t, s, asked{s, tt.person}, Options{Fill: tt.fill}, 500*time.Millisecond)
				h := s.job.Have[0]
				if made != tt.made || h.State != tt.state || !strings.Contains(h.Error, tt.error) {
					t.Errorf("sent %s, held %+v", made, h)
				}
				if tt.cause != "" && (len(s.letters) != 1 || s.letters[0].Cause != tt.cause) || tt.cause == "" && len(s.letters) != 0 {
					t.Errorf("letters %+v, want one by %q", s.letters, tt.cause)
				}
				if diff := cmp.Diff(theSend(), h.Action); diff != "" {
					t.Errorf("kept (-asked for +kept):\n%s", diff)
				}
			})
		})
	}
}

// TestFillsAnew asks again for each attempt: rules and people change.
func TestFillsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(theSend())
		s.onCreate = func(relay.Action) relay.Outcome {
			return relay.Outcome{Verdict: relay.Retry, Err: errors.New("no answer")}
		}
		fill := func(_ context.Context, a relay.Action, _ *relay.Person) (relay.Action, error) { return a, nil }
		person := func(int64) (*relay.Person, relay.Outcome) { return nil, relay.Outcome{Verdict: relay.OK} }
		runFor(t, s, asked{s, person}, Options{Fill: fill}, 10*time.Second)
		count := func(what string) int {
			return len(slices.DeleteFunc(slices.Clone(s.done), func(d string) bool { return d != what }))
		}
		if people, sent := count("person 77"), count("create m"); people < 3 || people != sent {
			t.Errorf("asked for the person %d times, sent %d times", people, sent)
		}
	})
}
