package store

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/redis/go-redis/v9"
)

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opts Options
		says string // "" is good
	}{
		"the zero value":          {Options{}, ""},
		"a long memory of events": {Options{DedupTTL: 30 * day}, ""},
		"a short memory of jobs":  {Options{DedupTTL: 8 * day, Retention: 7 * day}, "version is forgotten"},
		"braces":                  {Options{Prefix: "a{b"}, "braces"},
		"whitespace":              {Options{Prefix: "a b"}, "whitespace"},
		"a negative lease":        {Options{Lease: -1}, "Lease"},
		"less than Redis counts":  {Options{LetterTTL: time.Microsecond}, "LetterTTL"},
		"no events":               {Options{Events: -1}, "Events"},
	} {
		o, err := c.opts.withDefaults()
		if c.says == "" && (err != nil || o.Retention < o.DedupTTL || o.Prefix == "" || o.Lease != 10*time.Second) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: error %v, want it to say %s", name, err, c.says)
		}
		if s, openErr := Open(ctx, c.opts); err != nil && openErr == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		} else if openErr == nil {
			s.Close()
		}
	}
}

func TestURLs(t *testing.T) {
	for _, tt := range []struct{ url, where string }{
		{"redis://h", "Redis at h:6379"},
		{"rediss://u:p@h:1/2?read_timeout=1", "Redis at h:1"},
		{"unix:///tmp/x.sock?db=2", "Redis at /tmp/x.sock"},
		{"unix://u:p@/tmp/x@y.sock", "Redis at /tmp/x@y.sock"},
		{"redis-sentinel://u:p@h1:26379,h2:26379/3?master_name=m", `Redis "m" of the sentinels at h1:26379, h2:26379`},
		{"rediss+sentinel://h1:26379?master_name=m", `Redis "m" of the sentinels at h1:26379`},
		{"redis://h1:26379/3?master_name=m&addr=h2:26379", `Redis "m" of the sentinels at h1:26379, h2:26379`},
		{"redis+cluster://u:p@h1,h2:7000", "the Redis cluster at h1:6379, h2:7000"},
		{"rediss-cluster://h1:1", "the Redis cluster at h1:1"},
		{"redis://h1:1?cluster=true&addr=h2:2", "the Redis cluster at h1:1, h2:2"},
		{"redis://h1:1?cluster=false", "Redis at h1:1"},
		{"redis://u:p%40%2F%23%3F@h:1", "Redis at h:1"},
		{"redis://[::1]:1", "Redis at [::1]:1"},
	} {
		url, where := tt.url, tt.where
		c, err := newClient(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if c.where != where {
			t.Errorf("%s: %s, want %s", url, c.where, where)
		}
		c.Close()
	}
}

func TestURLSettings(t *testing.T) {
	for _, url := range []string{"redis://ada:pw@h:1/3?max_retries=9", "redis-sentinel://ada:pw@h:1/3?master_name=m&max_retries=9"} {
		c, err := newClient(url)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		o := c.UniversalClient.(*redis.Client).Options()
		if o.Username != "ada" || o.Password != "pw" || o.DB != 3 {
			t.Errorf("%s: user %s, password %s, db %d", url, o.Username, o.Password, o.DB)
		}
		// go-redis turns -1 into 0 once it has its options.
		if o.MaxRetries > 0 || !o.ContextTimeoutEnabled {
			t.Errorf("%s: %d retries, deadlines of contexts count: %v", url, o.MaxRetries, o.ContextTimeoutEnabled)
		}
	}
	c, err := newClient("rediss+cluster://ada:pw@h:1?max_retries=9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if o := c.UniversalClient.(*redis.ClusterClient).Options(); o.Username != "ada" || o.Password != "pw" || o.TLSConfig == nil || o.MaxRetries > 0 {
		t.Errorf("cluster: user %s, password %s, TLS %v, %d retries", o.Username, o.Password, o.TLSConfig, o.MaxRetries)
	}
}

func TestErrorsNeverShowThePassword(t *testing.T) {
	for _, url := range []string{
		"redis://:canary@127.0.0.1:1", "redis://:canary@127.0.0.1:1/x", "redis://:canary@127.0.0.1:1?nonsense=1",
		"redis://:12/canary@127.0.0.1:1", "redis://:12#canary@127.0.0.1:1", "redis://:12?canary@127.0.0.1:1",
		"redis://:can%zzary@127.0.0.1:1", "redis://u:canary@:x", "ftp://u:canary@h", "u:canary@h:6379",
		"redis+cluster://u:canary@127.0.0.1:1", "redis-sentinel://u:canary@127.0.0.1:1",
		"redis-sentinel://u:canary@127.0.0.1:1?master_name=m&sentinel_password=canary",
	} {
		s, err := Open(ctx, Options{URL: url})
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", url)
			continue
		}
		if text := err.Error(); strings.Contains(text, "canary") || strings.Contains(text, "ary") || strings.Contains(text, ":12") {
			t.Errorf("%s: %s", url, text)
		}
	}
}

func TestErrorsSayWhatToCheck(t *testing.T) {
	for url, says := range map[string]string{
		"redis://127.0.0.1:1":       "Redis at 127.0.0.1:1 does not serve",
		"redis://127.0.0.1:1?foo=1": "foo",
		"localhost:6379":            "scheme",
		"http://h":                  `"http"`,
		"redis-sentinel://h:1":      "master_name",
	} {
		if _, err := Open(ctx, Options{URL: url}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want it to say %s", url, err, says)
		}
	}
}

func TestEmbedded(t *testing.T) {
	s := open(t, Options{})
	if !s.Embedded() || s.Lease() != 10*time.Second {
		t.Errorf("embedded %v, lease %s", s.Embedded(), s.Lease())
	}
	works(t, s)
	if d := time.Since(s.Now()).Abs(); d > time.Second {
		t.Errorf("its clock is off by %s", d)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// works plays one job through.
func works(t *testing.T, s *Store) {
	t.Helper()
	p := booking("e1", version(1), `{}`)
	p.Problems = []relay.Problem{{Rule: "other", Message: "no"}}
	if r := accept(t, s, p); r.Status != relay.Accepted {
		t.Errorf("receipt %+v", r)
	}
	j := claimOne(t, s)
	if _, err := s.Save(ctx, j); err != nil {
		t.Error(err)
	}
	finish(t, s, j, time.Time{}, relay.DeadLetter{ID: "l"})
	if l, err := s.Letters(ctx, 10); len(l) != 2 || err != nil {
		t.Errorf("letters %v, %v", l, err)
	}
	if got := job(t, s, b1); got.Worked != 1 {
		t.Errorf("job %+v", got)
	}
}

func TestEmbeddedForgetsInTime(t *testing.T) {
	s := open(t, Options{DedupTTL: 30 * time.Millisecond})
	accept(t, s, booking("e1", nil, `{}`))
	time.Sleep(60 * time.Millisecond)
	if r := accept(t, s, booking("e1", nil, `{}`)); r.Status != relay.Accepted {
		t.Errorf("after its time: %s", r.Status)
	}
}

func TestUnixSocket(t *testing.T) {
	dir := t.TempDir()
	ownServer(t, "--unixsocket", dir+"/s")
	works(t, open(t, Options{URL: "unix://" + dir + "/s"}))
}

func TestPassword(t *testing.T) {
	srv := ownServer(t)
	cli := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", srv.port), MaintNotificationsConfig: noNotices()})
	defer cli.Close()
	if err := cli.ConfigSet(ctx, "requirepass", "p@ss/word").Err(); err != nil {
		t.Fatal(err)
	}
	works(t, open(t, Options{URL: fmt.Sprintf("redis://:p%%40ss%%2Fword@127.0.0.1:%d", srv.port)}))
	for _, user := range []string{"", ":canary@"} {
		_, err := Open(ctx, Options{URL: fmt.Sprintf("redis://%s127.0.0.1:%d", user, srv.port)})
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "password") {
			t.Errorf("%q: %v", user, err)
		}
	}
}

func TestCluster(t *testing.T) {
	url := cluster(t)
	s := open(t, Options{URL: url})
	works(t, s)
	other := open(t, Options{URL: url})
	drain(other)
	accept(t, s, booking("e2", nil, `{}`))
	hears(t, other)
}

// cluster starts one of a single node; args are for it.
func cluster(t *testing.T, args ...string) (url string) {
	t.Helper()
	srv := ownServer(t, append([]string{"--cluster-enabled", "yes"}, args...)...)
	cli := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", srv.port), MaintNotificationsConfig: noNotices()})
	defer cli.Close()
	if err := cli.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if strings.Contains(cli.ClusterInfo(ctx).Val(), "cluster_state:ok") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Sprintf("redis-cluster://127.0.0.1:%d", srv.port)
}

func TestSentinel(t *testing.T) {
	srv := ownServer(t)
	watch, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	conf := watch.dir + "/sentinel.conf"
	text := fmt.Sprintf("sentinel monitor mymaster 127.0.0.1 %d 1\n", srv.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := watch.startWith(conf, "--sentinel"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.kill)
	works(t, open(t, Options{URL: fmt.Sprintf("redis-sentinel://127.0.0.1:%d?master_name=mymaster", watch.port)}))
}
