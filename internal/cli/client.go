package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"doorhook/internal/relay"
)

const (
	clientPatience  = 30 * time.Second
	catchupPatience = 15 * time.Minute // longer than doorhook takes at most
	mostAnswered    = 256 << 20        // a thousand events of 16 KiB are far less
)

// client asks a doorhook that runs, over its API.
type client struct {
	base  *url.URL
	token relay.Secret
	http  *http.Client
}

func newClient(address string, token relay.Secret) (*client, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, usageError("DOORHOOK_URL (or --url) has to look like https://doorhook.example or http://127.0.0.1:8080, without a user or a query")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, usageError(fmt.Sprintf("%s is plain http to another machine, and whoever is on the way could read the admin token: use https, or ask where doorhook runs", u.Host))
	case strings.TrimSpace(token.Reveal()) == "":
		return nil, usageError("a doorhook that runs wants its admin token: set DOORHOOK_ADMIN_TOKEN to what it is there")
	}
	return &client{base: u, token: relay.Secret(strings.TrimSpace(token.Reveal())), http: &http.Client{
		Timeout:       clientPatience,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token would go along
	}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close lets go of idle connections.
func (c *client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Recent is GET /api/v1/jobs.
func (c *client) Recent(ctx context.Context, limit int) ([]relay.Job, error) {
	return list[relay.Job](ctx, c, "jobs", "jobs", url.Values{"limit": {strconv.Itoa(limit)}})
}

// Waiting is GET /api/v1/jobs?state=waiting.
func (c *client) Waiting(ctx context.Context, limit int) ([]relay.Job, error) {
	return list[relay.Job](ctx, c, "jobs", "jobs", url.Values{"state": {"waiting"}, "limit": {strconv.Itoa(limit)}})
}

// Job is GET /api/v1/jobs/{id}.
func (c *client) Job(ctx context.Context, id string) (relay.Job, bool, error) {
	var answer struct {
		Job relay.Job `json:"job"`
	}
	err := c.call(ctx, http.MethodGet, "jobs/"+url.PathEscape(id), nil, nil, &answer)
	if e, ok := errors.AsType[*refusedError](err); ok && e.Type == "urn:doorhook:problem:unknown-job" {
		return relay.Job{}, false, nil
	}
	return answer.Job, err == nil, err
}

// Events is GET /api/v1/events.
func (c *client) Events(ctx context.Context, before string, limit int) ([]relay.Record, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if before != "" {
		query.Set("before", before)
	}
	return list[relay.Record](ctx, c, "events", "events", query)
}

// Letters is GET /api/v1/dead.
func (c *client) Letters(ctx context.Context, limit int) ([]relay.DeadLetter, error) {
	return list[relay.DeadLetter](ctx, c, "dead", "dead", url.Values{"limit": {strconv.Itoa(limit)}})
}

// Replay is POST /api/v1/replay.
func (c *client) Replay(ctx context.Context, ids []string) ([]relay.Replayed, error) {
	what := map[string]any{"ids": ids}
	if len(ids) == 0 {
		what = map[string]any{"all": true}
	}
	var answer map[string]json.RawMessage
	if err := c.call(ctx, http.MethodPost, "replay", nil, what, &answer); err != nil {
		return nil, err
	}
	return listOf[relay.Replayed](answer, "replayed")
}

// Catchup is POST /api/v1/catchup.
func (c *client) Catchup(ctx context.Context, since time.Time, trigger string) ([]relay.CaughtUp, error) {
	patient := *c
	patient.http = &http.Client{Timeout: catchupPatience, Transport: c.http.Transport, CheckRedirect: c.http.CheckRedirect}
	var answer map[string]json.RawMessage
	err := patient.call(ctx, http.MethodPost, "catchup", nil, map[string]any{"since": since, "trigger": trigger}, &answer)
	if e, ok := errors.AsType[*refusedError](err); ok {
		switch e.Type {
		case "urn:doorhook:problem:too-far-back":
			return nil, fmt.Errorf("%w: %s", relay.ErrTooFarBack, strings.TrimPrefix(e.Detail, relay.ErrTooFarBack.Error()+": "))
		case "urn:doorhook:problem:not-kisi":
			return nil, relay.ErrNotKisi
		}
	}
	if err != nil {
		return nil, err
	}
	return listOf[relay.CaughtUp](answer, "caught_up")
}

// Doctor is GET /api/v1/doctor.
func (c *client) Doctor(ctx context.Context) ([]relay.Check, error) {
	return list[relay.Check](ctx, c, "doctor", "checks", nil)
}

func list[T any](ctx context.Context, c *client, path, name string, query url.Values) ([]T, error) {
	var answer map[string]json.RawMessage
	if err := c.call(ctx, http.MethodGet, path, query, nil, &answer); err != nil {
		return nil, err
	}
	return listOf[T](answer, name)
}

// listOf takes a list from an answer, and what kept it from being whole.
func listOf[T any](answer map[string]json.RawMessage, name string) (all []T, err error) {
	if err = json.Unmarshal(answer[name], &all); err != nil {
		return nil, fmt.Errorf("the answer has no %s as this doorhook knows them: are the two of the same version?", name)
	}
	var missing string
	if json.Unmarshal(answer["error"], &missing) == nil && missing != "" {
		err = errors.New(missing)
	}
	return all, err
}

// call asks for a path of the API, escaped already, and reads the answer into out.
func (c *client) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	address := strings.TrimRight(c.base.String(), "/") + "/api/v1/" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body) // texts always have JSON
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unanswered(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswered))
	if err != nil {
		return c.unanswered(err)
	}
	if resp.StatusCode != http.StatusOK {
		return c.refused(method, path, resp, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("what is at %s answers something that is not doorhook's: check DOORHOOK_URL", c.base)
	}
	return nil
}

// unanswered says why no answer came, and what to look at.
func (c *client) unanswered(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: is doorhook running there? (%w)", c.base, err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer from %s within %s", c.base, clientPatience)
	}
	return fmt.Errorf("no answer from %s: %w", c.base, err)
}

// refusedError is an answer of doorhook that is no success.
type refusedError struct {
	Type, Title, Detail string
	said                string // what was asked, and what of it came
}

func (e *refusedError) Error() string { return e.said }

func (c *client) refused(method, path string, resp *http.Response, body []byte) error {
	var e refusedError
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "application/problem+json" {
		_ = json.Unmarshal(body, &e) // what cannot be read is left out
	}
	e.said = fmt.Sprintf("%s %s/api/v1/%s: answered %d (%s)", method, strings.TrimRight(c.base.String(), "/"), path,
		resp.StatusCode, cmp.Or(e.Detail, e.Title, http.StatusText(resp.StatusCode)))
	switch {
	case resp.StatusCode/100 == 3:
		e.said += "; the admin token is not sent on to where that leads: set DOORHOOK_URL to the address itself"
	case resp.StatusCode == http.StatusUnauthorized:
		e.said += "; set DOORHOOK_ADMIN_TOKEN here to what it is there"
	case kind != "application/problem+json":
		e.said += "; that is not how doorhook answers: check DOORHOOK_URL"
	}
	return &e
}
