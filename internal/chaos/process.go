package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process is a program that is killed and started again. If it ends by itself it
// is started again too, as a supervisor would.
type process struct {
	name    string
	command []string
	env     []string
	log     *os.File

	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended for good

	mu      sync.Mutex
	line    []byte
	pid     int
	url     string          // where it serves; "" until it says so
	falls   int             // how often it ended by itself
	panic   string          // the first
	found   map[int64]bool  // objects of creates that got no answer
	tooLate map[string]bool // jobs whose unlock was given up
}

func newProcess(name string, log *os.File, env []string, command ...string) *process {
	return &process{name: name, log: log, env: env, command: command, found: map[int64]bool{}, tooLate: map[string]bool{}}
}

// start runs the program until it is killed or ctx ends.
func (p *process) start(ctx context.Context) {
	ctx, p.cancel = context.WithCancel(ctx)
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		for p.run(ctx); ctx.Err() == nil; p.run(ctx) {
			p.mu.Lock()
			p.falls++ // a doorhook does while it starts without Redis
			p.mu.Unlock()
			pause(ctx, 200*time.Millisecond)
		}
	}()
}

// kill ends it with SIGKILL, and returns when it is gone.
func (p *process) kill() {
	p.cancel()
	<-p.done
}

func (p *process) run(ctx context.Context) {
	cmd := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr, cmd.WaitDelay = p.env, p, p, dieWithUs(), time.Second
	err := cmd.Start()
	if err == nil {
		p.mu.Lock()
		p.pid, p.line = cmd.Process.Pid, nil
		p.mu.Unlock()
		_ = cmd.Wait() // how it ended is in its log
	}
	p.mu.Lock()
	p.pid, p.url = 0, ""
	p.mu.Unlock()
}

// Write takes what the program says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = append(p.line, b...)
	for {
		line, rest, whole := bytes.Cut(p.line, []byte("\n"))
		if !whole {
			return p.log.Write(b)
		}
		p.read(line)
		p.line = rest
	}
}

// read picks from one line of doorhook's log where it serves, that it panicked, what
// it found of creates that got no answer, and which unlocks it was too late for.
func (p *process) read(line []byte) {
	var said struct {
		Msg, URL, Step, Job, Action string
		Object                      int64
	}
	switch err := json.Unmarshal(line, &said); {
	case bytes.HasPrefix(line, []byte("panic:")), bytes.HasPrefix(line, []byte("fatal error:")), strings.Contains(said.Msg, "panicked"):
		p.panic = cmp.Or(p.panic, string(line))
	case err != nil: // Redis speaks otherwise
	case said.Msg == "ready":
		p.url = said.URL
	case said.Step == "find" && said.Object != 0:
		p.found[said.Object] = true
	case said.Msg == "action given up" && said.Action == "unlock":
		p.tooLate[said.Job] = true
	}
}

func (p *process) at() (url string, pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url, p.pid
}

// serving waits until it says that it is ready.
func (p *process) serving(ctx context.Context) error {
	return await(ctx, 20*time.Second, p.name, func() bool {
		url, _ := p.at()
		return url != ""
	})
}

// gaveUp reports whether it was too late for an unlock of job.
func (p *process) gaveUp(job string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tooLate[job]
}

// history is how often it ended by itself, its first panic, and how many objects it found.
func (p *process) history() (falls int, panicked string, found int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.falls, p.panic, len(p.found)
}
