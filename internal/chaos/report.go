package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"text/tabwriter"

	"doorhook/internal/kisi/kisifake"
)

// result is what a scenario came to.
type result struct {
	name                      string
	rounds, kills             int
	accepted                  int // messages
	created, adopted, revoked int // objects; adopted are those that a look found after a create without an answer
	lost, doubled, late       int
	complaints, remarks       []string
}

// result counts, and writes the evidence of what is wrong.
func (a *arena) result(ctx context.Context) result {
	r := result{name: a.scenario.name, rounds: a.rounds, kills: a.kills, complaints: a.complaints, remarks: a.remarks}
	s := a.state()
	unlocks, gaveUp := 0, 0
	for _, b := range a.book.bookings {
		opens := false
		for _, m := range b.messages {
			if !m.accepted.IsZero() {
				r.accepted++
			}
			opens = opens || !m.opens.IsZero()
		}
		if opens {
			unlocks++
		}
		if s.gaveUp(b.job) {
			gaveUp++
		}
	}
	if gaveUp > 0 {
		r.remarks = append(r.remarks, fmt.Sprintf("%d of %d unlocks were too late, were not sent, and are dead letters", gaveUp, unlocks))
	}
	if gaveUp > 2+unlocks/5 { // some are to be expected where nothing runs for longer than half a second
		r.complaints = append(r.complaints, "these are too many unlocks that were too late")
	}
	r.created = len(a.kisiCalls(func(c kisifake.Call) bool {
		done := c.Status == http.StatusOK || c.Status == http.StatusInternalServerError || c.Status == 0 // also where the answer got lost
		return done && c.Method == http.MethodPost && (c.Path == "/schedules" || c.Path == "/group_links")
	}))
	r.revoked = r.created - len(s.links) - len(s.schedules)
	for _, p := range a.doors {
		falls, panicked, found := p.history()
		r.adopted += found
		if falls > 0 {
			r.remarks = append(r.remarks, fmt.Sprintf("%s ended by itself %d times", p.name, falls))
		}
		if panicked != "" {
			r.complaints = append(r.complaints, p.name+": "+panicked)
		}
	}
	for _, f := range a.findings {
		switch f.kind {
		case lost:
			r.lost++
		case doubled:
			r.doubled++
		case late:
			r.late++
		}
	}
	if err := a.writeEvidence(ctx); err != nil {
		r.complaints = append(r.complaints, "write the evidence: "+err.Error())
	}
	return r
}

// report prints the table. It fails if anything is wrong, and takes the files away
// if nothing is.
func (w *world) report(results []result) error {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\trounds\tkills\taccepted\tcreated\tadopted\trevoked\tlost\tdoubled\tlate\t")
	var sum result
	complaints := 0
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", r.name, r.rounds, r.kills, r.accepted, r.created, r.adopted, r.revoked, r.lost, r.doubled, r.late)
		sum.rounds += r.rounds
		sum.kills += r.kills
		sum.accepted += r.accepted
		sum.created += r.created
		sum.adopted += r.adopted
		sum.revoked += r.revoked
		sum.lost += r.lost
		sum.doubled += r.doubled
		sum.late += r.late
		complaints += len(r.complaints)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, text := range r.remarks {
			w.printf("%s: %s\n", r.name, text)
		}
		for _, text := range r.complaints {
			w.printf("%s: WRONG: %s\n", r.name, text)
		}
	}
	w.printf("rounds %d kills %d accepted %d created %d adopted %d revoked %d lost %d doubled %d late %d\n",
		sum.rounds, sum.kills, sum.accepted, sum.created, sum.adopted, sum.revoked, sum.lost, sum.doubled, sum.late)
	if sum.lost+sum.doubled+sum.late+complaints > 0 {
		return fmt.Errorf("something is wrong; the evidence is in %s", w.dir)
	}
	return os.RemoveAll(w.dir)
}
