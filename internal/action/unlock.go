package action

import (
	"context"
	"errors"
	"net/http"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// Kisi's codes for an unlock that is not needed and one that may work in a
// moment (error codes of the Kisi API).
const (
	alreadyScheduled = "fad110"
	inProgress       = "fad112"
)

// unlock opens a lock once. It leaves nothing behind that could be found,
// changed or taken back. Opening a door twice within its minute harms nobody,
// so an unlock whose answer got lost is sent again.
type unlock struct{ kisi *kisi.Client }

func (u unlock) create(ctx context.Context, a relay.Action) relay.Outcome {
	want, err := args[struct {
		LockID int64 `json:"lock_id"`
	}](a)
	if err != nil {
		return rejected(err)
	}
	err = u.kisi.Unlock(ctx, want.LockID)
	out := made(0, err)
	var e *kisi.Error
	if errors.As(err, &e) && e.Status == http.StatusConflict {
		switch e.Code {
		case alreadyScheduled:
			return relay.Outcome{Verdict: relay.OK}
		case inProgress:
			out.Verdict = relay.Retry
		}
	}
	if out.Verdict == relay.Unsure {
		out.Verdict = relay.Retry
	}
	return out
}

func (unlock) change(context.Context, relay.Action, int64) relay.Outcome {
	return rejected(errors.New("an unlock cannot be changed"))
}

func (unlock) revoke(context.Context, int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.Gone}
}

func (unlock) find(context.Context, relay.Action, time.Time, []int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}
