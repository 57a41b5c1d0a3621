package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"doorhook/internal/relay"
)

// logAttempt is the one line an attempt leaves. Nothing below it logs.
func (w *Worker) logAttempt(ctx context.Context, j relay.Job, a relay.Action, s step, out relay.Outcome, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case out.Verdict == relay.Rejected, j.Have[s.held].Revokes > 1 && s.op == revoke: // once may be Kisi's limit
		level = slog.LevelError
	case out.Err != nil:
		level = slog.LevelWarn
	}
	if !w.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("job", j.ID), slog.String("event", j.EventID), slog.String("rule", a.Rule), slog.String("action", string(a.Kind)),
		slog.String("step", s.op.String()), slog.String("verdict", out.Verdict.String()), slog.Duration("took", took),
	}
	if object := cmp.Or(out.Object, s.object); object != 0 {
		attrs = append(attrs, slog.Int64("object", object))
	}
	if s.op == look && out.Err == nil {
		attrs = append(attrs, slog.Bool("used", out.Used))
	}
	if out.Err != nil {
		h := j.Have[s.held]
		attempts, again := h.Attempts, h.RetryAt
		if s.op == revoke {
			attempts, again = h.Revokes, h.RevokeAt
		}
		attrs = append(attrs, slog.Int("attempts", attempts), slog.Any("err", out.Err))
		if !again.IsZero() {
			attrs = append(attrs, slog.Time("retry_at", again))
		}
	}
	w.log.LogAttrs(ctx, level, "attempt", attrs...)
}

// logStore says once that the store is gone, and once that it is back.
func (w *Worker) logStore(ctx context.Context, err error) {
	if err == nil {
		w.log.InfoContext(ctx, "the store answers again")
		return
	}
	if errors.Is(err, relay.ErrUnavailable) {
		w.log.ErrorContext(ctx, "no job can be claimed: the store does not answer", "err", err)
		return
	}
	w.log.ErrorContext(ctx, "claiming jobs went wrong", "err", err)
}
