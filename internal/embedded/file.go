package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"
)

const (
	fileName = "appendonly.aof" // as a Redis of one's own would call it
	lockName = "lock"
	newName  = fileName + ".new"

	// smallFile is not worth writing anew.
	smallFile = 16 << 20
)

// file is what a logFile needs of an *os.File.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// creator makes an empty file.
type creator func(path string) (file, error)

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // bookings hold e-mail addresses
}

// logFile is the file that every change goes to. Do's lock guards what has no lock
// of its own.
type logFile struct {
	dir    string
	lock   *flock.Flock
	create creator

	size int64 // of the file
	base int64 // what size was when all of it was last written anew

	written atomic.Int64          // bytes of changes ever written
	failed  atomic.Pointer[error] // why the file cannot be trusted with more; nil if it can

	syncing sync.Mutex // held during an fsync, and while another file takes the place of f
	f       file
	synced  int64 // of written
}

// openFile takes hold of a folder.
func openFile(dir string, create creator) (*logFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for the data: %w; DOORHOOK_DATA has to name a folder that doorhook may write to", err)
	}
	l := &logFile{dir: dir, lock: flock.New(filepath.Join(dir, lockName)), create: create}
	locked, err := l.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w; DOORHOOK_DATA has to name a folder that doorhook may write to", err)
	}
	if !locked {
		return nil, fmt.Errorf("the data folder %s is in use by another doorhook; only one process at a time may have it", dir)
	}
	return l, nil
}

func (l *logFile) path() string { return filepath.Join(l.dir, fileName) }

// append writes commands as one transaction. What it gives is for sync.
func (l *logFile) append(commands [][]string) (end int64, err error) {
	if len(commands) == 0 {
		return l.written.Load(), nil
	}
	b := appendCommand(nil, "MULTI")
	for _, c := range commands {
		b = appendCommand(b, c...)
	}
	b = appendCommand(b, "EXEC")
	if _, err := l.f.Write(b); err != nil {
		return 0, l.fail(err)
	}
	l.size += int64(len(b))
	return l.written.Add(int64(len(b))), nil
}

// sync returns when what was written up to end is on disk. Those who come while
// another's fsync is under way share the next one.
func (l *logFile) sync(end int64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced >= end {
		return nil
	}
	if err := l.failure(); err != nil {
		return err // a second fsync may succeed though the first one lost something
	}
	written := l.written.Load()
	if err := l.f.Sync(); err != nil {
		return l.fail(err)
	}
	l.synced = written
	return nil
}

func (l *logFile) fail(err error) error {
	err = fmt.Errorf("embedded: write %s: %w", l.path(), err)
	l.failed.Store(&err)
	return err
}

func (l *logFile) failure() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *logFile) hasGrown() bool { return l.size > max(smallFile, 2*l.base) }

// compact replaces the file by a shorter one. That it cannot is no harm yet: the
// file that is there is as good, and the next try comes when it has doubled again.
func (l *logFile) compact(snapshot func(io.Writer) error) error {
	if err := l.replace(snapshot); err != nil {
		l.base = l.size
	}
	return l.failure()
}

// replace puts a file with nothing but a snapshot in the place of the one that is
// there. It is either replaced whole or left alone.
func (l *logFile) replace(snapshot func(io.Writer) error) error {
	f, size, err := l.writeNew(snapshot)
	if err != nil {
		return fmt.Errorf("embedded: write %s anew: %w", l.path(), err)
	}
	if err := os.Rename(filepath.Join(l.dir, newName), l.path()); err != nil {
		return errors.Join(fmt.Errorf("embedded: %w", err), f.Close())
	}
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.f != nil {
		_ = l.f.Close() // nothing in it matters any more
	}
	l.f, l.size, l.base = f, size, size
	if err := syncFolder(l.dir); err != nil {
		return l.fail(err) // after a power cut the old file could be back
	}
	l.synced = l.written.Load()
	l.failed.Store(nil)
	return nil
}

func (l *logFile) writeNew(snapshot func(io.Writer) error) (f file, size int64, err error) {
	if f, err = l.create(filepath.Join(l.dir, newName)); err != nil {
		return nil, 0, err
	}
	counted := &counter{w: f}
	w := bufio.NewWriterSize(counted, 1<<16)
	if err = snapshot(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close(), os.Remove(filepath.Join(l.dir, newName)))
	}
	return f, counted.n, nil
}

// close leaves a snapshot behind, which any Redis takes command by command; if it
// cannot be written, the file as it is.
func (l *logFile) close(snapshot func(io.Writer) error) error {
	err := l.replace(snapshot)
	if err != nil {
		err = l.sync(l.written.Load())
	}
	return errors.Join(err, l.release())
}

// release lets go of the folder.
func (l *logFile) release() error {
	var err error
	if l.f != nil {
		err = l.f.Close()
	}
	return errors.Join(err, l.lock.Close())
}

// syncFolder makes a rename last.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// appendCommand adds a command as Redis clients send it.
func appendCommand(b []byte, command ...string) []byte {
	b = append(strconv.AppendInt(append(b, '*'), int64(len(command)), 10), "\r\n"...)
	for _, arg := range command {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(arg)), 10), "\r\n"...)
		b = append(append(b, arg...), "\r\n"...)
	}
	return b
}
