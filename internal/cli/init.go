package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"doorhook/internal/app"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

type initCmd struct {
	rulesFlag
	kisiFlags
	kisiRedisFlags
	Trigger string `default:"skedda" placeholder:"NAME" help:"Name of the trigger, and of the file; default skedda."`
	Force   bool   `help:"Overwrite the file if it is there."`
	JSON    bool   `help:"Print places, doors and groups as JSON, and write nothing."`
}

// Help says where the key comes from.
func (initCmd) Help() string {
	return `The key comes from KISI_API_KEY; without it, doorhook asks for it on the terminal. It is used for this once, and neither shown nor kept.`
}

// Validate is called by kong.
func (c initCmd) Validate() error {
	if !rules.TriggerName(c.Trigger) {
		return usageError("--trigger takes letters, digits, - and _: it is part of an address")
	}
	if strings.HasSuffix(c.Trigger, "_test") {
		return usageError("--trigger cannot end in _test: files of that name hold tests, not rules")
	}
	return nil
}

// Run asks Kisi what there is and writes a rule file for it.
func (c initCmd) Run(ctx context.Context, env Env) error {
	name := filepath.Join(c.Rules, c.Trigger+".yaml")
	if _, err := os.Lstat(name); err == nil && !c.Force && !c.JSON {
		return inTheWay(name)
	}
	s := c.kisiFlags.add(c.kisiRedisFlags.settings(env), env)
	asked := s.Kisi.APIKey == "" && s.Kisi.Email == ""
	if asked {
		var err error
		if s.Kisi.APIKey, err = askKey(env); err != nil {
			return err
		}
	}
	site, err := app.Survey(ctx, s)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Out, site)
	}
	text, paired := app.Starter(site, c.Trigger)
	if err := c.write(name, text); err != nil {
		return err
	}
	c.tell(env, name, paired, len(site.Doors), asked)
	return nil
}

func inTheWay(name string) error {
	return fmt.Errorf("%s is there already, and stays as it is: choose another --trigger, or say --force to overwrite it", name)
}

// askKey reads the key from a terminal that does not show it.
func askKey(env Env) (relay.Secret, error) {
	in, ok := env.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errors.New("there is no key for Kisi, and no terminal to ask for it: set KISI_API_KEY (in Kisi: My Account > API)")
	}
	fmt.Fprint(env.Err, "Kisi API key (in Kisi: My Account > API; it is not shown): ")
	text, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(env.Err)
	if err != nil {
		return "", fmt.Errorf("read the key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" {
		return "", errors.New("no key was given, so nothing was asked and nothing written")
	}
	return relay.Secret(key), nil
}

// write makes the folder, the schema and the file, in this order: an editor that
// opens the file finds what it points to.
func (c initCmd) write(name, text string) error {
	if err := os.MkdirAll(c.Rules, 0o755); err != nil {
		return fmt.Errorf("make the folder of rules: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.Rules, app.SchemaFile), rules.Schema(), 0o644); err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return inTheWay(name)
	}
	if err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	_, err = f.WriteString(text)
	if err := cmp.Or(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// tell says what is there now and what to do next.
func (c initCmd) tell(env Env, name string, paired, doors int, asked bool) {
	say := func(format string, args ...any) { fmt.Fprintf(env.Out, format+"\n", args...) }
	say("%s is written, with %d of %s.", name, paired, count(doors, "door"))
	if paired < doors {
		say("The others are comments in it: which group is theirs is not plain. The reason stands beside each.")
	}
	where := ""
	if c.Rules != "rules" {
		where = " --rules " + quoted(c.Rules)
	}
	say("\nNext:")
	say("  read the file, and give the spaces the names that your bookings have")
	if asked {
		say("  export KISI_API_KEY=…            # the key you gave; doorhook has not kept it")
	}
	say("  export DOORHOOK_TOKEN=…          # a long random text, which callers have to send")
	say("  doorhook check --online%s", where)
	say("  doorhook serve%s", where)
}
