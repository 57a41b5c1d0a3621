package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDocs does what the documents say, as a stranger in a fresh copy would: it
// runs every shell block in order and compares what it prints with the block that
// follows. "…" stands for what differs from run to run; times and the width of
// columns always do.
func TestDocs(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed, and the documents use it", tool)
			}
			t.Skipf("%s is not installed, and the documents use it", tool)
		}
	}
	for _, doc := range []string{"README.md", "examples/README.md", "docs/rules.md"} {
		t.Run(doc, func(t *testing.T) {
			t.Parallel()
			r := newReader(t)
			text, err := os.ReadFile(filepath.Join(r.dir, doc))
			if err != nil {
				t.Fatal(err)
			}
			blocks := blocksOf(string(text))
			if len(blocks) < 5 {
				t.Fatalf("found %d blocks", len(blocks))
			}
			for i, b := range blocks {
				if b.lang != "sh" {
					continue
				}
				want := ""
				if i+1 < len(blocks) && blocks[i+1].follows {
					want = blocks[i+1].text
				}
				r.do(b, want)
			}
		})
	}
}

// block is a fenced block of a document.
type block struct {
	lang, text string
	line       int
	until      string // it keeps running; this shows that it is up
	follows    bool   // it stands directly under the block before
}

var keepsRunning = regexp.MustCompile(`^<!-- keeps running until "(.+)" -->$`)

func blocksOf(text string) []block {
	var blocks []block
	var b *block
	until, lastEnd := "", -1
	for i, line := range strings.Split(text, "\n") {
		switch m := keepsRunning.FindStringSubmatch(line); {
		case m != nil:
			until = m[1]
		case strings.HasPrefix(line, "```") && b == nil:
			b = &block{lang: strings.TrimPrefix(line, "```"), line: i + 1, until: until, follows: i == lastEnd+1}
			until = ""
		case line == "```":
			blocks, b, lastEnd = append(blocks, *b), nil, i
		case b != nil:
			b.text += line + "\n"
		}
	}
	return blocks
}

// reader is somebody who follows a document.
type reader struct {
	t       *testing.T
	dir     string
	ports   *strings.Replacer // the documents' ports are taken on a busy machine
	back    *strings.Replacer
	running map[string]func() // by what they are
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, dir: t.TempDir(), running: map[string]func(){}}
	copyTree(t, "../..", r.dir)
	hook, kisi := freeAddress(t), freeAddress(t)
	r.ports = strings.NewReplacer("127.0.0.1:8080", hook, "127.0.0.1:8090", kisi)
	r.back = strings.NewReplacer(hook, "127.0.0.1:8080", kisi, "127.0.0.1:8090")
	build := exec.Command("go", "build", "-o", filepath.Join(r.dir, "doorhook"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Nobody outside is asked, whatever key a document shows.
	env := fmt.Sprintf("export PATH=%q:$PATH DOORHOOK_LISTEN=%s TZ=America/New_York HTTPS_PROXY=http://127.0.0.1:1\n", r.dir, hook)
	if err := os.WriteFile(filepath.Join(r.dir, ".env.sh"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, stop := range r.running {
			stop()
		}
	})
	return r
}

// do runs one block in the reader's shell.
func (r *reader) do(b block, want string) {
	r.t.Helper()
	script := ". ./.env.sh\n" + r.ports.Replace(b.text) + "export -p > .env.sh\n"
	if b.until != "" {
		r.start(b, script)
		return
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", script)
	cmd.Dir = r.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("line %d: %v\n%s%s", b.line, err, out, stderr.String())
	}
	got := strings.TrimSpace(r.back.Replace(string(out)))
	if want = strings.TrimSpace(want); want != "" && !matches(want, got) {
		r.t.Errorf("line %d prints\n%s\nand the document says\n%s", b.line, got, want)
	}
}

var (
	clock = regexp.MustCompile(`(\d{1,2} [A-Z][a-z]{2}( \d{4})?|[A-Z][a-z]{2}) \d\d:\d\d(:\d\d)? [A-Z]{3}\b`)
	took  = regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s)\b`)
	gap   = regexp.MustCompile(` {2,}`)
)

func matches(want, got string) bool {
	same := func(text string) string {
		return gap.ReplaceAllString(took.ReplaceAllString(clock.ReplaceAllString(text, "TIME"), "TOOK"), " ")
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(same(want)), "…", `[^"]*`)
	return regexp.MustCompile(`^(?s:` + pattern + `)$`).MatchString(same(got))
}

// start runs a block that does not end by itself. Another of its kind ends first,
// as a reader would end it who needs its port.
func (r *reader) start(b block, script string) {
	r.t.Helper()
	kind := "kisifake"
	if strings.Contains(b.text, " serve") || strings.Contains(b.text, " demo") {
		kind = "doorhook"
	}
	if stop, ok := r.running[kind]; ok {
		stop()
		// The next doorhook does not share this one's Redis, so it does not know what
		// was asked of Kisi in this second. No reader is that fast.
		<-time.After(1100 * time.Millisecond)
	}
	listen := ""
	if kind == "kisifake" {
		listen = " --listen " + r.ports.Replace("127.0.0.1:8090")
		script = strings.Replace(script, "kisifake", "kisifake"+listen, 1)
	}
	cmd := exec.Command("bash", "-e", "-c", script)
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run has a child of its own
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	r.running[kind] = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		<-ended
	})
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(out.String(), b.until); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			r.t.Fatalf("line %d ended:\n%s", b.line, out)
		default:
		}
		if time.Now().After(end) {
			r.t.Fatalf("line %d does not come to %q:\n%s", b.line, b.until, out)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// copyTree copies what a clone would have.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(from, path)
		if err != nil || relErr != nil {
			return err
		}
		switch {
		case d.IsDir() && (d.Name() == ".git" || rel == "bin" || rel == "tools"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular() || rel == "doorhook":
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
