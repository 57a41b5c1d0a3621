package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// UseKey is how often the key for Kisi is used if nothing else is said. Kisi lets
// one that nobody uses expire: after six months, on older pages after 14 days.
const UseKey = 6 * time.Hour

// keyRetry is how long after a failure the key is tried again.
const keyRetry = 5 * time.Minute

// keyed is the part of the Kisi client that uses the key and does nothing.
type keyed interface {
	CurrentLogin(ctx context.Context) (kisi.Login, error)
}

// useKey uses the key now and every so often, until ctx ends. It logs when the key
// stops working and when it works again, and not every time.
func useKey(ctx context.Context, k keyed, every time.Duration, log *slog.Logger, tell func(relay.Happening)) {
	const works, refused, unknown = "works", "refused", "unknown"
	ctx = relay.WithPriority(ctx, relay.Whenever)
	for was := works; ; {
		_, err := k.CurrentLogin(ctx)
		if ctx.Err() != nil {
			return
		}
		is, pause := works, every
		var e *kisi.Error
		switch {
		case err == nil:
		case errors.As(err, &e) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
			is, pause = refused, min(every, keyRetry)
		default:
			is, pause = unknown, min(every, keyRetry)
		}
		switch {
		case is == was:
		case is == works:
			log.InfoContext(ctx, "kisi takes the key again")
		case is == refused:
			log.ErrorContext(ctx, "kisi does not take the key: nothing opens until there is a new one", "err", err)
			tell(failing(err, time.Now()))
		default:
			log.WarnContext(ctx, "the key for Kisi could not be tried", "err", err)
		}
		was = is
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// failing says that Kisi does not take the key, which all doorhooks have.
func failing(err error, now time.Time) relay.Happening {
	return relay.Happening{
		Type: relay.KeyFailing, ID: now.UTC().Format("2006-01-02T15"), At: now, Says: map[string]any{"error": err.Error()},
	}
}
