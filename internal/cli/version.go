package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
)

type versionCmd struct {
	JSON bool `help:"Print the version as JSON."`
}

// Run prints the version.
func (c versionCmd) Run(env Env) error {
	if c.JSON {
		return json.NewEncoder(env.Out).Encode(map[string]string{"version": env.Version, "go": runtime.Version()})
	}
	_, err := fmt.Fprintf(env.Out, "doorhook %s (%s %s/%s)\n", env.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
