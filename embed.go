// Package doorhook holds the starter rules, so that one binary can show what it does.
package doorhook

import "embed"

// Rules is the rules folder as it is in the repository.
//
//go:embed rules/*.yaml
var Rules embed.FS
