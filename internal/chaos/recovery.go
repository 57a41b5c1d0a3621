package main

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"doorhook/internal/kisi/kisifake"
)

// lease is doorhook's default, and what is more than it is the way to the next worker.
const (
	lease      = 10 * time.Second
	leaseSlack = 2 * time.Second
)

// recovery kills one of two doorhooks in the middle of its work, and takes the time
// until the other one asks Kisi about it.
func recovery(ctx context.Context, a *arena) error {
	var took []time.Duration
	for a.more(ctx) {
		victim, other := a.doors[a.rounds%2], a.doors[1-a.rounds%2]
		inHand := a.interrupt(ctx, victim)
		at := a.now()
		a.kill(victim)
		a.fake.Heal()
		for _, b := range inHand {
			name := b.name()
			var first []kisifake.Call
			err := await(ctx, lease+10*time.Second, "the second doorhook's first request for what the first had in hand", func() bool {
				first = a.kisiCalls(func(c kisifake.Call) bool { return caller(c) == other.name && c.At.After(at) && asksFor(c, name) })
				return len(first) > 0
			})
			if err != nil {
				a.complain("%s: %v", name, err)
				continue
			}
			took = append(took, first[0].At.Sub(at))
		}
		victim.start(ctx)
		if err := victim.serving(ctx); err != nil {
			return err
		}
	}
	if len(took) == 0 {
		a.complain("no doorhook was killed while it had a job in hand")
		return nil
	}
	slices.Sort(took)
	longest := took[len(took)-1]
	a.remark("from a kill -9 to the other process's first request for %d jobs in hand: p50 %.2f s, max %.2f s; the lease is %s",
		len(took), took[len(took)/2].Seconds(), longest.Seconds(), lease)
	if longest > lease+leaseSlack {
		a.complain("a job waited %s for its next worker; the lease is %s", longest, lease)
	}
	return nil
}

// stalled stops one of two doorhooks in the middle of its work for longer than its
// lease, and what it works on changes meanwhile: what it knows when it goes on is no
// longer so.
func stalled(ctx context.Context, a *arena) error {
	for a.more(ctx) {
		i := a.rounds % 2
		inHand := a.interrupt(ctx, a.doors[i])
		_, pid := a.doors[i].at()
		if err := halt(pid); err != nil {
			return err
		}
		a.fake.Heal()
		for _, b := range inHand {
			m := a.book.again(b)
			a.senders.Go(func() { a.send(ctx, m, 1-i) })
		}
		pause(ctx, lease+3*time.Second)
		if err := proceed(pid); err != nil {
			return err
		}
		pause(ctx, time.Second)
	}
	return nil
}

// interrupt gives work to both doorhooks, and returns what victim has in hand: it has
// sent a request for it that gets no answer.
func (a *arena) interrupt(ctx context.Context, victim *process) []*booking {
	a.fake.Fail(kisifake.Fault{Method: http.MethodPost, Then: kisifake.Hang, Times: -1})
	var all []*booking
	var messages []*message
	for range 4 { // one more without an answer, and doorhook would take Kisi for down
		w := want{email: "guest@example.com"}
		a.book.move(&w)
		m := a.book.add(w)
		all, messages = append(all, m.of), append(messages, m)
	}
	a.post(ctx, messages...)
	a.senders.Wait()
	sentBy := func(b *booking) (who string) {
		for _, c := range a.kisiCalls(func(c kisifake.Call) bool { return strings.Contains(string(c.Body), b.name()) }) {
			who = caller(c)
		}
		return who
	}
	_ = await(ctx, 3*time.Second, "", func() bool { // where not all come, these are enough
		return !slices.ContainsFunc(all, func(b *booking) bool { return sentBy(b) == "" })
	})
	return slices.DeleteFunc(all, func(b *booking) bool { return sentBy(b) != victim.name })
}

// asksFor reports whether c looks for a link of that name.
func asksFor(c kisifake.Call, name string) bool {
	q, err := url.ParseQuery(c.Query)
	return err == nil && q.Get("query") == name
}
