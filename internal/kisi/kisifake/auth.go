package kisifake

import (
	"crypto/rand"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What Kisi allows of API logins per user (docs.kisi.io; the key of the options
// does not count).
const maxAPILogins = 10

// ownerID is the one user that all keys and logins belong to.
const ownerID = 70

// login is a secret that Kisi knows.
type login struct {
	id      int64
	secret  string
	name    any
	expire  bool
	created time.Time
	key     bool // made in the dashboard
}

// caller is who makes a request: a login, a link, or nobody known.
type caller struct {
	login  *login
	link   *GroupLink
	budget string // whose requests are counted together
}

// identify reads the Authorization header.
func (s *Server) identify(r *http.Request) caller {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch scheme {
	case "KISI-LOGIN":
		for _, l := range s.logins {
			if l.secret == secret {
				return caller{login: l, budget: "user"}
			}
		}
	case "KISI-GROUP-LINK":
		for _, l := range s.links {
			if l.secret == secret {
				return caller{link: l, budget: "link " + secret}
			}
		}
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return caller{budget: "address " + host}
}

// authorize gives a refusal, or nothing if c may do what route does.
func (s *Server) authorize(c *call, route route) answer {
	who := s.identify(c.Request) // again: a fault may have delayed c until after a Revoke
	c.who = who
	switch {
	case route.anyone:
		return answer{}
	case who.link != nil && route.byLink:
		return linkUsable(who.link, c.now)
	case who.login == nil:
		return refuse(http.StatusUnauthorized, "afc496", "Access denied.")
	case s.forbidden[who.login.secret][route.permission]:
		return refuse(http.StatusForbidden, "fcd8ef", "Access denied.")
	}
	return answer{}
}

func linkUsable(l *GroupLink, now time.Time) answer {
	switch {
	case !l.LinkEnabled:
		return refuse(http.StatusForbidden, "f29aef", "The link is not valid.")
	case !l.ValidFrom.IsZero() && now.Before(l.ValidFrom):
		return refuse(http.StatusForbidden, "f358de", "Your access is not yet valid, please try again later.")
	case !l.ValidUntil.IsZero() && !now.Before(l.ValidUntil):
		return refuse(http.StatusForbidden, "f35ade", "Your access is no longer valid.")
	}
	return answer{}
}

// postLogins signs in: POST /logins.
func (s *Server) postLogins(c *call) answer {
	parts, p := readBody(c.body, map[string][]attribute{
		"login": {
			{name: "type", kind: text, oneOf: []string{"api", "device"}},
			{name: "name", kind: text, null: true},
			{name: "expire", kind: looseBoolean},
			{name: "device_brand", kind: text, null: true},
			{name: "device_model", kind: text, null: true},
			{name: "os_name", kind: text, null: true},
		},
		"user": {
			{name: "email", kind: text, required: true},
			{name: "password", kind: text, required: true},
			{name: "domain", kind: text},
			{name: "otp_attempt", kind: text},
		},
	})
	if len(p) > 0 {
		return invalid(p)
	}
	user, asked := parts["user"], parts["login"]
	if s.o.Email == "" || user["email"] != s.o.Email || user["password"] != s.o.Password ||
		s.o.Domain != "" && user["domain"] != s.o.Domain {
		return refuse(http.StatusUnauthorized, "afc516", "Wrong email address or password.")
	}
	if s.apiLogins() >= maxAPILogins {
		return refuse(http.StatusForbidden, "afc496", "Access denied.")
	}
	l := &login{id: s.id(), secret: rand.Text(), name: asked["name"], expire: asked["expire"] != false, created: c.now}
	s.logins = append(s.logins, l)
	body := s.loginBody(l)
	body["secret"], body["authentication_token"] = l.secret, l.secret
	return ok(body)
}

func (s *Server) apiLogins() int {
	n := 0
	for _, l := range s.logins {
		if !l.key {
			n++
		}
	}
	return n
}

// getLogin tells the current login: GET /login.
func (s *Server) getLogin(c *call) answer { return ok(s.loginBody(c.who.login)) }

// deleteLogin signs out: DELETE /login.
func (s *Server) deleteLogin(c *call) answer {
	s.dropLogin(c.who.login.secret)
	return noContent()
}

func (s *Server) dropLogin(secret string) {
	s.logins = slices.DeleteFunc(s.logins, func(l *login) bool { return l.secret == secret })
}

func (s *Server) loginBody(l *login) map[string]any {
	owner := s.owner()
	return map[string]any{
		"id": l.id, "created_at": stamp(l.created), "updated_at": stamp(l.created), "type": "api", "name": l.name,
		"primary": false, "expire": l.expire, "last_used_at": nil, "device_brand": nil, "device_model": nil,
		"os_name": nil, "user_id": ownerID, "user": owner,
		"app": map[string]any{}, "user_agent": map[string]any{}, "device": map[string]any{}, "os": map[string]any{},
		"scram_credentials": nil, "has_primary_device": false, "email": owner["email"], "notifications_unread_count": 0,
		"otp_required_for_login": false, "otp_enabled_at": nil, "image": nil, "primary_login_exists": false,
	}
}

// Revoke makes Kisi forget secret, the key of the options too.
func (s *Server) Revoke(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLogin(secret)
}

// Logins gives the secrets of the sign-ins that are not revoked, oldest first.
func (s *Server) Logins() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, l := range s.logins {
		if !l.key {
			all = append(all, l.secret)
		}
	}
	return all
}

// Forbid takes a permission ("schedules_write", "users_read" and so on) from the key or login with that secret, and from the role that
// it is told it has.
func (s *Server) Forbid(secret, permission string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forbidden[secret] == nil {
		s.forbidden[secret] = map[string]bool{}
	}
	s.forbidden[secret][permission] = true
}

// Permit gives back what Forbid took.
func (s *Server) Permit(secret, permission string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.forbidden[secret], permission)
}
