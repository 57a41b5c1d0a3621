package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"doorhook/internal/embedded"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// client is a connection to one of the four kinds of Redis.
type client struct {
	redis.UniversalClient
	where string // for error messages; never carries a password
}

// suspect has the cluster's client ask who has our slot now. By itself it does so once
// a minute, unless it sends commands again.
func (c client) suspect(ctx context.Context, err error) {
	var answer redis.Error
	if cluster, ok := c.UniversalClient.(*redis.ClusterClient); ok && !errors.As(err, &answer) {
		cluster.ReloadState(ctx)
	}
}

// noNotices keeps the client from sending a command that plain Redis rejects and
// from looking its own address up in DNS.
func noNotices() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func embeddedClient(r *embedded.Redis) client {
	o := &redis.Options{
		Addr:   "127.0.0.1:0", // never dialled
		Dialer: func(context.Context, string, string) (net.Conn, error) { return r.Dial() },
	}
	return single(o, "the embedded Redis")
}

func newClient(text string) (client, error) {
	a, err := parseAddress(text)
	if err != nil {
		return client{}, err
	}
	c, err := a.client()
	if err != nil {
		return client{}, unreadable(text, err)
	}
	return c, nil
}

// unreadable leaves out what the parser said as soon as there may be a password
// in the URL: with an unescaped character in it, parsers quote parts of it.
func unreadable(text string, err error) error {
	const advice = "store: the Redis URL cannot be read; write redis://user:password@host:6379/0, " +
		"with reserved characters in the password escaped (%2F for /, %23 for #, %3F for ?, %40 for @)"
	if strings.Contains(text, "@") {
		return errors.New(advice)
	}
	return fmt.Errorf("%s: %w", advice, err)
}

// address is a URL taken apart: go-redis has a parser for each kind of Redis, and
// none of them reads more than one host.
type address struct {
	scheme   string // redis, rediss or unix
	kind     string // "", "sentinel" or "cluster"
	userinfo string
	hosts    []string
	rest     string // the path
	query    url.Values
}

func parseAddress(text string) (address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return address{}, unreadable(text, errors.New("it has no scheme"))
	}
	var a address
	a.scheme, a.kind, _ = strings.Cut(strings.ReplaceAll(scheme, "+", "-"), "-")
	if !slices.Contains([]string{"redis", "rediss", "unix"}, a.scheme) || !slices.Contains([]string{"", "sentinel", "cluster"}, a.kind) {
		return address{}, unreadable(text, fmt.Errorf("its scheme is %q", scheme))
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, rest = rest[:i], rest[i:]
	} else {
		rest = ""
	}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		a.userinfo, authority = authority[:i+1], authority[i+1:]
	} else if strings.Contains(rest, "@") && a.scheme != "unix" {
		// The password ended the host: what looks like a host is a part of it.
		return address{}, unreadable(text, nil)
	}
	a.hosts = strings.Split(authority, ",")
	path, query, _ := strings.Cut(rest, "?")
	a.rest = path
	var err error
	if a.query, err = url.ParseQuery(query); err != nil {
		return address{}, unreadable(text, err)
	}
	a.settleKind()
	return a, nil
}

// settleKind takes the query's word for the kind, where the scheme says nothing.
func (a *address) settleKind() {
	switch {
	case a.kind == "" && a.query.Get("master_name") != "":
		a.kind = "sentinel"
	case a.kind == "" && a.query.Get("cluster") == "true":
		a.kind = "cluster"
	}
	a.query.Del("cluster")
}

// url is the one spelling that go-redis reads.
func (a address) url() string {
	q := url.Values{}
	maps.Copy(q, a.query)
	for _, h := range a.hosts[1:] {
		q.Add("addr", h)
	}
	u := a.scheme + "://" + a.userinfo + a.hosts[0] + a.rest
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	return u
}

func (a address) client() (client, error) {
	switch a.kind {
	case "sentinel":
		return a.sentinel()
	case "cluster":
		return a.cluster()
	}
	o, err := redis.ParseURL(a.url())
	if err != nil {
		return client{}, err
	}
	return single(o, "Redis at "+o.Addr), nil
}

func single(o *redis.Options, where string) client {
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DisableIdentity, o.ContextTimeoutEnabled = true, true
	o.MaintNotificationsConfig = noNotices()
	return client{redis.NewClient(o), where}
}

func (a address) sentinel() (client, error) {
	user, password := a.query.Get("sentinel_username"), a.query.Get("sentinel_password")
	a.query.Del("sentinel_username")
	a.query.Del("sentinel_password")
	o, err := redis.ParseFailoverURL(a.url())
	if err != nil {
		return client{}, err
	}
	if o.MasterName == "" {
		return client{}, errors.New("master_name is missing")
	}
	// go-redis takes the user and password of the URL for the sentinels'.
	o.Username, o.Password = cmp.Or(o.Username, o.SentinelUsername), cmp.Or(o.Password, o.SentinelPassword)
	o.SentinelUsername, o.SentinelPassword = user, password
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DisableIdentity, o.ContextTimeoutEnabled = true, true
	where := fmt.Sprintf("Redis %q of the sentinels at %s", o.MasterName, strings.Join(o.SentinelAddrs, ", "))
	return client{redis.NewFailoverClient(o), where}, nil
}

func (a address) cluster() (client, error) {
	o, err := redis.ParseClusterURL(a.url())
	if err != nil {
		return client{}, err
	}
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DisableIdentity, o.ContextTimeoutEnabled = true, true
	o.MaintNotificationsConfig = noNotices()
	return client{redis.NewClusterClient(o), "the Redis cluster at " + strings.Join(o.Addrs, ", ")}, nil
}
