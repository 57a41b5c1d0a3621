package kisi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Logins keeps the secret of a sign-in where all processes of an installation
// see it. What it is given to keep is sealed; it can do nothing with it.
type Logins interface {
	// Login returns the text kept for account, if there is one and it is not
	// stale. Otherwise exactly one of all processes calls signIn, keeps what it
	// returns, and all get that.
	Login(ctx context.Context, account, stale string, signIn func(context.Context) (string, error)) (string, error)
}

// loginsPath is where to sign in.
const loginsPath = "/logins"

// login is the part of a Client that signs in with e-mail and password.
type login struct {
	logins   Logins
	account  string
	seal     seal
	email    string
	domain   string
	password secret

	mu     sync.Mutex
	now    ticket  // the newest known; zero if none
	flight *flight // the sign-in under way; nil if none
}

// ticket is what one request is authorized with.
type ticket struct {
	secret secret
	text   string // as Logins keeps it; "" for an API key
}

// flight is one asking of Logins, shared by all requests that wait for it.
type flight struct {
	done    chan struct{} // closed when the rest is set
	err     error
	givenUp bool // the request that flew it was; it says nothing to the others
}

func newLogin(o Options, base string) (*login, error) {
	account := accountOf(base, o.Email, o.Domain)
	seal, err := newSeal(o.Password, account)
	if err != nil {
		return nil, err
	}
	return &login{
		logins: o.Logins, account: account, seal: seal,
		email: o.Email, domain: o.Domain, password: newSecret(o.Password),
	}, nil
}

// ticket gives a ticket that is not stale. However many requests ask, one of
// them asks Logins, and all share its answer, a failure too: fifty wrong
// passwords in a row would lock the account.
func (c *Client) ticket(ctx context.Context, stale string) (ticket, error) {
	l := c.login
	if l == nil {
		return ticket{secret: c.key}, nil
	}
	for {
		l.mu.Lock()
		if l.now.text != "" && l.now.text != stale {
			defer l.mu.Unlock()
			return l.now, nil
		}
		f, mine := l.flight, l.flight == nil
		if mine {
			f = &flight{done: make(chan struct{})}
			l.flight = f
		}
		l.mu.Unlock()

		if mine {
			t, err := c.askLogins(ctx, stale)
			l.land(f, t, err, ctx.Err() != nil)
			return t, err
		}
		if err := f.wait(ctx); err != nil {
			return ticket{}, err
		}
	}
}

// land ends f and keeps what it brought.
func (l *login) land(f *flight, t ticket, err error, givenUp bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.now = t
	}
	f.err, f.givenUp = err, givenUp
	l.flight = nil
	close(f.done)
}

// wait gives nil if it is worth looking again.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
	case <-ctx.Done():
		return &Error{Op: "POST /logins", Unsent: true, Err: context.Cause(ctx)}
	}
	if f.givenUp {
		return nil
	}
	return f.err
}

// askLogins asks for a login that is neither stale nor sealed with another
// password.
func (c *Client) askLogins(ctx context.Context, stale string) (ticket, error) {
	l := c.login
	var err error
	for range 2 {
		var text, plain string
		text, err = l.logins.Login(ctx, l.account, stale, c.signIn)
		if err != nil {
			break
		}
		if plain, err = l.seal.open(text); err == nil {
			return ticket{secret: newSecret(plain), text: text}, nil
		}
		stale = text
	}
	return ticket{}, unsent(err)
}

// unsent makes of a failed sign-in an error of the request that needed it:
// whatever became of the sign-in, that request was not carried out.
func unsent(err error) *Error {
	e := Error{Op: "POST /logins"}
	if known, ok := errors.AsType[*Error](err); ok {
		e = *known
	} else {
		e.Err = fmt.Errorf("share the sign-in to Kisi: %w", err)
	}
	e.Unsent = true
	return &e
}

// signIn makes a new API login and gives its secret, sealed.
// Source: OpenAPI, POST /logins. It asks for a login that ends when it is not
// used for long: Kisi allows ten API logins per user and refuses the eleventh.
func (c *Client) signIn(ctx context.Context) (string, error) {
	l := c.login
	user := map[string]string{"email": l.email, "password": l.password()}
	if l.domain != "" {
		user["domain"] = l.domain
	}
	r := request{method: http.MethodPost, path: loginsPath, body: map[string]any{
		"login": map[string]any{"type": "api", "name": "doorhook", "expire": true},
		"user":  user,
	}}
	var made struct {
		Secret string `json:"secret"`
	}
	if err := c.send(ctx, r, nil, &made); err != nil {
		return "", err
	}
	if made.Secret == "" || !headerSafe(made.Secret) {
		return "", &Error{Op: r.op(), Status: http.StatusOK, Err: errors.New("the answer holds no usable secret")}
	}
	return l.seal.close(made.Secret), nil
}

// Login is what Kisi says about the secret it is asked with. What it leaves out
// is zero.
type Login struct {
	Email      string    `json:"email"` // of the user whose login it is
	UserID     int64     `json:"user_id"`
	Type       string    `json:"type"`   // "api" or "device"
	Expires    bool      `json:"expire"` // when it is not used for long
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	Now        time.Time `json:"-"` // by Kisi's clock, in whole seconds
}

// CurrentLogin asks Kisi who it takes the client for: a cheap probe of the key,
// which also counts as its use. A key that nobody uses expires (docs.kisi.io:
// after six months, on older pages after 14 days).
func (c *Client) CurrentLogin(ctx context.Context) (Login, error) {
	var got Login
	h, err := c.callHeader(ctx, request{method: http.MethodGet, path: "/login"}, &got)
	if err != nil {
		return Login{}, err
	}
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		got.Now = at
	}
	return got, nil
}
