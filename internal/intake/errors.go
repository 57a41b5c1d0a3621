package intake

import (
	"errors"
	"fmt"
	"slices"

	"doorhook/internal/relay"
)

// Reasons for which a request is refused. The texts of these and of the types
// below are meant for the caller and hold nothing secret.
var (
	ErrUnknownTrigger = errors.New("there is no such trigger")
	ErrUnauthorized   = errors.New("the caller did not show that it may call this trigger")
	ErrForbidden      = errors.New("this trigger cannot be called from this address")
	ErrUnsupported    = errors.New("doorhook cannot read this kind of body")
	ErrTooLarge       = errors.New("the body is too large")

	errContentType = fmt.Errorf("%w: send JSON, XML, a form or a query string, with its content type", ErrUnsupported)
	errCompressed  = fmt.Errorf("%w: send it with the content encoding gzip, or without one", ErrUnsupported)
)

// UnauthorizedError is [ErrUnauthorized] with the HTTP authentication schemes
// that the trigger takes: "Bearer", "Basic", both or none.
type UnauthorizedError struct{ Schemes []string }

func (*UnauthorizedError) Error() string { return ErrUnauthorized.Error() }

func (*UnauthorizedError) Unwrap() error { return ErrUnauthorized }

func unauthorized(auths []relay.Auth) error {
	e := &UnauthorizedError{}
	for _, a := range auths {
		scheme, ok := map[string]string{"bearer": "Bearer", "basic": "Basic"}[a.Kind]
		if ok && !slices.Contains(e.Schemes, scheme) {
			e.Schemes = append(e.Schemes, scheme)
		}
	}
	return e
}

// UnreadableError says what is wrong with what was sent, and where.
type UnreadableError struct {
	Line, Col int // counted from 1, in characters; 0 if there is no position
	Offset    int // in bytes, counted from 0
	Reason    string
}

func (e *UnreadableError) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Col, e.Reason)
}

func unreadable(format string, args ...any) error {
	return &UnreadableError{Reason: fmt.Sprintf(format, args...)}
}

// UndecidedError says that the rules could make nothing of an event.
type UndecidedError struct {
	Problems []string // at least one
}

func (e *UndecidedError) Error() string { return e.Problems[0] }

func undecided(p relay.Plan) error {
	if len(p.Problems) == 0 {
		return &UndecidedError{Problems: []string{"the rules could make nothing of this event"}}
	}
	return &UndecidedError{Problems: problemTexts(p)}
}

func problemTexts(p relay.Plan) []string {
	texts := make([]string, len(p.Problems))
	for i, problem := range p.Problems {
		texts[i] = problem.Error()
	}
	return texts
}
