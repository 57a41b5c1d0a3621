package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// written is a file with a snapshot in it and two transactions after it, and what it
// holds with the last of them and without.
type written struct {
	data         string
	last         int // where the last transaction begins
	without, all map[string]string
}

func writeFile(t *testing.T) written {
	b := newBed(t)
	b.script(everything()...)
	b.reopen() // now it is a snapshot
	b.kept("SET", "text", "second")
	w := written{without: b.dump(), last: len(b.fileText())}
	b.script([]string{"SET", "text", binary}, []string{"HSET", "job", binary, "v"}, []string{"ZADD", "due", "1", "job"})
	w.data, w.all = b.fileText(), b.dump()
	return w
}

// load opens a folder with a file of this content.
func load(t testing.TB, data string) (dir string, holds map[string]string, err error) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := open(dir, newClock().now, createFile)
	if err != nil {
		return dir, nil, err
	}
	c := connect(t, r)
	holds = c.dump()
	c.Close()
	return dir, holds, r.Close()
}

// reading is load without a folder, which spares the fsyncs.
func reading(t testing.TB, data string) (map[string]string, error) {
	t.Helper()
	r, err := start(newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	defer r.mini.Close()
	err = r.load([]byte(data))
	r.tick()
	c := connect(t, r)
	defer c.Close()
	return c.dump(), err
}

// TestTail cuts the last transaction at each byte: it was not answered, so it did
// not happen. What comes before it did.
func TestTail(t *testing.T) {
	w := writeFile(t)
	tails := map[string]func(missing int) string{
		"cut off":                        func(int) string { return "" },
		"filled with zeros to its end":   func(missing int) string { return strings.Repeat("\x00", missing) },
		"filled with zeros for a sector": func(int) string { return strings.Repeat("\x00", 4096) },
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			for end := w.last; end <= len(w.data); end++ {
				want := w.without
				if end == len(w.data) {
					want = w.all
				}
				holds, err := reading(t, w.data[:end]+tail(len(w.data)-end))
				if err != nil {
					t.Fatalf("cut at %d of %d: %v", end, len(w.data), err)
				}
				if diff := cmp.Diff(want, holds); diff != "" {
					t.Fatalf("cut at %d of %d:\n%s", end, len(w.data), diff)
				}
			}
		})
	}
}

// TestAfterTail shows that a tail is gone for good, and not in the way of what follows.
func TestAfterTail(t *testing.T) {
	w, b := writeFile(t), newBed(t)
	b.crash()
	if err := os.WriteFile(b.path(), []byte(w.data[:len(w.data)-1]), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.kept("SET", "text", "after")
	want := b.dump()
	b.reopen()
	if diff := cmp.Diff(want, b.dump()); diff != "" {
		t.Error(diff)
	}
}

// TestDamage spoils a file elsewhere: whoever starts doorhook is told where and what
// can be done, and what they are told works.
func TestDamage(t *testing.T) {
	w := writeFile(t)
	insert := func(what string) string { return w.data[:w.last] + what + w.data[w.last:] }
	replace := func(what, with string) string { return strings.Replace(w.data, what, with, 1) }
	snapshotEnd := strings.Index(w.data, string(begin))
	lastText := strings.LastIndex(w.data, "$4\r\ntext")
	tests := []struct{ name, data, want string }{
		{"text between commands", insert("hello\r\n"), fmt.Sprintf("byte %d: this is not what a command looks like", w.last)},
		{"zeros between commands", insert("\x00\x00\x00"), fmt.Sprintf("byte %d: this is not", w.last)},
		{"something after the end", w.data + "\n", fmt.Sprintf("byte %d: this is not", len(w.data))},
		{"the beginning is missing", w.data[1:], "byte 0: this is not"},
		{"a command of later times", insert("*1\r\n$8\r\nFLUSHALL\r\n"), `does not know the command "FLUSHALL"`},
		{"a command without a name", insert("*0\r\n"), "this is not"},
		{"a command that cannot be", insert("*3\r\n$5\r\nLPUSH\r\n$4\r\ntext\r\n$1\r\nx\r\n"), "LPUSH was refused: WRONGTYPE"},
		{"a command that breaks miniredis", insert(string(appendCommand(nil, "XADD", "s", "NOMKSTREAM", "MAXLEN", "="))), "XADD cannot be run"},
		{"a transaction in a transaction", insert(string(begin)), `command "MULTI"`},
		{"the end of none", insert(string(commit)), `command "EXEC"`},
		{"a length too short", replace("$6\r\nsecond", "$5\r\nsecond"), "this is not"},
		{"a length too long", replace("$6\r\nsecond", "$7\r\nsecond"), "this is not"},
		{"a length far too long", replace("$6\r\nsecond", "$600000\r\nsecond"), "ends in the middle"},
		{"a length out of this world", replace("$6\r\nsecond", "$99999999999\r\nsecond"), "this is not"},
		{"far too many arguments", replace("*3\r\n$3\r\nSET\r\n$4\r\ntext", "*3000000\r\n$3\r\nSET\r\n$4\r\ntext"), "this is not"},
		{"a length far too long, in the last", w.data[:lastText] + "$4000\r\ntext" + w.data[lastText+8:], "ends in the middle"},
		{"the snapshot is cut", w.data[:snapshotEnd-20], "ends in the middle"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, _, err := load(t, tt.data)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), filepath.Join(dir, fileName)) {
				t.Fatalf("got the error %v, want one with %q", err, tt.want)
			}
			after, err := os.ReadFile(filepath.Join(dir, fileName))
			if err != nil || string(after) != tt.data {
				t.Fatalf("the file has been changed, error %v", err)
			}
			advice := regexp.MustCompile(`truncate -s (\d+)$`).FindStringSubmatch(errOf(load(t, tt.data)).Error())
			if advice == nil {
				t.Fatal("nothing says what to do")
			}
			size, _ := strconv.Atoi(advice[1])
			if _, _, err := load(t, tt.data[:size]); err != nil {
				t.Errorf("after truncate -s %d: %v", size, err)
			}
		})
	}
}

func errOf(_ string, _ map[string]string, err error) error { return err }

// TestOneProcess opens a folder twice.
func TestOneProcess(t *testing.T) {
	b := newBed(t)
	b.kept("SET", "k", "v")
	_, err := Open(b.dir)
	if err == nil || !strings.Contains(err.Error(), b.dir+" is in use by another doorhook") {
		t.Fatalf("a second one got the error %v", err)
	}
	b.kept("SET", "k", "w")
	b.close()
	b.open()
	if got := b.do("GET", "k"); got != "w" {
		t.Errorf("the key is %v", got)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, fileName): 0o600, filepath.Join(dir, lockName): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, error %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// TestNoFolder is about a path where no folder can be.
func TestNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got the error %v", err)
	}
}

// TestCompaction writes the same key until the file has to be made short.
func TestCompaction(t *testing.T) {
	b := newBed(t)
	b.script(everything()...)
	const size = 1 << 20
	for i := range 3 * smallFile / size {
		b.kept("SET", "large", strings.Repeat(string('a'+rune(i%26)), size))
		if n := len(b.fileText()); n > smallFile+size {
			t.Fatalf("after %d writes the file has %d bytes", i+1, n)
		}
	}
	want := b.dump()
	b.reopen()
	if diff := cmp.Diff(want, b.dump()); diff != "" {
		t.Error(diff)
	}
	if n := len(b.fileText()); n > size+2000 {
		t.Errorf("the file has %d bytes", n)
	}
}

// disk goes wrong as told. It counts what reaches it.
type disk struct {
	full    atomic.Bool // it takes half of what is written
	dying   atomic.Bool // an fsync fails
	noFiles atomic.Bool
	files   atomic.Int64
	syncs   atomic.Int64
	gate    atomic.Pointer[gate]
}

// gate holds an fsync up.
type gate struct{ reached, open chan struct{} }

type diskFile struct {
	file
	d *disk
}

func (d *disk) create(path string) (file, error) {
	d.files.Add(1)
	if d.noFiles.Load() {
		return nil, syscall.EMFILE
	}
	f, err := createFile(path)
	return diskFile{f, d}, err
}

func (f diskFile) Write(b []byte) (int, error) {
	if f.d.full.Load() {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, syscall.ENOSPC
	}
	return f.file.Write(b)
}

func (f diskFile) Sync() error {
	f.d.syncs.Add(1)
	if g := f.d.gate.Swap(nil); g != nil {
		close(g.reached)
		<-g.open
	}
	if f.d.dying.Load() {
		return syscall.EIO
	}
	return f.file.Sync()
}

// TestDiskFails lets the disk fail and recover. Nothing is answered that is not on
// disk; when the disk is well again all goes on, with what was in memory meanwhile.
func TestDiskFails(t *testing.T) {
	tests := []struct {
		name string
		set  func(d *disk, to bool)
		want error
	}{
		{"it is full", func(d *disk, to bool) { d.full.Store(to) }, syscall.ENOSPC},
		{"an fsync fails", func(d *disk, to bool) { d.dying.Store(to) }, syscall.EIO},
		{"it is full, and has no room for a new file", func(d *disk, to bool) { d.full.Store(to); d.noFiles.Store(to) }, syscall.ENOSPC},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, d := newBed(t), new(disk)
			b.close()
			b.create = d.create
			b.open()
			b.script(everything()...)

			tt.set(d, true)
			err := b.r.Do(func() error { return failure(b.do("SET", "unanswered", "v")) })
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), b.path()) {
				t.Fatalf("the first got the error %v", err)
			}
			for range 2 {
				if err := b.r.Do(func() error { t.Error("it was run"); return nil }); err == nil {
					t.Fatal("the next one got no error")
				}
			}
			tt.set(d, false)
			b.kept("SET", "text", "well again")
			want := b.dump()
			b.reopen()
			if diff := cmp.Diff(want, b.dump()); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("it is full, and the process dies", func(t *testing.T) {
		b, d := newBed(t), new(disk)
		b.close()
		b.create = d.create
		b.open()
		b.kept("SET", "k", "v")
		want := b.dump()
		d.full.Store(true)
		_ = b.r.Do(func() error { return failure(b.do("SET", "k", "unanswered")) })
		b.create = createFile
		b.reopen()
		if diff := cmp.Diff(want, b.dump()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("there is no room to compact", func(t *testing.T) {
		b, d := newBed(t), new(disk)
		b.close()
		b.create = d.create
		b.open()
		d.noFiles.Store(true)
		d.files.Store(0)
		for range 2*smallFile/(1<<20) + 4 {
			b.kept("SET", "large", strings.Repeat("x", 1<<20))
		}
		if n := d.files.Load(); n != 2 {
			t.Errorf("it tried %d times, want 2: each time that the file has doubled", n)
		}
		want := b.dump()
		d.noFiles.Store(false)
		b.reopen()
		if diff := cmp.Diff(want, b.dump()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSharedSync holds the fsync of one up: those who come meanwhile share the next,
// also who only reads what is not on disk yet.
func TestSharedSync(t *testing.T) {
	const others = 15
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint("fails=", fails), func(t *testing.T) {
			b, d := newBed(t), new(disk)
			b.close()
			b.create = d.create
			b.open()
			d.syncs.Store(0)
			g := &gate{make(chan struct{}), make(chan struct{})}
			d.gate.Store(g)

			errs := make(chan error, 1+others)
			var called, all sync.WaitGroup
			do := func(command ...string) {
				c := connect(t, b.r)
				defer c.Close()
				errs <- b.r.Do(func() error {
					defer called.Done()
					return failure(c.do(command...))
				})
			}
			called.Add(1 + others)
			all.Go(func() { do("SET", "first", "v") })
			<-g.reached
			for n := range others - 1 {
				all.Go(func() { do("SET", strconv.Itoa(n), "v") })
			}
			all.Go(func() { do("GET", "first") }) // an answer too
			called.Wait()
			if _, err := b.r.do(func() error { return nil }); err != nil { // by its turn, all have written
				t.Error(err)
			}
			if len(errs) != 0 {
				t.Error("one was answered before its fsync")
			}
			d.dying.Store(fails)
			close(g.open)
			all.Wait()
			close(errs)
			for err := range errs {
				if (err != nil) != fails {
					t.Errorf("got the error %v", err)
				}
			}
			want := int64(2)
			if fails {
				want = 1 // what an fsync lost, the next one does not bring back
			}
			if n := d.syncs.Load(); n != want {
				t.Errorf("there were %d fsyncs, want %d", n, want)
			}
			d.dying.Store(false)
		})
	}
}
