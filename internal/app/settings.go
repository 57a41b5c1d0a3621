package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// Settings are all that a doorhook can be told. Only the rules and a way into
// Kisi have no default.
type Settings struct {
	Rules    fs.FS  // the rule files
	RulesDir string // how their folder is called in messages
	Getenv   func(string) string

	Listen     string       // host:port; "" means 127.0.0.1:8080
	AdminToken relay.Secret // required if Listen is not a loopback address
	BodyLimit  int          // of a trigger, in bytes; 0 means 1 MiB

	Redis  string        // its URL; "" is embedded
	Prefix string        // the hash tag of every key; "" means doorhook
	Lease  time.Duration // how long a worker holds a job; 0 means 10s

	Kisi Kisi

	Version string
	Log     *slog.Logger
}

// Kisi says which Kisi to talk to and as whom.
type Kisi struct {
	URL                  string // "" means https://api.kisi.io
	APIKey               relay.Secret
	Email                string // instead of a key
	Password             relay.Secret
	Domain               string
	Integration, Contact string        // headers that name the integration to Kisi; "" omits them
	Timeout              time.Duration // of one request; 0 means 5s
	Rate                 int           // requests a second that Kisi takes from our user; 0 means 5, negative is no limit
}

// DefaultListen is where doorhook listens if nothing else is said: not reachable from outside.
const DefaultListen = "127.0.0.1:8080"

func (s Settings) withDefaults() (Settings, error) {
	s.Listen = cmp.Or(s.Listen, DefaultListen)
	s.Lease = cmp.Or(s.Lease, 10*time.Second)
	s.Kisi.Timeout = cmp.Or(s.Kisi.Timeout, 5*time.Second)
	s.Kisi.Rate = cmp.Or(s.Kisi.Rate, 5) // Kisi API documentation, rate limits
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return s, errors.Join(s.checkListener(), s.checkLease())
}

// checkListener refuses an open door: whoever reaches the operator's pages sees
// who comes when.
func (s Settings) checkListener() error {
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return fmt.Errorf("listen on %q: write host:port, for example %s", s.Listen, DefaultListen)
	}
	if host == "localhost" || strings.TrimSpace(s.AdminToken.Reveal()) != "" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from outside: set DOORHOOK_ADMIN_TOKEN to a long random text, or listen on %s", s.Listen, DefaultListen)
}

// checkLease refuses a lease that a slow answer of Kisi could outlast: a second
// worker would take the job while the first still has it.
func (s Settings) checkLease() error {
	if s.stepTimeout() < s.Lease {
		return nil
	}
	return fmt.Errorf("a lease of %s is not longer than a step, which may take %s: set DOORHOOK_LEASE to more", s.Lease, s.stepTimeout())
}

// stepTimeout leaves a sign-in and a second try room beside one full request.
func (s Settings) stepTimeout() time.Duration { return s.Kisi.Timeout + 3*time.Second }
