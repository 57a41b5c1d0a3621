package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/store"
)

// Settings are all that a doorhook can be told. Only the rules and a way into
// Kisi have no default.
type Settings struct {
	Rules    fs.FS  // the rule files
	RulesDir string // how their folder is called in messages
	Getenv   func(string) string
	Reload   <-chan os.Signal // asks for a look at the rule files, which are looked at every moment anyway; nil never asks

	Listen     string       // host:port; "" means 127.0.0.1:8080
	AdminToken relay.Secret // required if Listen or AdminListen is not a loopback address
	// AdminListen is where Go's profiles are served, as host:port; "" is nowhere.
	AdminListen string
	BodyLimit   int // of a trigger, in bytes; 0 means 1 MiB
	// TrustedProxies are the addresses and networks, with commas between, of those who
	// say in X-Forwarded-For who calls; "" is none.
	TrustedProxies string

	Redis  string        // its URL; "" is embedded
	Data   string        // the folder in which the embedded one keeps what it is told; "" is memory
	Prefix string        // the hash tag of every key; "" means doorhook
	Lease  time.Duration // how long a worker holds a job; 0 means 10s

	// How long what is remembered; 0 means what package store says.
	Dedup, Retention, DeadRetention time.Duration
	Events                          int64 // how many events are listed, about; 0 means 10,000

	// MaxWaiting is how many jobs of a lane may be due and in nobody's hand, and
	// MaxWaitingAge for how long, before triggers are told to come again; 0 means what
	// package store says, less than 0 any.
	MaxWaiting    int64
	MaxWaitingAge time.Duration

	// Catchup is how often what Kisi kept of what happened is compared with what came; 0 is never.
	Catchup time.Duration

	Tidy time.Duration // how long after its window an object is deleted; 0 means 24h

	// SendAllow are the private addresses, or ranges of them, that messages may be sent
	// to, with commas between them; "" is none.
	SendAllow string
	// Receiver takes messages in the place of the network; nil is the network.
	Receiver http.RoundTripper

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
	UseKey               time.Duration // how often the key is used, since one that nobody uses expires; 0 is never
}

// DefaultListen is where doorhook listens if nothing else is said: not reachable from outside.
const DefaultListen = "127.0.0.1:8080"

func (s Settings) withDefaults() Settings {
	s.Listen = cmp.Or(s.Listen, DefaultListen)
	s.Lease = cmp.Or(s.Lease, 10*time.Second)
	s.Kisi.Timeout = cmp.Or(s.Kisi.Timeout, 5*time.Second)
	s.Kisi.Rate = cmp.Or(s.Kisi.Rate, 5) // Kisi API documentation, rate limits
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return s
}

func (s Settings) check() error {
	_, badAllow := s.sendAllow()
	return errors.Join(s.checkListeners(), s.checkLease(), s.checkStore(), s.checkRate(), s.checkProxies(), badAllow)
}

// sendAllow reads SendAllow.
func (s Settings) sendAllow() ([]netip.Prefix, error) {
	var allow []netip.Prefix
	for text := range strings.SplitSeq(s.SendAllow, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if ip, notOne := netip.ParseAddr(text); notOne == nil {
			p, err = netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("send to %q: DOORHOOK_SEND_ALLOW takes addresses as 10.0.0.7 and ranges as 10.0.0.0/8, with commas between them", text)
		}
		allow = append(allow, p)
	}
	return allow, nil
}

// checkListeners refuses an open door: whoever reaches the operator's pages sees
// who comes when, and whoever reaches the profiles can make it slow.
func (s Settings) checkListeners() error {
	err := s.checkListener(s.Listen, DefaultListen)
	if s.AdminListen == "" {
		return err
	}
	return errors.Join(err, s.checkListener(s.AdminListen, defaultAdminListen))
}

// defaultAdminListen is only an example: it listens nowhere by default.
const defaultAdminListen = "127.0.0.1:6060"

func (s Settings) checkListener(at, instead string) error {
	host, _, err := net.SplitHostPort(at)
	if err != nil {
		return fmt.Errorf("listen on %q: write host:port, for example %s", at, instead)
	}
	if host == "localhost" || strings.TrimSpace(s.AdminToken.Reveal()) != "" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from outside: set DOORHOOK_ADMIN_TOKEN to a long random text, or listen on %s", at, instead)
}

// checkLease refuses a lease that a slow answer of Kisi could outlast: a second
// worker would take the job while the first still has it.
func (s Settings) checkLease() error {
	if s.stepTimeout() < s.Lease {
		return nil
	}
	return fmt.Errorf("a lease of %s is not longer than a step, which may take %s: set DOORHOOK_LEASE to more", s.Lease, s.stepTimeout())
}

func (s Settings) checkProxies() error {
	_, err := s.proxies()
	return err
}

// proxies are those that are trusted.
func (s Settings) proxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for text := range strings.SplitSeq(s.TrustedProxies, ",") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		p, err := rules.Network(text)
		if err != nil {
			return nil, fmt.Errorf("DOORHOOK_TRUSTED_PROXIES: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

// checkRate refuses what is no limit but a slip of the hand.
func (s Settings) checkRate() error {
	if s.Kisi.Rate <= 1000 {
		return nil
	}
	return fmt.Errorf("%d requests a second is more than Kisi takes from anyone: set KISI_RATE to what it takes from you; without, it is 5", s.Kisi.Rate)
}

// checkStore refuses in the words of the settings what package store refuses in its own.
func (s Settings) checkStore() error {
	switch {
	case s.Redis != "" && s.Data != "":
		return errors.New("DOORHOOK_DATA is the folder of the embedded Redis, and DOORHOOK_REDIS (or REDIS_URL) is another Redis: set one of them")
	case s.Retention > 0 && s.Retention < cmp.Or(s.Dedup, week):
		return fmt.Errorf("a retention of %s is shorter than the dedup window of %s: an old message that is sent again would find its booking forgotten; "+
			"set DOORHOOK_RETENTION to more, or DOORHOOK_DEDUP to less", rules.Length(s.Retention), rules.Length(cmp.Or(s.Dedup, week)))
	}
	return nil
}

const week = 7 * 24 * time.Hour // the dedup window of package store

func (s Settings) storeOptions() store.Options {
	return store.Options{
		URL: s.Redis, Data: s.Data, Prefix: s.Prefix, Lease: s.Lease,
		DedupTTL: s.Dedup, Retention: s.Retention, LetterTTL: s.DeadRetention, Events: s.Events,
		MaxWaiting: s.MaxWaiting, MaxWaitingAge: s.MaxWaitingAge,
	}
}

// stepTimeout leaves a sign-in and a second try room beside one full request.
func (s Settings) stepTimeout() time.Duration { return s.Kisi.Timeout + 3*time.Second }
