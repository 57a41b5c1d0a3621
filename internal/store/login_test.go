package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorhook/internal/relay"
)

func TestOnlyOneSignsIn(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		stores := []*Store{b.open(t), b.open(t), b.open(t)}
		var calls atomic.Int64
		signIn := func(context.Context) (string, error) {
			time.Sleep(20 * time.Millisecond)
			return "login" + string('0'+rune(calls.Add(1))), nil
		}
		for round, stale := range []string{"", "login1", "login1"} { // the third time it is known already
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					expect := []string{"login1", "login2", "login2"}[round]
					if got, err := stores[i%3].Login(ctx, "ada@example.com", stale, signIn); got != expect || err != nil {
						t.Errorf("round %d: %s, %v", round, got, err)
					}
				})
			}
			wg.Wait()
		}
		if calls.Load() != 2 {
			t.Errorf("%d sign-ins, want 2", calls.Load())
		}
		if ttl := b.rdb.PTTL(ctx, b.key("login:ada@example.com")).Val(); ttl != -1 {
			t.Errorf("the login expires in %s", ttl)
		}
		if keys := strings.Join(b.all(t), " "); strings.Contains(keys, "lock") {
			t.Errorf("the lock stays: %s", keys)
		}
	})
}

func TestFailedSignInLetsTheNextTry(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		refused := errors.New("wrong password")
		_, err := s.Login(ctx, "a", "", func(context.Context) (string, error) { return "ignored", refused })
		if !errors.Is(err, refused) {
			t.Errorf("error %v", err)
		}
		if _, err := s.Login(ctx, "a", "", func(context.Context) (string, error) { return "", nil }); err == nil {
			t.Error("an empty login was kept")
		}
		got, err := s.Login(ctx, "a", "", func(context.Context) (string, error) { return "in", nil })
		if got != "in" || err != nil {
			t.Errorf("%s, %v", got, err)
		}
		if got, _ := s.Login(ctx, "b", "", func(context.Context) (string, error) { return "other", nil }); got != "other" {
			t.Errorf("another account got %s", got)
		}
	})
}

func TestSignInIsKeptThoughItsCallerLeft(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		leaving, leave := context.WithCancel(ctx)
		got, err := s.Login(leaving, "a", "", func(context.Context) (string, error) { leave(); return "in", nil })
		if got != "in" || err != nil {
			t.Errorf("%s, %v", got, err)
		}
		if kept := b.rdb.Get(ctx, b.key("login:a")).Val(); kept != "in" {
			t.Errorf("kept %q", kept)
		}
	})
}

func TestWaitingForALoginEnds(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		b.rdb.Set(ctx, b.key("login-lock:a"), "another", time.Minute)
		short, stop := context.WithTimeout(ctx, 120*time.Millisecond)
		defer stop()
		_, err := s.Login(short, "a", "", func(context.Context) (string, error) { t.Error("signed in"); return "", nil })
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, relay.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
	})
}

func TestWhoLostTheLockDoesNotOverwrite(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		_, err := s.Login(ctx, "a", "", func(context.Context) (string, error) {
			b.rdb.Set(ctx, b.key("login-lock:a"), "another", time.Minute)
			b.rdb.Set(ctx, b.key("login:a"), "newer", 0)
			return "older", nil
		})
		if err != nil {
			t.Error(err)
		}
		if kept := b.rdb.Get(ctx, b.key("login:a")).Val(); kept != "newer" {
			t.Errorf("kept %q", kept)
		}
		if lock := b.rdb.Get(ctx, b.key("login-lock:a")).Val(); lock != "another" {
			t.Errorf("took another's lock: %q", lock)
		}
	})
}
