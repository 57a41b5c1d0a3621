package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/relay"
)

// post is a shelf with a message, and what its receiver was sent: which text under which
// identity.
type post struct {
	*shelf
	texts, ids []string
}

func saying(text string) relay.Action {
	return relay.Action{Key: "tell", Rule: "tell", Kind: relay.Send, Args: relay.Encode(map[string]any{"url": "https://example.com", "text": text})}
}

func newPost(first relay.Action) *post {
	p := &post{shelf: newShelf(first)}
	p.job.Lane, p.sinceFrom = relay.Messages, true
	p.onCreate = func(a relay.Action) relay.Outcome {
		p.texts, p.ids = append(p.texts, string(a.Args)), append(p.ids, a.Message)
		return relay.Outcome{Verdict: relay.OK, Answer: "200 OK"}
	}
	return p
}

// workOn lets a worker have a minute, in fake time.
func (p *post) workOn(t *testing.T) {
	t.Helper()
	w, err := New(p, p, slog.New(slog.DiscardHandler), Options{
		Lane: p.job.Lane,
		Fill: func(_ context.Context, a relay.Action, _ *relay.Person) (relay.Action, error) { return a, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.Run(ctx)
}

// crash lets the worker lose the job before its next finish, so that another takes it up
// when the lease has ended.
func (p *post) crash() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onFinish = func() error {
		p.onFinish, p.due = nil, time.Now().Add(10*time.Second)
		return relay.ErrLeaseLost
	}
}

// now wants the message a, as an event or a replay does.
func (p *post) now(a relay.Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.job.Want, p.job.Changes = []relay.Action{a}, p.job.Changes+1
	if p.due.IsZero() { // else it comes up when the lease ends
		p.due = time.Now()
	}
}

// TestTheClaimSaysWhichMessage tells one message from another: what is the same through
// crashes and failures is one, and what is wanted anew is another.
func TestTheClaimSaysWhichMessage(t *testing.T) {
	later := func(event string) relay.Action {
		a := saying("later")
		a.Later = &relay.Later{Event: []byte(event)}
		return a
	}
	fresh, resumed := []string{"create tell", "finish"}, []string{"save", "create tell", "finish"}
	tests := []struct {
		name string
		run  func(p *post, on func())
		ids  []int // which of the messages are one
		done []string
	}{
		{"one is claimed, sent and let go of", func(_ *post, on func()) { on() }, []int{0}, fresh},
		{"a crash before it is let go of", func(p *post, on func()) {
			p.crash()
			on()
		}, []int{0, 0}, slices.Concat(fresh, resumed)},
		{"two crashes", func(p *post, on func()) {
			p.crash()
			time.AfterFunc(5*time.Second, p.crash)
			on()
		}, []int{0, 0, 0}, slices.Concat(fresh, resumed, resumed)},
		{"its receiver fails, and a crash", func(p *post, on func()) {
			takes := p.onCreate
			p.onCreate = func(a relay.Action) relay.Outcome {
				takes(a)
				p.onCreate = takes
				p.crash()
				return relay.Outcome{Verdict: relay.Retry, Err: errors.New("503")}
			}
			on()
		}, []int{0, 0}, slices.Concat(fresh, resumed)},
		{"its receiver fails", func(p *post, on func()) {
			takes := p.onCreate
			p.onCreate = func(a relay.Action) relay.Outcome {
				takes(a)
				p.onCreate = takes
				return relay.Outcome{Verdict: relay.Retry, Err: errors.New("503")}
			}
			on()
		}, []int{0, 0}, slices.Concat(fresh, resumed)},
		{"something else is wanted, and then the first again", func(p *post, on func()) {
			on()
			p.now(saying("b"))
			on()
			p.now(saying("a"))
			on()
		}, []int{0, 1, 2}, slices.Concat(fresh, resumed, resumed)},
		{"the rules are edited between a crash and the next claim", func(p *post, on func()) {
			p.crash()
			time.AfterFunc(time.Second, func() { p.now(saying("b")) })
			on()
		}, []int{0, 1}, slices.Concat(fresh, resumed)},
		{"something else is wanted after a crash, and the first again after another", func(p *post, on func()) {
			p.crash()
			time.AfterFunc(time.Second, func() { p.now(saying("b")); p.crash() })
			time.AfterFunc(11*time.Second, func() { p.now(saying("a")) })
			on()
		}, []int{0, 1, 2}, slices.Concat(fresh, resumed, resumed)},
		{"what is computed later is about another event", func(p *post, on func()) {
			p.job.Want = []relay.Action{later(`{"id":1}`)}
			p.crash()
			time.AfterFunc(time.Second, func() { p.now(later(`{"id":2}`)) })
			on()
		}, []int{0, 1}, slices.Concat(fresh, resumed)},
		{"the store does not say since when", func(p *post, on func()) {
			p.sinceFrom = false
			p.crash()
			on()
			p.now(saying("b"))
			on()
			p.now(saying("a"))
			on()
		}, []int{0, 0, 1, 2}, slices.Concat(resumed, resumed, resumed, resumed)},
		{"the claim came so late that the lease may end before the step", func(p *post, on func()) {
			p.job.Since = time.Now().Add(-3 * time.Second)
			on()
		}, []int{0}, resumed},
		{"it waits beside doors", func(p *post, on func()) {
			p.job.Lane = relay.Doors
			p.crash()
			on()
		}, []int{0, 0}, slices.Concat(resumed, resumed)},
		{"two messages of one event", func(p *post, on func()) {
			p.job.Want = append(p.job.Want, saying("b"))
			p.job.Want[1].Key = "second"
			on()
		}, []int{0, 1}, []string{"create tell", "save", "create second", "finish"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPost(saying("a"))
				tt.run(p, func() { p.workOn(t) })
				var ids []int
				for _, id := range p.ids {
					ids = append(ids, slices.Index(slices.Compact(slices.Clone(p.ids)), id))
				}
				if !slices.Equal(ids, tt.ids) {
					t.Errorf("sent were %q under %q", p.texts, p.ids)
				}
				if !slices.Equal(p.done, tt.done) {
					t.Errorf("done %q, want %q", p.done, tt.done)
				}
			})
		})
	}
}
