package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"

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
	out, err := os.Create(ts.MkAbs("out"))
	ts.Check(err)
	defer out.Close()
	errs, err := os.Create(ts.MkAbs("err"))
	ts.Check(err)
	defer errs.Close()
	path, err := exec.LookPath(args[1])
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, errs
	// Compose files set what is not given to nothing, which must not be a value.
	cmd.Env = []string{"DOORHOOK_BODY_LIMIT=", "DOORHOOK_LEASE=", "DOORHOOK_LOG_FORMAT=", "REDIS_URL="}
	for _, name := range []string{"PATH", "HOME", "DOORHOOK_TOKEN", "DOORHOOK_RULES", "KISI_API_KEY", "PORT", "DOORHOOK_REDIS"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		text, _ := os.ReadFile(ts.MkAbs("err"))
		ts.Fatalf("exit code %d, want %d\n%s", got, want, text)
	}
}
