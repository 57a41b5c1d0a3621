package web

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// counting counts how often a deadline is set.
type counting struct {
	net.Conn

	set int
}

func (c *counting) SetReadDeadline(t time.Time) error {
	c.set++
	return c.Conn.SetReadDeadline(t)
}

// TestDeadlinesOfReading hold, whether they were moved later or earlier, and are set
// seldom.
func TestDeadlinesOfReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		inner := &counting{Conn: server}
		c := &conn{Conn: inner, ln: &listener{}}
		in := func(d time.Duration) {
			if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
				t.Fatal(err)
			}
		}
		reads := func(after time.Duration) {
			t.Helper()
			started := time.Now()
			n, err := c.Read(make([]byte, 1))
			if took := time.Since(started); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took != after {
				t.Errorf("read %d, %v, after %s, want %s", n, err, took, after)
			}
		}
		for range 1000 { // requests, a millisecond each
			in(15 * time.Second)
			time.Sleep(time.Millisecond)
			in(time.Minute)
		}
		if inner.set > 1 {
			t.Errorf("a deadline was set %d times", inner.set)
		}
		reads(time.Minute)
		in(15 * time.Second)
		reads(15 * time.Second)
		in(time.Second)
		in(time.Millisecond)
		reads(time.Millisecond)
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		in(time.Second)
		reads(time.Second)
		in(time.Second)
		go func() {
			time.Sleep(time.Millisecond)
			_, _ = client.Write([]byte("x"))
		}()
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
	})
}
