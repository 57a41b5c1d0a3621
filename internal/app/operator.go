package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"doorhook/internal/intake"
	"doorhook/internal/kisi"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/store"
)

// Operator is what a person can ask and do of a doorhook: of one that runs, or of
// its Redis. What it gives becomes JSON, so no list in it is nil.
type Operator struct {
	settings Settings
	store    *store.Store
	intake   *intake.Intake             // nil without a doorhook that runs
	kisi     *kisi.Client               // nil without a doorhook that runs
	inUse    *atomic.Pointer[rules.Set] // nil without a doorhook that runs
}

// Operate reaches the Redis of a doorhook that may run elsewhere. Rules are read
// and Kisi is asked only by what needs them. Close it.
func Operate(ctx context.Context, s Settings) (*Operator, error) {
	s = s.withDefaults()
	if err := s.checkStore(); err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, s.storeOptions())
	if err != nil {
		return nil, err
	}
	return &Operator{settings: s, store: st}, nil
}

// Close lets go of what Operate took.
func (o *Operator) Close() error { return o.store.Close() }

// Recent gives the jobs that events changed last, the newest first.
func (o *Operator) Recent(ctx context.Context, limit int) ([]relay.Job, error) {
	jobs, err := o.store.Recent(ctx, limit)
	return filled(jobs), err
}

// Waiting gives the jobs that are looked at next, the next first.
func (o *Operator) Waiting(ctx context.Context, limit int) ([]relay.Job, error) {
	jobs, err := o.store.Waiting(ctx, limit)
	return filled(jobs), err
}

// Job gives one job; false if there is none.
func (o *Operator) Job(ctx context.Context, id string) (relay.Job, bool, error) {
	job, ok, err := o.store.Job(ctx, id)
	return filled([]relay.Job{job})[0], ok, err
}

// filled puts empty lists in the place of nil.
func filled(jobs []relay.Job) []relay.Job {
	for i := range jobs {
		jobs[i].Want = append([]relay.Action{}, jobs[i].Want...)
		jobs[i].Have = append([]relay.Held{}, jobs[i].Have...)
	}
	return append([]relay.Job{}, jobs...)
}

// Events gives accepted events, the newest first, those before a place in the list.
func (o *Operator) Events(ctx context.Context, before string, limit int) ([]relay.Record, error) {
	events, err := o.store.Events(ctx, before, limit)
	return append([]relay.Record{}, events...), err
}

// Letters gives the newest dead letters, newest first.
func (o *Operator) Letters(ctx context.Context, limit int) ([]relay.DeadLetter, error) {
	letters, err := o.store.Letters(ctx, limit)
	return append([]relay.DeadLetter{}, letters...), err
}

// Replay plans the events of dead letters again, the oldest first if it is all of
// them. It ends early when Redis goes away; what is in its answer was replayed.
func (o *Operator) Replay(ctx context.Context, ids []string) ([]relay.Replayed, error) {
	in, err := o.planner()
	if err != nil {
		return nil, err
	}
	all := len(ids) == 0
	if all {
		if ids, err = o.store.LetterIDs(ctx); err != nil {
			return nil, err
		}
	}
	out := []relay.Replayed{}
	for i, id := range ids {
		r, err := in.Replay(ctx, o.store, id)
		switch {
		case errors.Is(err, relay.ErrUnavailable), errors.Is(err, relay.ErrBusy):
			return out, fmt.Errorf("replayed %d of %d: %w", i, len(ids), err)
		case all && errors.Is(err, intake.ErrNoLetter): // it went with another, or with time
			continue
		case err != nil:
			r = relay.Replayed{ID: id, Status: relay.Failed, Note: err.Error()}
		}
		out = append(out, r)
	}
	return out, nil
}

// planner plans with the rules of the doorhook that runs, or with those there are.
func (o *Operator) planner() (*intake.Intake, error) {
	if o.intake != nil {
		return o.intake, nil
	}
	set, err := rules.Load(o.settings.Rules, o.settings.RulesDir, o.settings.Getenv)
	if err != nil {
		return nil, err
	}
	return intake.New(set, o.store, intake.Options{}), nil
}
