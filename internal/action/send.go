package action

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// SendOptions say how messages are sent. With the zero value they have no secrets, and
// none gets to a private address.
type SendOptions struct {
	// Env gives the value of an environment variable that a rule names; "" is one that
	// is not set.
	Env func(name string) string
	// Allow are the addresses that may be sent to although they are private.
	Allow     []netip.Prefix
	UserAgent string        // "" is "doorhook"
	Timeout   time.Duration // of one attempt; 0 is 5 s

	// Transport carries the messages; nil is the network.
	Transport http.RoundTripper
	// Now is the time that a message says it was sent at; nil is the clock of this host.
	Now func() time.Time
	// Clock says what is over; nil is the clock of this host. It has to be that of the
	// workers, or what is over to them is made for the moment that is left by another.
	Clock func() time.Time
}

// send sends a request to any address, at least once: what was not answered is sent
// again, under an identity by which its receiver knows it again. It leaves nothing
// behind that could be found, changed or taken back.
type send struct {
	http      *http.Client
	env       func(string) string
	agent     string
	timeout   time.Duration
	now       func() time.Time
	receivers *receivers
	disguises disguises
}

func newSend(o SendOptions) *send {
	s := &send{
		http: &http.Client{
			Transport: o.Transport,
			// A redirect could lead anywhere, and would carry the secrets there.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		env: o.Env, agent: cmp.Or(o.UserAgent, "doorhook"), timeout: cmp.Or(o.Timeout, 5*time.Second), now: o.Now,
	}
	if s.http.Transport == nil {
		s.http.Transport = newTransport(o.Allow)
	}
	if s.env == nil {
		s.env = func(string) string { return "" }
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.receivers, s.disguises.known = newReceivers(time.Now), map[string]disguise{}
	return s
}

func (s *send) create(ctx context.Context, a relay.Action) relay.Outcome {
	m, err := messageOf(a)
	if err != nil {
		return rejected(err)
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	p, err := s.pack(limited, m, a.Message)
	if err != nil {
		out := rejected(fmt.Errorf("%s: %w", m.receiver(), err))
		if errors.Is(err, relay.ErrUnset) { // another process, with newer rules, may have it
			out.Verdict = relay.Retry
		}
		return out
	}
	leave, busy := s.receivers.enter(limited, p.req.URL.Host)
	if busy != nil {
		return relay.Outcome{Verdict: relay.Untried, After: busy.after, Err: fmt.Errorf("%s: %w", p.to(), busy)}
	}
	told := errNoWord // a panic says nothing of the receiver
	defer func() { leave(told) }()
	resp, err := s.http.Do(p.req)
	if err != nil {
		out := p.unanswered(err)
		if out.Verdict == relay.Retry && ctx.Err() == nil { // broken off, it says nothing of the receiver
			told = out.Err
		}
		return out
	}
	defer resp.Body.Close()
	out := p.judge(resp, s.now())
	told = nil
	if strained(resp.StatusCode) {
		told = out.Err
	}
	return out
}

func (*send) change(context.Context, relay.Action, int64) relay.Outcome {
	return rejected(errors.New("what was sent cannot be changed"))
}

func (*send) revoke(context.Context, int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.Gone}
}

func (*send) find(context.Context, relay.Action, time.Time, []int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}

// message is what a send asks for.
type message struct {
	URL     relay.Text            `json:"url"`
	Method  string                `json:"method"`
	Headers map[string]relay.Text `json:"headers"`
	JSON    json.RawMessage       `json:"json"`
	Form    map[string]string     `json:"form"`
	Text    *string               `json:"text"`
	Sign    relay.Text            `json:"sign"`
}

func (m message) method() string { return cmp.Or(m.Method, http.MethodPost) }

// body is what m says, and of what type that is; "" says nothing.
func (m message) body() (body, contentType string) {
	switch {
	case m.JSON != nil:
		return string(m.JSON), "application/json"
	case m.Form != nil:
		form := url.Values{}
		for name, value := range m.Form {
			form.Set(name, value)
		}
		return form.Encode(), "application/x-www-form-urlencoded"
	case m.Text != nil:
		return *m.Text, "text/plain; charset=utf-8"
	}
	return "", ""
}

// The headers of Standard Webhooks.
const (
	idHeader        = "Webhook-Id"
	timeHeader      = "Webhook-Timestamp"
	signatureHeader = "Webhook-Signature"
)

// headers are those of m, but for what each attempt has anew. What the rule says goes
// before what is so by default.
func (m message) headers(agent, id, contentType string) map[string]relay.Text {
	all := map[string]relay.Text{"User-Agent": relay.Plain(agent)}
	if contentType != "" {
		all["Content-Type"] = relay.Plain(contentType)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		all[http.CanonicalHeaderKey(name)] = m.Headers[name]
	}
	all[idHeader] = relay.Plain(id)
	delete(all, timeHeader)
	delete(all, signatureHeader)
	return all
}

// receiver names who gets m: its host, unless a secret may be a part of that.
func (m message) receiver() string {
	var plain string
	if len(m.URL) > 0 && m.URL[0].Env == "" {
		plain = m.URL[0].Text
	}
	scheme, rest, ok := strings.Cut(plain, "://")
	if ok && (strings.ContainsAny(rest, "/?#") || !m.URL.Secret()) {
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			rest = rest[:i]
		}
		if u, err := url.Parse(scheme + "://" + rest); err == nil && u.Host != "" {
			return u.Host
		}
	}
	return m.URL.String()
}

// parcel is a message with its secrets in it, ready to be sent.
type parcel struct {
	message
	req     *http.Request
	secrets secrets
}

// to says who gets it, without a secret.
func (p *parcel) to() string { return p.receiver() }

func (s *send) pack(ctx context.Context, m message, id string) (*parcel, error) {
	p := &parcel{message: m, secrets: secrets{known: &s.disguises}}
	env := p.secrets.revealing(s.env)
	address, err := m.URL.Reveal(env)
	if err != nil {
		return p, err
	}
	body, contentType := m.body()
	p.req, err = http.NewRequestWithContext(ctx, m.method(), address.Reveal(), strings.NewReader(body))
	if err != nil || p.req.URL.Host == "" || p.req.URL.Scheme != "https" && p.req.URL.Scheme != "http" {
		return p, errors.New("this is not an address that can be sent to: it has to look like https://example.com/hook") // the reason would show it
	}
	if m.URL.Secret() {
		p.secrets.address(p.req.URL)
	}
	for name, text := range m.headers(s.agent, id, contentType) {
		value, err := text.Reveal(env)
		if err != nil {
			return p, err
		}
		if strings.ContainsFunc(value.Reveal(), unprintable) || strings.ContainsFunc(name, unnamable) {
			return p, fmt.Errorf("the header %q has a line break, or another character that no header may have", name)
		}
		p.req.Header[name] = []string{value.Reveal()}
	}
	if host := p.req.Header.Get("Host"); host != "" { // of all headers this one alone has its place there
		p.req.Host = host
	}
	return p, s.stamp(p.req, m.Sign, env, id, body)
}

func unprintable(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func unnamable(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
}

// stamp says when a message is sent, and signs it as Standard Webhooks has it.
func (s *send) stamp(req *http.Request, sign relay.Text, env func(string) string, id, body string) error {
	at := strconv.FormatInt(s.now().Unix(), 10)
	req.Header.Set(timeHeader, at)
	if len(sign) == 0 {
		return nil
	}
	secret, err := sign.Reveal(env)
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), "whsec_"))
	if err != nil || len(key) == 0 {
		return fmt.Errorf("the key %s cannot sign: it has to be in base64, with or without whsec_ before it", sign)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "." + body))
	req.Header.Set(signatureHeader, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}
