package relay

import "time"

// Own is the trigger of what happens to doorhook itself. Nobody can call it.
const Own = "doorhook"

// Happening is something that happened to doorhook itself. Where a rule file has the
// trigger [Own], it is an event of it.
type Happening struct {
	Type string // one of those below
	// ID tells it from others: one that happens again within days is told once. ""
	// is told each time.
	ID   string
	At   time.Time
	Says map[string]any // what the rules see of it beside its type: flat, and nothing secret
}

// The types of happenings.
const (
	ActionDead      = "action.dead"      // an action, or a whole rule, was given up: there is a dead letter
	RevokeFailing   = "revoke.failing"   // access cannot be taken back
	KisiUnreachable = "kisi.unreachable" // Kisi does not answer
	KeyFailing      = "key.failing"      // Kisi does not take the key
	RulesRefused    = "rules.refused"    // changed rule files have a mistake, and the old ones stay in use
)
