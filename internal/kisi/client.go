package kisi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultURL is where Kisi serves its API.
const DefaultURL = "https://api.kisi.io"

// Options say which Kisi to talk to and as whom. They print without their secrets.
type Options struct {
	URL string // "" is [DefaultURL]; https, except for a loopback host

	APIKey string // either this,

	Email    string // or a sign-in with these
	Password string
	Domain   string // the organization's domain; legacy accounts have none
	Logins   Logins // where the signed-in secret is shared; required with Email

	Integration string // names the integration partner to Kisi; "" is not sent
	Contact     string // the partner's e-mail address; "" is not sent
	UserAgent   string // "" is "doorhook"

	// Timeout ends one request. 0 is 5 s, as in Kisi's own JavaScript client.
	Timeout time.Duration

	// Wait is called before each request, a page of a list and a sign-in
	// included: the place to keep to Kisi's limit, which counts requests. It is
	// not called for what is refused with [ErrDown]. nil does not wait.
	Wait func(context.Context) error

	// OnDown is told when Kisi is found to be down, with the last failure, and
	// when it answers again: once each, in this order, one call at a time. The
	// request that found out waits for it. It may use the client. nil is not told.
	OnDown func(down bool, why error)

	// Transport carries the requests; nil is the network. Another one shows what
	// would be asked without asking it.
	Transport http.RoundTripper `json:"-"`
}

// String says who is meant, without a secret.
func (o Options) String() string {
	host := "?"
	if u, err := url.Parse(o.URL); err == nil {
		host = u.Host // the rest of a wrong URL may hold a password
	}
	as := "no credentials"
	switch {
	case o.APIKey != "":
		as = "an API key"
	case o.Email != "":
		as = "the sign-in of " + o.Email
	}
	return fmt.Sprintf("%s with %s", host, as)
}

// Format covers every verb, %+v and %#v included.
func (o Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// MarshalText covers JSON, and with it the handlers of slog.
func (o Options) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Client talks to Kisi. It is safe for concurrent use.
//
// Its secrets are behind pointers, so that no verb of fmt prints them, not even
// on a copy or from inside another struct.
type Client struct {
	http    *http.Client
	base    string // without a slash at its end
	header  http.Header
	key     secret // of the API; nil with login
	login   *login // nil with key
	wait    func(context.Context) error
	breaker *breaker
	timeout time.Duration
	now     func() time.Time
	sets    *setTurns
}

// New checks o and makes a Client. It does not talk to Kisi.
func New(o Options) (*Client, error) {
	base, err := baseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if err := o.checkCredentials(); err != nil {
		return nil, err
	}
	c := &Client{
		http: newHTTPClient(o.Transport), base: base, header: o.header(),
		wait: o.Wait, timeout: o.Timeout, now: time.Now, sets: &setTurns{},
	}
	if c.wait == nil {
		c.wait = func(context.Context) error { return nil }
	}
	if o.Transport != nil {
		c.http.Transport = o.Transport
	}
	c.breaker = newBreaker(c.now, func(down bool, why error) {
		if down {
			c.http.CloseIdleConnections() // a probe on one that is dead would find nobody there
		}
		if o.OnDown != nil {
			o.OnDown(down, why)
		}
	})
	if c.timeout <= 0 {
		c.timeout = 5 * time.Second
	}
	if o.APIKey != "" {
		c.key = newSecret(o.APIKey)
		return c, nil
	}
	c.login, err = newLogin(o, base)
	return c, err
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func baseURL(text string) (string, error) {
	if text == "" {
		text = DefaultURL
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the Kisi URL (KISI_URL) has to look like " + DefaultURL + ", with no user, query or fragment")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", fmt.Errorf("the Kisi URL (KISI_URL) has to begin with https://, not %s://: the key of a door travels in each request; "+
			"plain http is for a server on this machine only", u.Scheme)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (o Options) checkCredentials() error {
	const either = "set either KISI_API_KEY, or KISI_EMAIL and KISI_PASSWORD"
	switch {
	case o.APIKey != "" && (o.Email != "" || o.Password != ""):
		return errors.New("both an API key and a sign-in for Kisi are given: " + either)
	case o.APIKey == "" && o.Email == "" && o.Password == "":
		return errors.New("no credentials for Kisi: " + either)
	case o.APIKey == "" && o.Email == "":
		return errors.New("the e-mail address of the sign-in to Kisi is missing: set KISI_EMAIL")
	case o.APIKey == "" && o.Password == "":
		return errors.New("the password of the sign-in to Kisi is missing: set KISI_PASSWORD")
	case o.APIKey == "" && o.Logins == nil:
		return errors.New("a sign-in to Kisi needs a place to share it: Options.Logins is nil")
	case !headerSafe(o.APIKey):
		return errors.New("the Kisi API key (KISI_API_KEY) contains a space, a line break or another character no key has: copy it again")
	case !headerSafe(o.Integration, ' ') || !headerSafe(o.Contact, ' ') || !headerSafe(o.UserAgent, ' '):
		return errors.New("the integration's name, its contact and the user agent have to be plain ASCII text")
	}
	return nil
}

func headerSafe(text string, also ...rune) bool {
	for _, r := range text {
		if (r <= ' ' || r >= 0x7f) && !strings.ContainsRune(string(also), r) {
			return false
		}
	}
	return true
}

// header is what goes with every request, but for the authorization.
// Source: docs.kisi.io, "Add necessary headers".
func (o Options) header() http.Header {
	h := http.Header{}
	h.Set("Accept", "application/json")
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "doorhook")
	for name, value := range map[string]string{
		"User-Agent":                    o.UserAgent,
		"X-Kisi-Integration-Identifier": o.Integration,
		"X-Kisi-Integration-Contact":    o.Contact,
	} {
		if value != "" {
			h.Set(name, value)
		}
	}
	return h
}

func newHTTPClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = newTransport()
	}
	return &http.Client{
		Transport: transport,
		// A redirect would carry the key elsewhere and turn a POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newTransport() *http.Transport {
	// HTTP/1 only: there a request is known as written before its last byte
	// leaves the process. HTTP/2 tells it afterwards, and then what was never
	// sent could not be told from what was sent but for a moment.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		Protocols:              &protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		MaxConnsPerHost:        16,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        30 * time.Second, // shorter than a server's, which then does not close under a request
		MaxResponseHeaderBytes: 64 << 10,
	}
}
