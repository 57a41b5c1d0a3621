package web

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"

	"github.com/gofiber/fiber/v2"
)

// note is what a handler adds to the line its request leaves in the log.
type note struct {
	trigger, event, outcome string
	route                   string   // of what has none of Fiber's
	problems                []string // of rules and actions, as the answer has them
}

type noteKey struct{}

func noteOf(c *fiber.Ctx) *note {
	n, ok := c.Locals(noteKey{}).(*note)
	if !ok {
		n = &note{}
		c.Locals(noteKey{}, n)
	}
	return n
}

// observe is around every handler: errors and panics become answers, and the
// request leaves one line.
func (s *Server) observe(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	route, err := guarded(c)
	if err != nil {
		s.fail(c, err)
	}
	s.logRequest(c, route, time.Since(c.Context().Time()), err)
	return nil
}

const unmatched = "unmatched"

// guarded runs the handler and says which route it was. A panic that Fiber does
// not catch ends the process.
func guarded(c *fiber.Ctx) (route string, err error) {
	own := c.Route().Path
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
		if route = strings.Clone(c.Route().Path); route == own { // nothing beyond the middleware matched
			route = unmatched
		}
	}()
	return "", c.Next()
}

// refuse answers requests that no handler of ours has seen: fasthttp could not
// read them.
func (s *Server) refuse(c *fiber.Ctx, err error) error {
	if s.problemOf(err).Status == http.StatusRequestEntityTooLarge {
		drain(c.Context().Conn())
		// After a chunked body fasthttp has forgotten the head.
		if head := &c.Request().Header; len(head.RequestURI()) > 1 {
			err = s.tooLarge(head)
		}
	}
	s.fail(c, err)
	select {
	case <-s.closing: // it is we who cut it off
	default:
		s.logRequest(c, unmatched, 0, err)
	}
	return nil
}

const (
	drainBytes = 16 << 20
	drainTime  = 2 * time.Second
	drainIdle  = 150 * time.Millisecond
)

// drain reads what a client is still sending, within limits. A connection that is
// closed with data unread is reset, and the client never sees the answer.
func drain(conn net.Conn) {
	end := time.Now().Add(drainTime) //nolint:forbidigo // deadlines of sockets are in real time
	buf := make([]byte, 32<<10)
	for total := 0; total < drainBytes; {
		idle := time.Now().Add(drainIdle) //nolint:forbidigo // as above
		if idle.After(end) {
			idle = end
		}
		if err := conn.SetReadDeadline(idle); err != nil {
			return
		}
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		total += n
	}
}

// unlogged reports whether a request that ended with err has a line in the log, and how
// many like it had none since the last. Callers who are refused, and come again, write as
// little as one does: those whom nobody knows, and those for whom there is too much to do.
func (s *Server) unlogged(n *note, err error) (before int, now bool) {
	switch {
	case err == nil:
		return 0, true
	case errors.Is(err, intake.ErrUnauthorized), errors.Is(err, intake.ErrForbidden):
		return s.quiet.turn(n.trigger, s.now())
	case errors.Is(err, relay.ErrBusy):
		return s.busy.turn(n.trigger, s.now())
	}
	return 0, true
}

// mostAttrs is how many a line in the log has at most.
const mostAttrs = 10

// logRequest leaves the one line of a request. The path stays out of it beyond the
// trigger's name, and so do query, headers and body: they carry credentials.
func (s *Server) logRequest(c *fiber.Ctx, route string, took time.Duration, err error) {
	n := noteOf(c)
	unlogged, now := s.unlogged(n, err)
	if !now {
		return
	}
	level, status := slog.LevelInfo, c.Response().StatusCode()
	attrs := append(make([]slog.Attr, 0, mostAttrs),
		slog.String("method", strings.Clone(c.Method())),
		slog.String("route", cmp.Or(n.route, route)),
		slog.Int("status", status),
		slog.Duration("took", took),
	)
	if n.trigger != "" && !errors.Is(err, intake.ErrUnknownTrigger) { // what is no trigger may be anything, a token in the wrong place too
		attrs = append(attrs, slog.String("trigger", n.trigger))
	}
	if n.event != "" {
		attrs = append(attrs, slog.String("event", n.event))
	}
	if err != nil {
		n.outcome = s.problemOf(err).Title
	}
	if u, ok := errors.AsType[*intake.UndecidedError](err); ok {
		n.problems = u.Problems
	}
	attrs = append(attrs, slog.String("outcome", n.outcome))
	if unlogged > 0 {
		attrs = append(attrs, slog.Int("and_before", unlogged))
	}
	if len(n.problems) > 0 {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Any("problems", n.problems))
	}
	if status >= http.StatusInternalServerError {
		if level = slog.LevelError; errors.Is(err, relay.ErrBusy) {
			level = slog.LevelWarn
		}
		attrs = append(attrs, slog.Any("err", err))
	}
	s.o.Log.LogAttrs(c.UserContext(), level, "request", attrs...)
}
