// Package embedded is the Redis that lives in doorhook's own process, for those who
// run none. Given a folder, it keeps what it is told in a file there, in Redis's own
// append-only format, and lets nobody have an answer that is not on disk. It does
// not know what the keys mean.
package embedded

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// Redis is a Redis in this process.
type Redis struct {
	mini *miniredis.Miniredis
	srv  *server.Server
	now  func() time.Time

	calls sync.Mutex // one Do at a time, and what it does to the file
	file  *logFile   // nil if everything is in memory

	// running is held while a client's command or script runs, and guards what
	// follows. A script sees one time from its first command to its last.
	running sync.Mutex
	time    time.Time     // when the command or script began
	keyTime time.Time     // what miniredis takes the time to be, for keys to expire
	rest    time.Duration // how far keyTime may lag behind
	noting  bool          // a Do is under way
	notes   [][]string    // what was written meanwhile, as commands for the file

	dialling sync.Mutex
	closed   bool
}

// Open starts one. With "" for dir everything is in memory. Otherwise what dir holds
// is loaded and every change is kept there; one process at a time may have it.
func Open(dir string) (*Redis, error) { return open(dir, time.Now, createFile) }

// OpenIn starts one in memory whose clock is now, by which keys expire.
func OpenIn(now func() time.Time) (*Redis, error) { return open("", now, createFile) }

func open(dir string, now func() time.Time, create creator) (*Redis, error) {
	r, err := start(now)
	if err != nil {
		return nil, err
	}
	if dir != "" {
		if err := r.keepIn(dir, create); err != nil {
			r.mini.Close()
			return nil, fmt.Errorf("embedded: %w", err)
		}
	}
	r.srv.SetPreHook(r.hook)
	return r, nil
}

// start starts one that is empty, and where it is 1970: nothing expires before what
// comes after it in the file has been loaded, as in Redis.
func start(now func() time.Time) (*Redis, error) {
	r := &Redis{mini: miniredis.NewMiniRedis(), now: now, keyTime: time.Unix(0, 0)}
	c, err := r.mini.Dial() // the first call starts it, without a listener
	if err != nil {
		return nil, fmt.Errorf("embedded: start: %w", err)
	}
	r.srv = r.mini.Server()
	r.mini.SetTime(r.keyTime)
	return r, c.Close()
}

// Persistent reports whether it has a folder, so that what it holds outlives it.
func (r *Redis) Persistent() bool { return r.file != nil }

var errClosed = errors.New("embedded: Redis is closed")

// Dial gives a connection to it, as net.Dial would.
func (r *Redis) Dial() (net.Conn, error) {
	r.dialling.Lock()
	defer r.dialling.Unlock()
	if r.closed {
		return nil, errClosed
	}
	near, far := net.Pipe()
	s := serve(far)
	r.srv.ServeConn(s)
	return conn{near, s.ended}, nil
}

// conn is a client's end of a connection. A client that lost patience closes it, and
// that waits for the command it gave up: otherwise the command could write after its
// Do has ended, when nobody notes what is written.
type conn struct {
	net.Conn
	ended <-chan struct{}
}

func (c conn) Close() error {
	err := c.Conn.Close()
	<-c.ended
	return err
}

// Do runs call, which sends one command that may write, and comes back when it has
// the answer or has closed the connection. Calls run one after another. When Do
// returns nil, every effect of call, and of all calls whose effects it could have
// seen, is on disk. An error of call is returned as it is; what call did before it
// stays. When the file could not be written, Do does not run call until all has been
// written anew.
//
// What is written outside of a Do may or may not be there after a restart. In
// memory Do just runs call.
func (r *Redis) Do(call func() error) error {
	if !r.Persistent() {
		return call()
	}
	end, err := r.do(call)
	if err != nil {
		return err
	}
	return r.file.sync(end)
}

// do gives what has to be synced for call to be on disk.
func (r *Redis) do(call func() error) (end int64, err error) {
	r.calls.Lock()
	defer r.calls.Unlock()
	if r.isClosed() {
		return 0, errClosed
	}
	if r.file.failure() != nil {
		if err := r.file.replace(r.snapshot); err != nil {
			return 0, err
		}
	}
	r.note()
	err = call()
	end, kept := r.file.append(r.noted())
	if err != nil {
		return 0, err
	}
	if kept == nil && r.file.hasGrown() {
		kept = r.file.compact(r.snapshot)
	}
	return end, kept
}

// note begins to note what is written. It goes on if call panics, so that the next
// Do keeps what this one did.
func (r *Redis) note() {
	r.running.Lock()
	defer r.running.Unlock()
	r.noting = true
}

func (r *Redis) noted() [][]string {
	r.running.Lock()
	defer r.running.Unlock()
	notes := r.notes
	r.noting, r.notes = false, nil
	return notes
}

func (r *Redis) isClosed() bool {
	r.dialling.Lock()
	defer r.dialling.Unlock()
	return r.closed
}

// Close ends all connections, leaves in the file what is there and no more, and
// lets others have the folder.
func (r *Redis) Close() error {
	r.calls.Lock()
	defer r.calls.Unlock()
	if r.isClosed() {
		return nil
	}
	r.dialling.Lock()
	r.closed = true
	r.dialling.Unlock()
	r.mini.Close()
	if !r.Persistent() {
		return nil
	}
	return r.file.close(r.snapshot)
}
