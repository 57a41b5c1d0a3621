package action

import (
	"context"
	"sync"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

const (
	personAge  = 24 * time.Hour // how long what is known of a person is taken to be the same
	nobodyAge  = time.Hour      // and that there is nobody
	mostPeople = 10_000         // who are remembered
)

// people remembers for a while who is who: one person opens many doors.
type people struct {
	kisi *kisi.Client
	now  func() time.Time

	mu    sync.Mutex
	known map[int64]knownPerson
}

type knownPerson struct {
	person *relay.Person // nil is nobody
	until  time.Time
}

// Person asks who has Kisi's id user. The person is nil if there is nobody, or user is 0.
// Nobody waits at a door for the answer.
func (d *Doer) Person(ctx context.Context, user int64) (*relay.Person, relay.Outcome) {
	if user == 0 {
		return nil, relay.Outcome{Verdict: relay.OK}
	}
	return d.people.who(relay.WithPriority(ctx, relay.Whenever), user)
}

func (p *people) who(ctx context.Context, user int64) (*relay.Person, relay.Outcome) {
	asked := p.now()
	p.mu.Lock()
	known, ok := p.known[user]
	p.mu.Unlock()
	if ok && asked.Before(known.until) {
		return known.person, relay.Outcome{Verdict: relay.OK}
	}
	got, err := p.kisi.User(ctx, user)
	switch {
	case gone(err):
		known = knownPerson{nil, asked.Add(nobodyAge)}
	case err != nil:
		return nil, repeatable(err)
	default:
		known = knownPerson{&relay.Person{ID: user, Email: got.Email, Name: got.Name}, asked.Add(personAge)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= mostPeople {
		clear(p.known)
	}
	p.known[user] = known
	return known.person, relay.Outcome{Verdict: relay.OK}
}
