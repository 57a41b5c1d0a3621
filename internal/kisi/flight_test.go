package kisi

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// gate is a Logins whose first answer waits until it is told what to be.
type gate struct {
	asked int
	first chan error
}

func (g *gate) Login(ctx context.Context, account, _ string, _ func(context.Context) (string, error)) (string, error) {
	g.asked++
	if g.asked == 1 {
		select {
		case err := <-g.first:
			return "", err
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	s, err := newSeal("password", account)
	return s.close("secret"), err
}

// waitTogether lets one request sign in, with ctx, and ten others wait for it.
// It gives the errors of the ten, once end has ended the sign-in.
func waitTogether(ctx context.Context, t *testing.T, g *gate, end func()) []error {
	t.Helper()
	c, err := New(Options{URL: "http://localhost", Email: "a@b.c", Password: "password", Logins: g})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.ticket(ctx, ""); err == nil {
			t.Error("the first request got a ticket")
		}
	})
	synctest.Wait()
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() { _, errs[i] = c.ticket(t.Context(), "") })
	}
	synctest.Wait()
	end()
	wg.Wait()
	return errs
}

// A request that is given up while it signs in for all does not fail the others.
func TestOthersSignInOnTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := &gate{first: make(chan error)}
		if err := errors.Join(waitTogether(ctx, t, g, cancel)...); err != nil || g.asked != 2 {
			t.Errorf("asked %d times, %v", g.asked, err)
		}
	})
}

// Whoever waited for a sign-in that failed does not try it again: many wrong
// passwords in a row would lock the account.
func TestFailedSignInIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{first: make(chan error)}
		for _, err := range waitTogether(t.Context(), t, g, func() { g.first <- errors.New("refused") }) {
			if e, ok := errors.AsType[*Error](err); !ok || !e.Unsent {
				t.Errorf("got %v", err)
			}
		}
		if g.asked != 1 {
			t.Errorf("asked %d times", g.asked)
		}
	})
}
