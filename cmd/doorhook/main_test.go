package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"doorhook": main})
}

// TestScript runs the command line as testdata/script has it: arguments, output, exit code.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("DOORHOOK_TOKEN", "token")
			env.Setenv("TZ", "UTC")
			env.Setenv("HOOK", freeAddress(t))
			env.Setenv("KISI", freeAddress(t))
			return nil
		},
		// The code that a command ends with is a part of the contract.
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "listens": listens, "post": post, "settles": settles, "needs": needs},
	})
}
