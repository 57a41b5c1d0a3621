package web

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"doorhook/internal/intake"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

func hookMethods() []string {
	return []string{fiber.MethodPost, fiber.MethodPut, fiber.MethodGet}
}

// hook serves POST, PUT and GET /hooks/{trigger}.
func (s *Server) hook(c *fiber.Ctx) error {
	req, err := s.requestOf(c)
	if err != nil {
		return err
	}
	noteOf(c).trigger = req.Trigger
	return s.receive(c, req)
}

func (s *Server) receive(c *fiber.Ctx, req intake.Request) error {
	ctx := c.UserContext()
	if wait, _ := req.Wait(); wait > 0 { // one that cannot be read is refused in its turn, after auth
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.o.Timeout+min(wait, s.o.MaxWait))
		defer cancel()
	}
	answer, err := s.in.Receive(ctx, req)
	if err != nil {
		return err
	}
	n := noteOf(c)
	n.trigger, n.event, n.outcome, n.problems = cmp.Or(n.trigger, answer.Trigger), answer.EventID, string(answer.Status), answer.Errors
	body, err := answer.MarshalJSON() // c.JSON would read it once more, to see whether it is JSON
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(body)
}

// alias serves what no route is for: its address may be the alias of a trigger. It has
// no name in the log.
func (s *Server) alias(c *fiber.Ctx) error {
	if !slices.Contains(hookMethods(), c.Method()) {
		return c.Next()
	}
	req, err := s.requestOf(c)
	req.Alias = string(c.Request().URI().PathOriginal())
	if _, unknown := s.in.Allow(intake.Request{Alias: req.Alias}); errors.Is(unknown, intake.ErrUnknownTrigger) {
		return c.Next()
	}
	noteOf(c).route = "alias"
	if err != nil {
		return err
	}
	return s.receive(c, req)
}

// requestOf copies everything: what c lends is overwritten by the next request.
func (s *Server) requestOf(c *fiber.Ctx) (intake.Request, error) {
	req := intake.Request{
		Trigger:     strings.Clone(c.Params("trigger")),
		Method:      strings.Clone(c.Method()),
		ContentType: string(c.Request().Header.ContentType()),
		Header:      headerOf(&c.Request().Header),
		// Not c.Body, which unpacks compressed bodies without a limit.
		Body: bytes.Clone(c.BodyRaw()),
	}
	req.From = s.caller(c.Context().RemoteIP(), req.Header["X-Forwarded-For"])
	req.ContentEncoding = strings.Join(req.Header["Content-Encoding"], ", ")
	if text := c.Request().URI().QueryString(); len(text) > 0 {
		query, err := url.ParseQuery(string(text))
		if err != nil {
			return req, &intake.UnreadableError{Reason: "the query string is not properly encoded"}
		}
		req.Query = query
	}
	return req, nil
}

// strangerBody is how much a caller may send who has not shown that it may call. The
// server makes room for as much as a request announces. A caller who signs its body has to
// send it first; far more than any of those who do is signerBody.
const (
	strangerBody = 4 << 10
	signerBody   = 256 << 10
)

// limits is asked when the head of a request has come.
func (s *Server) limits(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if n := h.ContentLength(); n >= 0 && n <= strangerBody {
		return fasthttp.RequestConfig{}
	}
	switch bySignature, err := s.allow(h); {
	case err != nil:
		return fasthttp.RequestConfig{MaxRequestBodySize: strangerBody}
	case bySignature:
		return fasthttp.RequestConfig{MaxRequestBodySize: min(signerBody, s.o.BodyLimit)}
	}
	return fasthttp.RequestConfig{}
}

// tooLarge is why a body with this head was not taken.
func (s *Server) tooLarge(h *fasthttp.RequestHeader) error {
	switch bySignature, err := s.allow(h); {
	case errors.Is(err, intake.ErrUnauthorized):
		req, _, _ := addressed(h)
		s.in.Refuse(req)
		return err
	case err != nil:
		return err
	case bySignature:
		return &tooLargeError{min(signerBody, s.o.BodyLimit)}
	}
	return &tooLargeError{s.o.BodyLimit}
}

// allow asks whether the request with this head may call its trigger, or the
// operator's API. bySignature says that only its body can show it.
func (s *Server) allow(h *fasthttp.RequestHeader) (bySignature bool, err error) {
	req, path, err := addressed(h)
	if strings.HasPrefix(path, apiPath) {
		return false, s.allowOperator(headerOf(h))
	}
	if err != nil {
		return false, intake.ErrUnknownTrigger
	}
	return s.in.Allow(req)
}

// addressed is the request with this head, as it is for a trigger or an alias, and its
// path.
func addressed(h *fasthttp.RequestHeader) (req intake.Request, path string, err error) {
	u := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(u)
	if err := u.Parse(nil, h.RequestURI()); err != nil {
		return req, "", err
	}
	path = string(u.Path())
	req = intake.Request{Method: string(h.Method()), Header: headerOf(h)}
	if trigger, ok := strings.CutPrefix(path, "/hooks/"); ok && !strings.Contains(trigger, "/") {
		req.Trigger = trigger
	} else {
		req.Alias = string(u.PathOriginal())
	}
	req.Query, err = url.ParseQuery(string(u.QueryString()))
	return req, path, err
}

func headerOf(h *fasthttp.RequestHeader) map[string][]string {
	header := make(map[string][]string, 8)
	room := make([]string, 8) // for the values of names that come once, as nearly all do
	for name, value := range h.All() {
		key := textproto.CanonicalMIMEHeaderKey(string(name))
		values, again := header[key]
		if !again && len(room) > 0 {
			values, room = room[:0:1], room[1:]
		}
		header[key] = append(values, string(value))
	}
	return header
}

// livez says that the process answers. It asks nobody else: a restart of doorhook
// does not bring Redis back.
func (s *Server) livez(c *fiber.Ctx) error {
	noteOf(c).outcome = "live"
	return c.JSON(fiber.Map{"status": "live"})
}

const readyTimeout = 500 * time.Millisecond

// readyz says whether events can be accepted.
func (s *Server) readyz(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), readyTimeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		return &notReadyError{err}
	}
	noteOf(c).outcome = "ready"
	return c.JSON(fiber.Map{"status": "ready"})
}

// notReadyError is an error of ready, whose text is meant for the caller.
type notReadyError struct{ error }

func (e *notReadyError) Unwrap() error { return e.error }
