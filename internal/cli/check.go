package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"doorhook/internal/rules"
)

type checkCmd struct {
	rulesFlag
	JSON bool `help:"Print the result as JSON."`
}

// mistake is one line of the JSON result.
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"column"`
	Message string `json:"message"`
	Source  string `json:"source"`
}

// Run checks the rules. Mistakes are an error of type rules.Errors.
func (c checkCmd) Run(env Env) error {
	fsys, err := openRules(c.Rules)
	if err != nil {
		return err
	}
	set, err := rules.Load(fsys, c.Rules, env.Getenv)
	if c.JSON {
		return errors.Join(c.printJSON(env, set, err), err)
	}
	if err != nil {
		return err
	}
	for _, name := range set.Triggers() {
		fmt.Fprintf(env.Out, "%s: trigger %s, %s\n", set.File(name), name, count(set.Rules(name), "rule"))
	}
	fmt.Fprintf(env.Out, "revision %s\n", set.Revision())
	return nil
}

func (c checkCmd) printJSON(env Env, set *rules.Set, err error) error {
	out := struct {
		OK       bool      `json:"ok"`
		Triggers []string  `json:"triggers"`
		Mistakes []mistake `json:"mistakes"`
		Revision string    `json:"revision,omitempty"`
	}{OK: err == nil, Triggers: []string{}, Mistakes: []mistake{}}
	if set != nil {
		out.Triggers, out.Revision = set.Triggers(), set.Revision()
	}
	if bad, ok := errors.AsType[rules.Errors](err); ok {
		for _, e := range bad {
			out.Mistakes = append(out.Mistakes, mistake{e.File, e.Line, e.Col, e.Message, e.Source})
		}
	}
	enc := json.NewEncoder(env.Out)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}
