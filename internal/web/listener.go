package web

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// listener knows its connections, so that those that hold up a shutdown can be
// cut. It may be closed twice: Fiber takes the error of a second time for a reason
// not to wait for requests under way.
type listener struct {
	net.Listener
	once sync.Once
	err  error

	mu    sync.Mutex
	conns map[*conn]bool
}

// conn is a connection that remembers whether anything ever came on it.
//
// Every request has two deadlines, until it has come and until the next one does, and to
// set one costs as much as to read the request. So the one that is set stays while it is
// no later than the one that is meant, and whoever it wakes waits on.
type conn struct {
	net.Conn
	ln    *listener
	spoke atomic.Bool

	meant, set time.Time // deadlines of reading, by the one goroutine that reads
}

// Accept waits while the process is out of file descriptors: an error would end
// the server, and strangers can open connections.
func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	for errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) {
		<-time.After(50 * time.Millisecond)
		inner, err = l.Listener.Accept()
	}
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, ln: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = map[*conn]bool{}
	}
	l.conns[c] = true
	return c, nil
}

func (l *listener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// cut closes the connections that which names, and counts them.
func (l *listener) cut(which func(*conn) bool) int {
	l.mu.Lock()
	var found []*conn
	for c := range l.conns {
		if which(c) {
			found = append(found, c)
		}
	}
	l.mu.Unlock()
	for _, c := range found {
		_ = c.Close() // its reader gets the error
	}
	return len(found)
}

// SetReadDeadline must not be called while another goroutine reads.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.meant = t
	if !c.set.IsZero() && !t.IsZero() && !c.set.After(t) {
		return nil
	}
	c.set = t
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	c.meant, c.set = t, t
	return c.Conn.SetDeadline(t)
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.set.Before(c.meant) {
		c.set = c.meant
		if err := c.Conn.SetReadDeadline(c.set); err != nil {
			return 0, err
		}
		n, err = c.Conn.Read(p)
	}
	if n > 0 && !c.spoke.Load() {
		c.spoke.Store(true)
	}
	return n, err
}

func (c *conn) Close() error {
	c.ln.mu.Lock()
	delete(c.ln.conns, c)
	c.ln.mu.Unlock()
	return c.Conn.Close()
}
