package kisi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
)

const (
	lockA  = 22281
	groupA = 32693
)

// start runs a fake Kisi without its rate limit.
func start(t *testing.T, o kisifake.Options) (*kisifake.Server, string) {
	t.Helper()
	if o.Rate == 0 {
		o.Rate = -1
	}
	s := kisifake.New(o)
	url, err := s.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, url
}

// client makes a client for the Kisi at url; with an API key unless o says
// something else.
func client(t *testing.T, url string, o kisi.Options) *kisi.Client {
	t.Helper()
	o.URL = url
	if o.APIKey == "" && o.Email == "" {
		o.APIKey = kisifake.DefaultKey
	}
	c, err := kisi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// site is both at once.
func site(t *testing.T) (*kisifake.Server, *kisi.Client) {
	t.Helper()
	s, url := start(t, kisifake.Options{})
	return s, client(t, url, kisi.Options{})
}

// answering is a client of a server that answers everything with do.
func answering(t *testing.T, do http.HandlerFunc) *kisi.Client {
	t.Helper()
	return client(t, server(t, do), kisi.Options{})
}

// server answers everything with do.
func server(t *testing.T, do http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(do)
	t.Cleanup(s.Close)
	return s.URL
}

// failure wants err to be what a client gives.
func failure(t *testing.T, err error) *kisi.Error {
	t.Helper()
	e, ok := errors.AsType[*kisi.Error](err)
	if !ok {
		t.Fatalf("got %v, want a *kisi.Error", err)
	}
	return e
}

func studio(start, end time.Time) kisi.Schedule {
	return kisi.Schedule{
		Name: "Booking 8f3a", Consequence: "unlock", ScheduleableType: "Lock", ScheduleableID: lockA,
		StartsAt: start, EndsAt: end,
	}
}

// morning is 09:00 to 10:30 UTC, said in a zone that is five hours behind.
func morning() (start, end time.Time) {
	zone := time.FixedZone("", -5*3600)
	return time.Date(2026, 10, 10, 4, 0, 0, 0, zone), time.Date(2026, 10, 10, 5, 30, 0, 0, zone)
}

// memory keeps logins for one process.
type memory struct {
	mu      sync.Mutex
	kept    map[string]string
	signIns int
}

func (m *memory) Login(ctx context.Context, account, stale string, signIn func(context.Context) (string, error)) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text := m.kept[account]; text != "" && text != stale {
		return text, nil
	}
	m.signIns++
	text, err := signIn(ctx)
	if err != nil {
		return "", err
	}
	if m.kept == nil {
		m.kept = map[string]string{}
	}
	m.kept[account] = text
	return text, nil
}
