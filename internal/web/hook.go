package web

import (
	"bytes"
	"context"
	"net/textproto"
	"net/url"
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
	req, err := requestOf(c)
	if err != nil {
		return err
	}
	noteOf(c).trigger = req.Trigger
	wait, _ := req.Wait() // one that cannot be read is refused in its turn, after auth
	ctx, cancel := context.WithTimeout(c.UserContext(), s.o.Timeout+min(wait, s.o.MaxWait))
	defer cancel()
	answer, err := s.in.Receive(ctx, req)
	if err != nil {
		return err
	}
	n := noteOf(c)
	n.event, n.outcome, n.problems = answer.EventID, string(answer.Status), answer.Errors
	return c.JSON(answer)
}

// requestOf copies everything: what c lends is overwritten by the next request.
func requestOf(c *fiber.Ctx) (intake.Request, error) {
	req := intake.Request{
		Trigger:     strings.Clone(c.Params("trigger")),
		Method:      strings.Clone(c.Method()),
		ContentType: string(c.Request().Header.ContentType()),
		Header:      headerOf(&c.Request().Header),
		// Not c.Body, which unpacks compressed bodies without a limit.
		Body: bytes.Clone(c.BodyRaw()),
	}
	req.ContentEncoding = strings.Join(req.Header["Content-Encoding"], ", ")
	query, err := url.ParseQuery(string(c.Request().URI().QueryString()))
	if err != nil {
		return req, &intake.UnreadableError{Reason: "the query string is not properly encoded"}
	}
	req.Query = query
	return req, nil
}

// strangerBody is how much a caller may send who has not shown that it may call. The
// server makes room for as much as a request announces.
const strangerBody = 4 << 10

// limits is asked when the head of a request has come.
func (s *Server) limits(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	n := h.ContentLength()
	if n >= 0 && n <= strangerBody || s.allow(h) == nil {
		return fasthttp.RequestConfig{}
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: strangerBody}
}

// allow asks whether the request with this head may call its trigger, or the
// operator's API.
func (s *Server) allow(h *fasthttp.RequestHeader) error {
	u := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(u)
	if err := u.Parse(nil, h.RequestURI()); err != nil {
		return intake.ErrUnknownTrigger
	}
	if strings.HasPrefix(string(u.Path()), apiPath) {
		return s.allowOperator(headerOf(h))
	}
	trigger, ok := strings.CutPrefix(string(u.Path()), "/hooks/")
	query, err := url.ParseQuery(string(u.QueryString()))
	if !ok || err != nil {
		return intake.ErrUnknownTrigger
	}
	return s.in.Allow(intake.Request{Trigger: trigger, Method: string(h.Method()), Header: headerOf(h), Query: query})
}

func headerOf(h *fasthttp.RequestHeader) map[string][]string {
	header := map[string][]string{}
	for name, value := range h.All() {
		key := textproto.CanonicalMIMEHeaderKey(string(name))
		header[key] = append(header[key], string(value))
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
