package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/store"
)

// Online compares the locks and groups that the rules name with those that Kisi
// has. What is not there is a mistake; what the key of s may perhaps not do is a
// doubt. An error is a Kisi that cannot be asked.
func Online(ctx context.Context, s Settings, set *rules.Set) (mistakes, doubts rules.Errors, err error) {
	client, done, err := s.askKisi(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	seen, err := see(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	var there []rules.Use
	for _, u := range set.Uses() {
		if e := seen.mistake(u); e != nil {
			mistakes = append(mistakes, e)
			continue
		}
		there = append(there, u)
		doubts = append(doubts, seen.restrictions(u)...)
	}
	if len(there) == 0 {
		return distinct(mistakes), nil, nil
	}
	rights, err := client.Rights(ctx)
	if err != nil {
		doubts = append(doubts, there[0].Errorf("whether the key may do this is not known: %v", err))
	} else {
		doubts = append(doubts, seen.missing(rights, there)...)
	}
	return distinct(mistakes), distinct(doubts), nil
}

// askKisi makes a client for a command that asks Kisi a few things and ends. done
// lets go of it.
func (s Settings) askKisi(ctx context.Context) (client *kisi.Client, done func(), err error) {
	s = s.withDefaults()
	if err := s.checkRate(); err != nil {
		return nil, nil, err
	}
	if s.Redis != "" {
		return s.askShared(ctx)
	}
	if s.Kisi.Email != "" {
		return nil, nil, errors.New("doorhook's sign-in to Kisi is shared through Redis: set DOORHOOK_REDIS, or use KISI_API_KEY instead of KISI_EMAIL")
	}
	o := s.kisiOptions(nil)
	if s.Kisi.Rate > 0 {
		o.Wait = pace(time.Second / time.Duration(s.Kisi.Rate))
	}
	if client, err = kisi.New(o); err != nil {
		return nil, nil, err
	}
	return client, client.Close, nil
}

// askShared shares the sign-in and the limit on requests with the doorhooks that run.
func (s Settings) askShared(ctx context.Context) (*kisi.Client, func(), error) {
	st, err := store.Open(ctx, s.storeOptions())
	if err != nil {
		return nil, nil, err
	}
	client, err := kisi.New(s.kisiOptions(st))
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return client, func() { client.Close(); _ = st.Close() }, nil
}

// pace lets one request through at a time, and then none for d: others may ask
// Kisi as the same user.
func pace(d time.Duration) func(context.Context) error {
	turns := time.NewTicker(d)
	return func(ctx context.Context) error {
		select {
		case <-turns.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// seen is what Kisi has.
type seen struct {
	locks                 map[int64]kisi.Lock
	groups                map[int64]kisi.Group
	lockNames, groupNames map[int64]string
}

func see(ctx context.Context, client *kisi.Client) (seen, error) {
	s := seen{locks: map[int64]kisi.Lock{}, groups: map[int64]kisi.Group{}, lockNames: map[int64]string{}, groupNames: map[int64]string{}}
	locks, err := client.Locks(ctx)
	if err != nil {
		return s, fmt.Errorf("list the doors in Kisi: %w", err)
	}
	groups, err := client.Groups(ctx)
	if err != nil {
		return s, fmt.Errorf("list the groups in Kisi: %w", err)
	}
	for _, l := range locks {
		s.locks[l.ID], s.lockNames[l.ID] = l, l.Name
	}
	for _, g := range groups {
		s.groups[g.ID], s.groupNames[g.ID] = g, g.Name
	}
	return s, nil
}

// mistake is what is wrong with u, or nil.
func (s seen) mistake(u rules.Use) *rules.Error {
	lock, isLock := s.lockNames[u.ID]
	group, isGroup := s.groupNames[u.ID]
	switch {
	case u.Lock && isLock:
		return nil
	case u.Lock && isGroup:
		return u.Errorf("%d is a group, %s, and not a lock", u.ID, oneLine(group))
	case u.Lock:
		return u.Missing(s.lockNames)
	case !isGroup && isLock:
		return u.Errorf("%d is a lock, %s, and not a group", u.ID, oneLine(lock))
	case !isGroup:
		return u.Missing(s.groupNames)
	}
	if n := s.groups[u.ID].LocksCount; u.For == relay.Schedule && n != nil && *n == 0 {
		return u.Errorf("the group %d, %s, has no locks: a schedule for it opens nothing", u.ID, oneLine(group))
	}
	return nil
}

// restrictions are what in Kisi keeps an unlock from the outside from opening u.
func (s seen) restrictions(u rules.Use) rules.Errors {
	var out rules.Errors
	lock := s.locks[u.ID]
	if u.For != relay.Unlock {
		return nil
	}
	if lock.Geofence {
		out = append(out, u.Errorf("lock %d, %s, opens only to somebody near it (geofence restriction): Kisi refuses this unlock", u.ID, oneLine(lock.Name)))
	}
	if lock.ReaderOnly {
		out = append(out, u.Errorf("lock %d, %s, opens only with a phone at its reader (reader restriction): Kisi refuses this unlock", u.ID, oneLine(lock.Name)))
	}
	return out
}

// missing are the permissions that no role shows, each where it is first needed.
func (s seen) missing(rights kisi.Rights, uses []rules.Use) rules.Errors {
	var out rules.Errors
	said := map[kisi.Permission]bool{}
	for _, u := range uses {
		for _, p := range s.needs(u) {
			if said[p] || s.shown(rights, p, u) {
				continue
			}
			said[p] = true
			out = append(out, u.Errorf("Kisi shows no role of this key's user with %s for %s, which %s needs: "+
				"use the key of an organization owner, or give its user a role with that in Kisi; a role through a team is not shown, and may do", p, u, u.For))
		}
	}
	return out
}

func (s seen) needs(u rules.Use) []kisi.Permission {
	if u.Guarded || u.For == relay.Schedule && !u.Lock {
		return append(slices.Clone(needs[u.For]), kisi.ReadGroupLocks)
	}
	return needs[u.For]
}

// shown reports whether some role allows p for u. A role in any group counts for a
// lock: which groups a lock is in is not asked.
func (s seen) shown(rights kisi.Rights, p kisi.Permission, u rules.Use) bool {
	if !u.Lock {
		_, ok := rights.May(p, s.groups[u.ID].PlaceID, u.ID)
		return ok
	}
	if _, ok := rights.May(p, s.locks[u.ID].PlaceID); ok {
		return true
	}
	return slices.ContainsFunc(rights, func(r kisi.Right) bool { return r.AppliesTo == "Group" && r.Permissions[p] })
}

// distinct drops what is said a second time: two rules may take the same id.
func distinct(all rules.Errors) rules.Errors {
	var out rules.Errors
	for _, e := range all {
		if !slices.ContainsFunc(out, func(o *rules.Error) bool { return *o == *e }) {
			out = append(out, e)
		}
	}
	return out
}

// oneLine is a name as Kisi has it, without what would spoil a line.
func oneLine(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, name)
}
