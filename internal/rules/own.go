package rules

import (
	"strings"

	"doorhook/internal/relay"
)

// own reports whether the file is about what happens to doorhook itself.
func (fl *fileLoader) own() bool { return strings.EqualFold(fl.f.trigger.Name, relay.Own) }

// ownHasNo are keys that mean nothing where nobody calls, and nothing is booked.
var ownHasNo = []string{"from", "auth", "allow_ip", "alias", "booking", "version", "cancelled"}

// onlyOwn refuses what the trigger of doorhook itself cannot have.
func (fl *fileLoader) onlyOwn() {
	if fl.f.trigger.Name != relay.Own {
		fl.errorf(fl.keys["trigger"].node, `the trigger of what happens to doorhook itself is written "%s", and no other can have its name`, relay.Own)
	}
	for _, name := range ownHasNo {
		if e, ok := fl.keys[name]; ok {
			fl.errorf(e.key, "the trigger doorhook has no %s: nobody can call it, and it books nothing. It tells of what happens to doorhook itself", name)
		}
	}
}
