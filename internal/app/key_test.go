package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// keyring answers as its hours say, and notes when it was asked.
type keyring struct {
	start   time.Time
	answers func(since time.Duration) error
	asked   []time.Duration
	first   bool // whether anybody asked as if it were urgent
}

func (k *keyring) CurrentLogin(ctx context.Context) (kisi.Login, error) {
	since := time.Since(k.start)
	k.asked = append(k.asked, since)
	k.first = k.first || relay.PriorityOf(ctx) != relay.Whenever
	return kisi.Login{}, k.answers(since)
}

func TestUseKey(t *testing.T) {
	const hour = time.Hour
	refused := &kisi.Error{Op: "GET /login", Status: 401}
	between := func(from, to time.Duration, err error) func(time.Duration) error {
		return func(since time.Duration) error {
			if since >= from && since < to {
				return err
			}
			return nil
		}
	}
	tests := []struct {
		name    string
		answers func(time.Duration) error
		asked   []time.Duration
		log     []string
	}{
		{"works", between(0, 0, nil), []time.Duration{0, 6 * hour, 12 * hour}, nil},
		{
			"refused at the start, and replaced", between(0, 11*time.Minute, refused),
			[]time.Duration{0, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 6*hour + 15*time.Minute, 12*hour + 15*time.Minute},
			[]string{"ERROR kisi does not take the key", "INFO kisi takes the key again"},
		},
		{
			"forbidden", between(6*hour, 6*hour+time.Second, &kisi.Error{Op: "GET /login", Status: 403}),
			[]time.Duration{0, 6 * hour, 6*hour + 5*time.Minute, 12*hour + 5*time.Minute},
			[]string{"ERROR kisi does not take the key", "INFO kisi takes the key again"},
		},
		{
			"Kisi is away, then refuses",
			func(since time.Duration) error {
				switch {
				case since < 6*hour:
					return nil
				case since < 6*hour+7*time.Minute:
					return errors.New("no answer")
				case since < 6*hour+12*time.Minute:
					return refused
				}
				return nil
			},
			[]time.Duration{0, 6 * hour, 6*hour + 5*time.Minute, 6*hour + 10*time.Minute, 6*hour + 15*time.Minute, 12*hour + 15*time.Minute},
			[]string{"WARN the key for Kisi could not be tried", "ERROR kisi does not take the key", "INFO kisi takes the key again"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, log := &keyring{start: time.Now(), answers: tt.answers}, &safeBuffer{}
				ctx, cancel := context.WithTimeout(t.Context(), 12*hour+20*time.Minute)
				defer cancel()
				told := 0
				useKey(ctx, k, UseKey, slog.New(slog.NewTextHandler(log, nil)), func(relay.Happening) { told++ })
				if refusals := strings.Count(strings.Join(tt.log, " "), "ERROR"); told != refusals {
					t.Errorf("told %d times, want %d", told, refusals)
				}
				if !slices.Equal(k.asked, tt.asked) || k.first {
					t.Errorf("asked after %v, as if it were urgent: %v; want %v", k.asked, k.first, tt.asked)
				}
				lines := strings.Split(strings.TrimSpace(log.String()), "\n")
				if log.String() == "" {
					lines = nil
				}
				if len(lines) != len(tt.log) {
					t.Fatalf("log:\n%s\nwant %q", log, tt.log)
				}
				for i, want := range tt.log {
					level, text, _ := strings.Cut(want, " ")
					if !strings.Contains(lines[i], "level="+level) || !strings.Contains(lines[i], text) {
						t.Errorf("line %d is %s, want %s", i, lines[i], want)
					}
				}
			})
		})
	}
}

// TestServeUsesKey shows that Run uses the key at once, says what is wrong with it,
// and lets it go when it ends.
func TestServeUsesKey(t *testing.T) {
	h := startHouse(t, "", func(s *Settings, _ *fakeOptions) { s.Kisi.UseKey = UseKey; s.Kisi.APIKey = "revoked" })
	waitFor(t, "a word about the key", func() bool { return strings.Contains(h.log.String(), "make a new one in Kisi under My Account") })
}
