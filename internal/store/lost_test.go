package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorhook/internal/relay"
)

// proxy stands between the store and Redis, and loses one answer when told to: what
// is sent again after it gets through, and shows.
type proxy struct {
	l      net.Listener
	to     atomic.Value // string
	losing atomic.Bool
	wg     sync.WaitGroup
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.pass(c) })
		}
	})
	t.Cleanup(func() { l.Close(); p.wg.Wait() })
	return p
}

func (p *proxy) port() int { return p.l.Addr().(*net.TCPAddr).Port }

func (p *proxy) pass(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", p.to.Load().(string))
	if err != nil {
		return
	}
	defer up.Close()
	p.wg.Go(func() { _, _ = io.Copy(up, c); up.Close() })
	buf := make([]byte, 64<<10)
	for {
		n, err := up.Read(buf)
		// Hints, and the cluster's map, race with the answer of a script, which starts with the time.
		script := bytes.Contains(buf[:min(n, 10)], []byte("\r\n$16\r\n"))
		if err != nil || script && p.losing.CompareAndSwap(true, false) {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// An accept whose answer is lost may have happened, but once: the client must not
// send it again by itself, and the sender's own retry is a duplicate.
func TestALostAnswerIsNotSentAgain(t *testing.T) {
	for _, kind := range []string{"redis", "redis-cluster"} {
		t.Run(kind, func(t *testing.T) {
			p := newProxy(t)
			var to string
			if kind == "redis" {
				to = strings.TrimSuffix(strings.TrimPrefix(sharedServer(t), "redis://"), "/0")
			} else {
				to = strings.TrimPrefix(cluster(t, "--cluster-announce-port", fmt.Sprint(p.port()), "--cluster-announce-ip", "127.0.0.1"), "redis-cluster://")
			}
			p.to.Store(to)
			s := open(t, Options{URL: fmt.Sprintf("%s://127.0.0.1:%d", kind, p.port()), Prefix: fmt.Sprintf("lost%d", beds.Add(1))})
			accept(t, s, booking("e0", nil, `{}`)) // the scripts are known then, and the cluster's map
			finish(t, s, claimOne(t, s), time.Time{})
			for _, id := range []string{"", "e1"} {
				if err := s.Ping(ctx); err != nil { // connected again, so that what is lost is no handshake
					t.Fatal(err)
				}
				p.losing.Store(true)
				if _, err := s.Accept(ctx, event(id), booking(id, nil, `{}`)); !errors.Is(err, relay.ErrUnavailable) {
					t.Errorf("error %v", err)
				}
			}
			if r := accept(t, s, booking("e1", nil, `{}`)); r.Status != relay.Duplicate || r.Changes != 3 {
				t.Errorf("the sender's retry: %+v", r)
			}
			j := claimOne(t, s)
			p.losing.Store(true)
			if err := s.Finish(ctx, j, time.Time{}, nil); !errors.Is(err, relay.ErrUnavailable) {
				t.Errorf("finish: %v", err)
			}
			if got := job(t, s, b1); got.Worked != 3 {
				t.Errorf("worked %d, want 3", got.Worked)
			}
		})
	}
}
