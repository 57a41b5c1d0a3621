package cli

import "doorhook/internal/rules"

type schemaCmd struct{}

// Help says what it is for.
func (schemaCmd) Help() string {
	return `An editor that knows it completes and explains the keys of rule files: save it beside them, and begin each with the line

  # yaml-language-server: $schema=.doorhook.schema.json

doorhook init writes both. It does not see mistakes inside expressions: doorhook check does.`
}

// Run prints the JSON Schema of rule files.
func (schemaCmd) Run(env Env) error {
	_, err := env.Out.Write(rules.Schema())
	return err
}
