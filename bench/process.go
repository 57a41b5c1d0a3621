//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that is measured from outside.
type process struct {
	cmd  *exec.Cmd
	out  log
	done chan struct{} // closed when it has ended
}

// log is what a program says, in a file as a service's would be: whoever reads a pipe
// takes time from what is measured. It has no name, so that nothing is left of it.
type log struct{ *os.File }

const (
	logBytes  = 16 << 20 // then it begins anew
	tailBytes = 2 << 10
)

func newLog() (log, error) {
	name := filepath.Join(os.TempDir(), "doorhook-bench-log-"+rand.Text())
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return log{}, err
	}
	if err := os.Remove(name); err != nil {
		return log{}, errors.Join(err, f.Close())
	}
	return log{f}, nil
}

// bound keeps it from filling the disk, until done is closed.
func (l log) bound(done <-chan struct{}) {
	for every := time.NewTicker(time.Second); ; {
		select {
		case <-done:
			every.Stop()
			return
		case <-every.C:
			if info, err := l.Stat(); err == nil && info.Size() > logBytes {
				_ = l.Truncate(0) // or the next time
			}
		}
	}
}

// String is its end, for an error.
func (l log) String() string {
	info, err := l.Stat()
	if err != nil {
		return err.Error()
	}
	text := make([]byte, min(tailBytes, info.Size()))
	n, _ := l.ReadAt(text, info.Size()-int64(len(text))) // what there is
	return string(text[:n])
}

// start runs a program until it is stopped, or ctx ends.
func start(ctx context.Context, env []string, command ...string) (*process, error) {
	out, err := newLog()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	p := &process{cmd: exec.CommandContext(ctx, command[0], command[1:]...), out: out, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = append(surroundings(), env...), out.File, out.File, time.Second
	// The kernel kills it when the bench is gone. It leaves the bench's process group,
	// or Ctrl-C would end it before the bench does.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", command[0], err), out.Close())
	}
	go p.out.bound(p.done)
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // why it ended, it has said
	}()
	return p, nil
}

// surroundings are what of the environment every program gets: no setting of a doorhook
// that somebody has here, but Go's own.
func surroundings() (env []string) {
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOMAXPROCS", "GODEBUG", "GOGC", "GOMEMLIMIT"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// stop ends it, in good order if it takes no longer than some seconds.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.done
	_ = p.out.Close() // it is gone with that
}

// usage is what a process has used.
type usage struct {
	cpu       time.Duration
	rss, peak int64 // bytes
}

// tick is the unit of /proc/PID/stat on Linux.
const tick = time.Second / 100

func (p *process) usage() (u usage, err error) {
	pid := p.cmd.Process.Pid
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// The second field is the name, in parentheses, and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
	u.cpu = time.Duration(number(11)+number(12)) * tick
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			u.rss = kb << 10
		case "VmHWM":
			u.peak = kb << 10
		}
	}
	return u, err
}

// ownCPU is what the bench has used: load generator and sink.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// answers waits until something listens at an address.
func answers(ctx context.Context, network, address string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens at %s after %s", address, limit)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// freeAddress is one of this machine's that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // for a moment
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
