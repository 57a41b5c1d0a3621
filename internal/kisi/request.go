package kisi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxAnswer is far more than Kisi's longest page (250 locks, about 250 KB).
const maxAnswer = 1 << 20

// request is one thing to ask of Kisi.
type request struct {
	method string
	path   string
	query  url.Values
	body   any // nil sends none
}

func (r request) op() string { return r.method + " " + r.path }

// object is an answer of which only its being a JSON object matters.
type object map[string]json.RawMessage

// call sends r and reads the answer into out; a nil out expects none. After a
// 401 to a signed-in secret it signs in and sends r once more: a 401 says that
// nothing was done.
func (c *Client) call(ctx context.Context, r request, out any) error {
	_, err := c.callHeader(ctx, r, out)
	return err
}

func (c *Client) callHeader(ctx context.Context, r request, out any) (http.Header, error) {
	t, err := c.ticket(ctx, "")
	if err != nil {
		return nil, err
	}
	h, err := c.sendHeader(ctx, r, t.secret, out)
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusUnauthorized || c.login == nil {
		return h, err
	}
	if t, err = c.ticket(ctx, t.text); err != nil {
		return nil, err
	}
	return c.sendHeader(ctx, r, t.secret, out)
}

func (c *Client) send(ctx context.Context, r request, auth secret, out any) error {
	_, err := c.sendHeader(ctx, r, auth, out)
	return err
}

// sendHeader sends r once, unless Kisi is down. All its errors are of type *Error.
//
// The breaker is asked before r waits for its turn, so that what it refuses takes
// none, and once more after: others may have found out meanwhile.
func (c *Client) sendHeader(ctx context.Context, r request, auth secret, out any) (http.Header, error) {
	req, err := c.newRequest(ctx, r, auth)
	if err != nil {
		return nil, &Error{Op: r.op(), Unsent: true, Err: err}
	}
	done, refused := c.breaker.allow(r)
	if refused != nil {
		return nil, refused
	}
	what := errNothing // a panic says nothing either, and must not keep the place of the probe
	defer func() { c.breaker.settle(r, done, what) }()

	if err := c.wait(ctx); err != nil {
		return nil, &Error{Op: r.op(), Unsent: true, Err: fmt.Errorf("%w: %w", errTurn, err)}
	}
	if refused := c.breaker.tripped(r); refused != nil {
		return nil, refused
	}
	start := c.now()
	h, e := c.exchange(ctx, r, req, out)
	what = evidence(ctx, e, c.now().Sub(start))
	if e != nil {
		c.scrub(e, auth)
		return nil, e
	}
	return h, nil
}

// exchange sends req, which is r, and reads the answer into out.
func (c *Client) exchange(ctx context.Context, r request, req *http.Request, out any) (http.Header, *Error) {
	var sent atomic.Bool
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	traced := httptrace.WithClientTrace(limited, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})

	resp, err := c.http.Do(req.WithContext(traced))
	if err != nil {
		return nil, &Error{Op: r.op(), Unsent: !sent.Load(), Err: c.why(ctx, limited, err)}
	}
	defer resp.Body.Close()
	body, err := readBody(resp.Body)
	if err != nil {
		err = c.why(ctx, limited, err)
	}
	return resp.Header, c.judge(r, resp, body, err, out)
}

func (c *Client) newRequest(ctx context.Context, r request, auth secret) (*http.Request, error) {
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode the body: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("build the request: %w", bare(err))
	}
	req.Header = c.header.Clone()
	if auth != nil {
		req.Header.Set("Authorization", "KISI-LOGIN "+auth())
	}
	return req, nil
}

// why finds the reason of a failed exchange that helps most: whose deadline it
// was, rather than that there was one.
func (c *Client) why(ctx, limited context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		return fmt.Errorf("no answer within %s: %w", c.timeout, context.DeadlineExceeded)
	}
	return bare(err)
}

// bare takes the URL off err, whose query would show whom a booking is for.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return body, err
}

// judge reads an answer: into out if it is a success, else into an error.
// bodyErr is what went wrong when the body was read.
func (c *Client) judge(r request, resp *http.Response, body []byte, bodyErr error, out any) *Error {
	e := &Error{Op: r.op(), Status: resp.StatusCode}
	if resp.StatusCode/100 != 2 {
		e.Code, e.Reason = parseRefusal(body)
		e.RetryAfter = RetryAfter(resp.Header.Get("Retry-After"), c.now())
		return e
	}
	// From here on Kisi has done it; a junk answer leaves open what it did.
	e.Err = bodyErr
	if e.Err == nil {
		e.Err = decode(resp.StatusCode, body, out)
	}
	if e.Err == nil {
		return nil
	}
	return e
}

func decode(status int, body []byte, out any) error {
	if out == nil {
		if status == http.StatusNoContent || len(body) == 0 || json.Valid(body) {
			return nil // Kisi answers 204; what else a success carries is nothing we need
		}
		return errors.New("the answer is not JSON") // a page of some proxy, perhaps
	}
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return errors.New("the answer is null")
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the answer is not what Kisi documents: %w", plainJSON(err))
	}
	return nil
}

// plainJSON drops the names of Go types and the excerpt of the answer from err.
func plainJSON(err error) error {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: unexpected %s at byte %d", t.Field, strings.SplitN(t.Value, " ", 2)[0], t.Offset)
	}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON from byte %d on", s.Offset)
	}
	return errors.New("a value of it cannot be read") // time.Time quotes what it could not parse
}

// scrub takes out of e every secret that Kisi may have said back.
func (c *Client) scrub(e *Error, auth secret) {
	known := []secret{auth, c.key}
	if c.login != nil {
		known = append(known, c.login.password)
	}
	for _, s := range known {
		if s != nil && s() != "" {
			e.Reason = strings.ReplaceAll(e.Reason, s(), "[redacted]")
		}
	}
	e.Reason = shorten(e.Reason)
}

// RetryAfter reads the header of that name in both its forms (RFC 9110, 10.2.3). A day is
// more than anyone means.
func RetryAfter(text string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(most/time.Second))) * time.Second
}
