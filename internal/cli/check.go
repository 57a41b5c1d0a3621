package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"doorhook/internal/app"
	"doorhook/internal/rules"
)

type checkCmd struct {
	rulesFlag
	kisiFlags
	kisiRedisFlags
	Online bool `help:"Ask Kisi, too, whether it has the locks and groups that the rules name, and what your key may do."`
	Strict bool `help:"Take warnings for mistakes."`
	JSON   bool `help:"Print the result as JSON."`
}

// kisiRedisFlags name the Redis that doorhook processes share, for commands that only ask Kisi.
type kisiRedisFlags struct {
	Redis       string `variable:"DOORHOOK_REDIS,REDIS_URL" placeholder:"URL" help:"Redis in which doorhook keeps its sign-in to Kisi and Kisi's limit (DOORHOOK_REDIS); not needed with an API key."`
	RedisPrefix string `default:"doorhook" variable:"DOORHOOK_REDIS_PREFIX" placeholder:"NAME" help:"First part of every key in that Redis (DOORHOOK_REDIS_PREFIX); default doorhook."`
}

func (f kisiRedisFlags) settings(env Env) app.Settings {
	return app.Settings{Redis: f.Redis, Prefix: f.RedisPrefix, Version: env.Version}
}

// mistake is one line of the JSON result.
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"column"`
	Message string `json:"message"`
	Source  string `json:"source"`
}

// checked is what was found.
type checked struct {
	set      *rules.Set // nil if the rules do not load
	warnings rules.Errors
	asked    bool // of Kisi
}

// strictError is for warnings that count.
type strictError string

func (e strictError) Error() string { return string(e) }

// Run checks the rules. Mistakes are an error of type rules.Errors.
func (c checkCmd) Run(ctx context.Context, env Env) error {
	found, err := c.check(ctx, env)
	if err == nil && c.Strict && len(found.warnings) > 0 {
		err = strictError(count(len(found.warnings), "warning") + ", and --strict takes them for mistakes")
	}
	if c.JSON {
		return errors.Join(c.printJSON(env, found, err), err)
	}
	if found.set == nil {
		return err
	}
	for _, name := range found.set.Triggers() {
		limits := ""
		if text := found.set.LimitsText(name); text != "" {
			limits = "; limits: " + text
		}
		fmt.Fprintf(env.Out, "%s: trigger %s, %s%s\n", found.set.File(name), name, inUse(found.set, name), limits)
	}
	fmt.Fprintf(env.Out, "revision %s\n", found.set.Revision())
	for _, w := range found.warnings {
		fmt.Fprintln(env.Out, "warning:", w)
	}
	if found.asked && err == nil {
		fmt.Fprintln(env.Out, "Kisi has every lock and group that the rules name.")
	}
	return err
}

// inUse counts the rules of a trigger, and names those that are left out.
func inUse(set *rules.Set, trigger string) string {
	n, left := set.Rules(trigger), set.LeftOut(trigger)
	if len(left) == 0 {
		return count(n, "rule")
	}
	var names []string
	for _, l := range left {
		names = append(names, l.String())
	}
	return fmt.Sprintf("%s of %d; left out: %s", count(n, "rule"), n+len(left), strings.Join(names, ", "))
}

func (c checkCmd) check(ctx context.Context, env Env) (found checked, err error) {
	fsys, err := openRules(c.Rules)
	if err != nil {
		return found, err
	}
	if found.set, err = rules.Load(fsys, c.Rules, env.Getenv); err != nil {
		return found, err
	}
	found.warnings = found.set.Warnings()
	if !c.Online {
		return found, nil
	}
	mistakes, doubts, err := app.Online(ctx, c.kisiFlags.add(c.kisiRedisFlags.settings(env), env), found.set)
	if err != nil {
		return found, err
	}
	found.warnings, found.asked = append(found.warnings, doubts...), true
	if len(mistakes) > 0 {
		return found, mistakes
	}
	return found, nil
}

func (c checkCmd) printJSON(env Env, found checked, err error) error {
	out := struct {
		OK       bool            `json:"ok"`
		Triggers []string        `json:"triggers"`
		Mistakes []mistake       `json:"mistakes"`
		Warnings []mistake       `json:"warnings"`
		LeftOut  []rules.LeftOut `json:"left_out,omitempty"`
		Revision string          `json:"revision,omitempty"`
		Error    string          `json:"error,omitempty"`
	}{OK: err == nil, Triggers: []string{}, Warnings: listed(found.warnings)}
	if found.set != nil {
		out.Triggers, out.Revision = found.set.Triggers(), found.set.Revision()
		for _, name := range out.Triggers {
			out.LeftOut = append(out.LeftOut, found.set.LeftOut(name)...)
		}
	}
	bad, isBad := errors.AsType[rules.Errors](err)
	if out.Mistakes = listed(bad); err != nil && !isBad {
		out.Error = err.Error()
	}
	return printJSON(env.Out, out)
}

func listed(all rules.Errors) []mistake {
	list := []mistake{}
	for _, e := range all {
		list = append(list, mistake{e.File, e.Line, e.Col, e.Message, e.Source})
	}
	return list
}
