package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"

	"github.com/gofiber/fiber/v2"
)

// apiPath is where the operator's API begins. All of it wants the admin token.
const apiPath = "/api/"

const (
	defaultLimit = 50
	maxLimit     = 1000
)

// Reasons for which an operator's request is refused. Their texts are for the caller.
var (
	errNoAdminToken = errors.New("this doorhook has no admin token, so nobody may ask it this: set DOORHOOK_ADMIN_TOKEN where it runs, and start it again")
	errNotOperator  = errors.New("the admin token is missing or wrong: send the server's DOORHOOK_ADMIN_TOKEN as Authorization: Bearer")
	errUnknownJob   = errors.New("there is no such job, or not any more: one at rest is forgotten after the retention")
	errStoreAway    = errors.New("the store cannot be reached; ask again")
)

func (s *Server) operatorRoutes() {
	s.app.Use(apiPath, s.operator)
	s.app.Get(apiPath+"v1/jobs", s.jobs)
	s.app.Get(apiPath+"v1/jobs/:id", s.job)
	s.app.Get(apiPath+"v1/events", s.events)
	s.app.Get(apiPath+"v1/dead", s.letters)
	s.app.Post(apiPath+"v1/replay", s.replay)
	s.app.Post(apiPath+"v1/catchup", s.catchup)
	s.app.Get(apiPath+"v1/doctor", s.doctor)
}

// operator is around every handler of the API.
func (s *Server) operator(c *fiber.Ctx) error {
	if err := s.allowOperator(headerOf(&c.Request().Header)); err != nil {
		return err
	}
	err := c.Next()
	if errors.Is(err, relay.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", errStoreAway, err)
	}
	return err
}

// allowOperator asks whether a request with this header comes from an operator.
// Without an admin token none does, on loopback neither: a web page in a browser
// reaches that too.
func (s *Server) allowOperator(header map[string][]string) error {
	token := s.o.AdminToken.Reveal()
	if token == "" {
		return errNoAdminToken
	}
	if !showsBearer(header["Authorization"], token) {
		return errNotOperator
	}
	return nil
}

// showsBearer reports whether the Authorization headers of a request show a token.
func showsBearer(given []string, token string) bool {
	if len(given) != 1 { // two readers might each see another one
		return false
	}
	scheme, text, _ := strings.Cut(given[0], " ")
	return sameToken(strings.TrimSpace(text), token) && strings.EqualFold(scheme, "Bearer")
}

func sameToken(got, want string) bool {
	g, w := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(g[:], w[:]) == 1
}

// jobs serves GET /api/v1/jobs.
func (s *Server) jobs(c *fiber.Ctx) error {
	list := s.op.Recent
	switch c.Query("state") {
	case "":
	case "waiting":
		list = s.op.Waiting
	default:
		return badQuery("state is waiting, or left out")
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), s.o.Timeout)
	defer cancel()
	jobs, err := list(ctx, limit)
	return answerList(c, "jobs", jobs, err)
}

// job serves GET /api/v1/jobs/{id}. An id holds what a sender chose, escaped.
func (s *Server) job(c *fiber.Ctx) error {
	id, err := url.PathUnescape(strings.Clone(c.Params("id")))
	if err != nil {
		return &intake.UnreadableError{Reason: "the job's id in the address is not properly encoded"}
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), s.o.Timeout)
	defer cancel()
	job, ok, err := s.op.Job(ctx, id)
	switch {
	case err != nil:
		return err
	case !ok:
		return errUnknownJob
	}
	noteOf(c).outcome = "job"
	return c.JSON(fiber.Map{"job": job})
}

// place is the form of [relay.Record.ID].
var place = regexp.MustCompile(`^[0-9]{1,19}(-[0-9]{1,19})?$`)

// events serves GET /api/v1/events.
func (s *Server) events(c *fiber.Ctx) error {
	before := strings.Clone(c.Query("before"))
	if before != "" && !place.MatchString(before) {
		return badQuery("before is the id of a listed event")
	}
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), s.o.Timeout)
	defer cancel()
	events, err := s.op.Events(ctx, before, limit)
	return answerList(c, "events", events, err)
}

// letters serves GET /api/v1/dead.
func (s *Server) letters(c *fiber.Ctx) error {
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), s.o.Timeout)
	defer cancel()
	letters, err := s.op.Letters(ctx, limit)
	return answerList(c, "dead", letters, err)
}

// replay serves POST /api/v1/replay. It insists on JSON, which a form in a browser
// cannot send, and on being told what to replay: nothing must not mean all.
func (s *Server) replay(c *fiber.Ctx) error {
	if err := insistOnJSON(c); err != nil {
		return err
	}
	var ask struct {
		IDs []string `json:"ids"`
		All bool     `json:"all"`
	}
	if json.Unmarshal(c.BodyRaw(), &ask) != nil || (len(ask.IDs) > 0) == ask.All {
		return &intake.UnreadableError{Reason: `say what to replay: {"ids": ["…", …]}, or {"all": true}`}
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), s.o.MaxWait)
	defer cancel()
	replayed, err := s.op.Replay(ctx, ask.IDs)
	return answerList(c, "replayed", replayed, err)
}

func insistOnJSON(c *fiber.Ctx) error {
	kind, _, err := mime.ParseMediaType(string(c.Request().Header.ContentType()))
	if err != nil || kind != fiber.MIMEApplicationJSON {
		return fmt.Errorf("%w: send JSON, with Content-Type: application/json", intake.ErrUnsupported)
	}
	return nil
}

// catchup serves POST /api/v1/catchup. It takes as long as Kisi does, which tells a
// few hundred events a second at most.
func (s *Server) catchup(c *fiber.Ctx) error {
	if err := insistOnJSON(c); err != nil {
		return err
	}
	var ask struct {
		Since   time.Time `json:"since"`
		Trigger string    `json:"trigger"`
	}
	if json.Unmarshal(c.BodyRaw(), &ask) != nil || ask.Since.IsZero() {
		return &intake.UnreadableError{Reason: `say since when: {"since": "2026-10-09T12:00:00Z"}, and perhaps "trigger"`}
	}
	caughtUp, err := s.op.Catchup(c.UserContext(), ask.Since, ask.Trigger)
	return answerList(c, "caught_up", caughtUp, err)
}

// doctor serves GET /api/v1/doctor.
func (s *Server) doctor(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), s.o.MaxWait)
	defer cancel()
	checks, err := s.op.Doctor(ctx)
	return answerList(c, "checks", checks, err)
}

// answerList answers with a list. What kept it from being whole is in the answer
// too: one letter that cannot be read must not hide the others.
func answerList[T any](c *fiber.Ctx, name string, list []T, err error) error {
	if err != nil && len(list) == 0 {
		return err
	}
	if list == nil {
		list = []T{}
	}
	n, answer := noteOf(c), fiber.Map{name: list}
	n.outcome = name
	if err != nil {
		answer["error"], n.problems = err.Error(), []string{err.Error()}
	}
	return c.JSON(answer)
}

func limitOf(c *fiber.Ctx) (int, error) {
	limit, err := strconv.Atoi(c.Query("limit", strconv.Itoa(defaultLimit)))
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, badQuery(fmt.Sprintf("limit is a number from 1 to %d", maxLimit))
	}
	return limit, nil
}

func badQuery(reason string) error {
	return &intake.UnreadableError{Reason: "the query parameter " + reason}
}
