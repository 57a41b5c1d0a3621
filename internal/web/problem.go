package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"

	"github.com/gofiber/fiber/v2"
)

// problem is an RFC 9457 problem.
type problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail,omitempty"`
	Line   int      `json:"line,omitempty"`
	Column int      `json:"column,omitempty"`
	Offset *int     `json:"offset,omitempty"`
	Errors []string `json:"errors,omitempty"`
}

// problemOf is the only code that turns an error into a status. It shows the text
// of those errors that are meant for callers, and of no other.
func (s *Server) problemOf(err error) problem {
	var (
		unreadable *intake.UnreadableError
		undecided  *intake.UndecidedError
		notReady   *notReadyError
		tooLarge   *tooLargeError
		edge       *fiber.Error
	)
	switch {
	case errors.As(err, &unreadable):
		return unreadableProblem(unreadable)
	case errors.Is(err, intake.ErrUnauthorized):
		return ours(http.StatusUnauthorized, "unauthorized", "Not authorized", intake.ErrUnauthorized.Error())
	case errors.Is(err, intake.ErrForbidden):
		return ours(http.StatusForbidden, "forbidden", "Forbidden", intake.ErrForbidden.Error())
	case errors.As(err, &tooLarge):
		return plain(http.StatusRequestEntityTooLarge, tooLarge.Error())
	case errors.Is(err, intake.ErrTooLarge):
		return plain(http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, intake.ErrUnknownTrigger):
		return ours(http.StatusNotFound, "unknown-trigger", "Unknown trigger", intake.ErrUnknownTrigger.Error())
	case errors.Is(err, intake.ErrUnsupported):
		return ours(http.StatusUnsupportedMediaType, "unsupported", "Unsupported body", err.Error())
	case errors.As(err, &undecided):
		p := ours(http.StatusUnprocessableEntity, "undecided", "Nothing could be decided", undecided.Error())
		p.Errors = undecided.Problems
		return p
	case errors.As(err, &notReady):
		return ours(http.StatusServiceUnavailable, "not-ready", "Not ready", notReady.Error())
	case errors.Is(err, errNoAdminToken):
		return ours(http.StatusForbidden, "no-admin-token", "No admin token is set", errNoAdminToken.Error())
	case errors.Is(err, errNotOperator):
		return ours(http.StatusUnauthorized, "unauthorized", "Not authorized", errNotOperator.Error())
	case errors.Is(err, errUnknownJob):
		return ours(http.StatusNotFound, "unknown-job", "Unknown job", errUnknownJob.Error())
	case errors.Is(err, relay.ErrTooFarBack):
		return ours(http.StatusUnprocessableEntity, "too-far-back", "Too far back", err.Error())
	case errors.Is(err, relay.ErrNotKisi):
		return ours(http.StatusUnprocessableEntity, "not-kisi", "Not a trigger of Kisi", relay.ErrNotKisi.Error())
	case errors.Is(err, errStoreAway):
		return ours(http.StatusServiceUnavailable, "unavailable", "Unavailable", errStoreAway.Error())
	case errors.Is(err, relay.ErrBusy):
		return ours(http.StatusServiceUnavailable, "busy", "Busy", "too much work waits already, so nothing was accepted; send it again later")
	case errors.Is(err, relay.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return ours(http.StatusServiceUnavailable, "unavailable", "Unavailable", "the event may not have been accepted; send it again")
	case errors.As(err, &edge):
		return s.edgeProblem(edge.Code)
	}
	return plain(http.StatusInternalServerError, "internal error")
}

func unreadableProblem(e *intake.UnreadableError) problem {
	p := ours(http.StatusBadRequest, "unreadable", "Unreadable request", e.Error())
	if e.Line > 0 {
		p.Line, p.Column, p.Offset = e.Line, e.Col, &e.Offset
	}
	return p
}

// edgeProblem does without the texts of Fiber and fasthttp, which quote what was
// sent: a header in them may be a credential.
func (s *Server) edgeProblem(status int) problem {
	switch status {
	case http.StatusNotFound:
		return plain(status, "there is nothing here; triggers are at /hooks/ and their name")
	case http.StatusMethodNotAllowed:
		return plain(status, "the header Allow names the methods that can be used here")
	case http.StatusRequestTimeout:
		return plain(status, "the request did not arrive in time")
	case http.StatusRequestEntityTooLarge:
		return plain(status, (&tooLargeError{s.o.BodyLimit}).Error())
	case http.StatusRequestHeaderFieldsTooLarge:
		return plain(status, fmt.Sprintf("the address and the headers are larger than %d bytes", headerLimit))
	case http.StatusBadRequest:
		return plain(status, "this is not a proper HTTP request")
	}
	return plain(status, "")
}

// tooLargeError says how much a caller may send.
type tooLargeError struct{ most int }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("the body is larger than %d bytes", e.most)
}

func plain(status int, detail string) problem {
	return problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// ours is a problem that a program may want to tell apart by its type.
func ours(status int, kind, title, detail string) problem {
	return problem{Type: "urn:doorhook:problem:" + kind, Title: title, Status: status, Detail: detail}
}

// fail answers with err.
func (s *Server) fail(c *fiber.Ctx, err error) {
	p := s.problemOf(err)
	switch p.Status {
	case http.StatusUnauthorized:
		challenge(c, err)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		// Zapier understands whole seconds only.
		seconds := (s.o.RetryAfter + time.Second - 1) / time.Second
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(seconds)))
	}
	body, _ := json.Marshal(p) // texts and numbers always have JSON
	c.Status(p.Status).Set(fiber.HeaderContentType, "application/problem+json")
	_ = c.Send(body) // always nil
}

// challenge names the schemes of the trigger. One that takes a header or a query
// parameter has none that is standard, yet every 401 must name one.
func challenge(c *fiber.Ctx, err error) {
	if errors.Is(err, errNotOperator) {
		c.Set(fiber.HeaderWWWAuthenticate, "Bearer")
		return
	}
	var e *intake.UnauthorizedError
	if !errors.As(err, &e) || len(e.Schemes) == 0 {
		c.Set(fiber.HeaderWWWAuthenticate, "Doorhook")
		return
	}
	for _, scheme := range e.Schemes {
		if scheme == "Basic" {
			scheme += ` realm="doorhook", charset="UTF-8"` // not valid without a realm
		}
		c.Response().Header.Add(fiber.HeaderWWWAuthenticate, scheme)
	}
}
