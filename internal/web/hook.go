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
)

func hookMethods() []string {
	return []string{fiber.MethodPost, fiber.MethodPut, fiber.MethodGet}
}

// hook serves POST, PUT and GET /hooks/{trigger}.
func (s *Server) hook(c *fiber.Ctx) error {
	req, err := requestOf(c)
	noteOf(c).trigger = req.Trigger
	if err != nil {
		return err
	}
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
		Header:      headerOf(c),
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

func headerOf(c *fiber.Ctx) map[string][]string {
	header := map[string][]string{}
	for name, value := range c.Request().Header.All() {
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
