package action

import (
	"errors"
	"net/http"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// What an answer of Kisi means depends on what was asked: a create that got no
// answer may have had its effect, a delete can simply be sent again. These are
// the only functions that decide whether another attempt is worth making.

// made is the outcome of a create.
func made(object int64, err error) relay.Outcome {
	if err == nil {
		return relay.Outcome{Verdict: relay.OK, Object: object}
	}
	e, out := unpack(err)
	switch {
	case untried(err):
		out.Verdict = relay.Untried
	case final(e):
		out.Verdict = relay.Rejected
	case e.Unsent || e.Status == http.StatusTooManyRequests:
		out.Verdict = relay.Retry
	default: // no answer, one that could not be read, or 5xx: Kisi may have done it
		out.Verdict = relay.Unsure
	}
	return out
}

// repeatable is the outcome of a request that may be sent any number of times.
func repeatable(err error) relay.Outcome {
	if err == nil {
		return relay.Outcome{Verdict: relay.OK}
	}
	e, out := unpack(err)
	switch {
	case untried(err):
		out.Verdict = relay.Untried
	case final(e):
		out.Verdict = relay.Rejected
	default:
		out.Verdict = relay.Retry
	}
	return out
}

// changed is the outcome of a change in place.
func changed(err error) relay.Outcome {
	if gone(err) {
		return relay.Outcome{Verdict: relay.Gone}
	}
	return repeatable(err)
}

// revoked is the outcome of a delete. What is not there is deleted.
func revoked(err error) relay.Outcome {
	if gone(err) {
		return relay.Outcome{Verdict: relay.Gone}
	}
	return insisting(repeatable(err))
}

// insisting makes an outcome one that is tried again whatever was answered.
func insisting(out relay.Outcome) relay.Outcome {
	if out.Verdict == relay.Rejected {
		out.Verdict = relay.Retry
	}
	return out
}

// untried reports whether nothing was asked of Kisi: it is down, or others went first.
func untried(err error) bool {
	return errors.Is(err, kisi.ErrDown) || errors.Is(err, relay.ErrUntried)
}

// final reports whether Kisi said no to the request itself, so that the same
// request would get the same answer.
func final(e *kisi.Error) bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 300 && e.Status < 500
}

func gone(err error) bool { return answered(err, http.StatusNotFound) }

// answered reports whether Kisi said status to the request itself.
func answered(err error, status int) bool {
	e, ok := errors.AsType[*kisi.Error](err)
	return ok && e.Status == status && !e.Unsent
}

func unpack(err error) (*kisi.Error, relay.Outcome) {
	e := &kisi.Error{}
	if !errors.As(err, &e) {
		e = &kisi.Error{Unsent: true} // it went wrong before there was a request
	}
	return e, relay.Outcome{After: e.RetryAfter, Err: err}
}

func rejected(err error) relay.Outcome {
	return relay.Outcome{Verdict: relay.Rejected, Err: err}
}
