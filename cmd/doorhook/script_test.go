package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits runs a command that has to end with a code: `exits 3 doorhook check`.
// What it prints is in the files out and err.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [args]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := run(ts, args[1:])
	if got != want {
		ts.Fatalf("exit code %d, want %d\n%s%s", got, want, ts.ReadFile("out"), ts.ReadFile("err"))
	}
}

// settles repeats a command until what it prints has a text in it: what is due is
// done a moment later. `settles 'no dead letters' doorhook dead`.
func settles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: settles text command [args]")
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		run(ts, args[1:])
		if strings.Contains(ts.ReadFile("out"), args[0]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("it never prints %q:\n%s%s", args[0], ts.ReadFile("out"), ts.ReadFile("err"))
		}
	}
}

// run runs a command, puts what it prints into the files out and err, and gives its code.
func run(ts *testscript.TestScript, args []string) int {
	var out, errs bytes.Buffer
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &out, &errs
	// Compose files set what is not given to nothing, which must not be a value.
	cmd.Env = []string{"DOORHOOK_BODY_LIMIT=", "DOORHOOK_LEASE=", "DOORHOOK_LOG_FORMAT=", "REDIS_URL=", "DOORHOOK_DEDUP=", "DOORHOOK_DATA="}
	for _, name := range []string{
		"PATH", "HOME", "TZ", "DOORHOOK_TOKEN", "DOORHOOK_RULES", "KISI_URL", "KISI_API_KEY", "PORT",
		"DOORHOOK_REDIS", "DOORHOOK_URL", "DOORHOOK_ADMIN_TOKEN", "ALERT_URL",
	} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), errs.Bytes(), 0o600))
	return cmd.ProcessState.ExitCode()
}

// listens waits until somebody takes connections: `listens 127.0.0.1:8080`, or
// `listens /path/to/socket`.
func listens(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listens address")
	}
	network := "tcp"
	if strings.Contains(args[0], "/") {
		network = "unix"
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial(network, args[0])
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("nobody listens at %s: %v", args[0], err)
		}
	}
}

// post sends an event to a trigger of the doorhook at $HOOK, and waits for what is
// due: `post t event.json`. The answer is in the file out.
func post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: post trigger file")
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+ts.Getenv("HOOK")+"/hooks/"+args[0]+"?wait=10", strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+ts.Getenv("DOORHOOK_TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("out"), text, 0o600))
}

// needs insists on a program where all must be tested: `needs redis-server`. Elsewhere
// the script has to skip what needs it.
func needs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: needs program")
	}
	if _, err := exec.LookPath(args[0]); err != nil && os.Getenv("CI") == "true" {
		ts.Fatalf("%s is not installed: apt-get install %s", args[0], args[0])
	}
}
