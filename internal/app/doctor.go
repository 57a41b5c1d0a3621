package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/store"
)

// Examine is [Operator.Doctor] for a doorhook that does not run here: what is not
// set or not there is a finding.
func Examine(ctx context.Context, s Settings) []relay.Check {
	s = s.withDefaults()
	if s.Redis == "" {
		return examine(ctx, s, nil, nil, relay.Check{
			Name: "Redis", Health: relay.Doubt, Says: "none is given, so serve would embed one, and only it could ask that one",
			Advice: "with a doorhook that runs, set DOORHOOK_URL; with a Redis, DOORHOOK_REDIS",
		})
	}
	o, err := Operate(ctx, s)
	if err != nil {
		return examine(ctx, s, nil, nil, relay.Check{
			Name: "Redis", Health: relay.Sick, Says: err.Error(), Advice: "start it, or correct DOORHOOK_REDIS (or REDIS_URL); until then triggers are answered 503",
		})
	}
	defer o.Close()
	checks, _ := o.Doctor(ctx) // what goes wrong is in the checks
	return checks
}

// Doctor examines everything that doorhook depends on.
func (o *Operator) Doctor(ctx context.Context) ([]relay.Check, error) {
	checks := examine(ctx, o.settings, o.store, o.kisi, o.store.Inspect(ctx)...)
	if o.inUse == nil {
		return checks, nil
	}
	used := o.inUse.Load().Revision()
	now, err := rules.Revision(o.settings.Rules)
	for i := range checks {
		switch c := &checks[i]; {
		case c.Name != rulesCheck:
		case c.Health == relay.Sick:
			c.Says += "; those in use are of revision " + used + ", and stay until these are right"
		case err == nil && now != used:
			c.Health, c.Says = relay.Doubt, c.Says+"; those in use are still of revision "+used
			c.Advice = "ask again in a few seconds; if it stays so, restart doorhook, and see what its log says of the rules"
		}
	}
	if o.intake != nil {
		checks = append(checks, examineRefused(o.intake.Refused())...)
	}
	return checks, nil
}

// examineRefused tells of the callers that were refused, by trigger.
func examineRefused(refused map[string]int64) []relay.Check {
	var checks []relay.Check
	for _, trigger := range slices.Sorted(maps.Keys(refused)) {
		callers := "1 caller was"
		if n := refused[trigger]; n > 1 {
			callers = fmt.Sprintf("%d callers were", n)
		}
		checks = append(checks, relay.Check{
			Name: "trigger " + trigger, Health: relay.Doubt, Says: callers + " refused since the start",
			Advice: "if one of them should not have been, see that the sender has the same secret as doorhook, and calls from an address in allow_ip if the rule file has one",
		})
	}
	return checks
}

const rulesCheck = "rules" // the name of what examineRules finds

// examine adds to what was found about Redis. Without a client one is made of the
// settings; without a store, Redis cannot be reached.
func examine(ctx context.Context, s Settings, st *store.Store, client *kisi.Client, found ...relay.Check) []relay.Check {
	rules, set := s.examineRules()
	uses := usesOf(set)
	checks := append(found, rules, s.examineZones(uses.zones), s.examineListener())
	if client == nil {
		if st == nil && s.Kisi.Email != "" {
			return append(checks, relay.Check{
				Name: "Kisi", Health: relay.Doubt, Says: "it was not asked: doorhook's sign-in is shared through Redis", Advice: "see to Redis first",
			})
		}
		var err error
		if client, err = kisi.New(s.kisiOptions(st)); err != nil {
			return append(checks, relay.Check{Name: "Kisi", Health: relay.Sick, Says: err.Error(), Advice: "set it where doorhook runs"})
		}
		defer client.Close()
	}
	return append(checks, examineKisi(ctx, client, uses)...)
}

// examineRules gives the rules too, if they are right.
func (s Settings) examineRules() (relay.Check, *rules.Set) {
	c := relay.Check{Name: rulesCheck, Health: relay.Sick, Advice: "run doorhook check, which shows every mistake with its line"}
	set, err := rules.Load(s.Rules, s.RulesDir, s.Getenv)
	if err != nil {
		if _, bad := errors.AsType[rules.Errors](err); !bad {
			c.Advice = "see to that, or say with --rules or DOORHOOK_RULES where the rule files are"
		}
		c.Says = summary(err)
		return c, nil
	}
	c.Health, c.Says, c.Advice = relay.Healthy, "triggers: "+strings.Join(set.Triggers(), ", ")+"; revision "+set.Revision(), ""
	for _, name := range set.Triggers() {
		if t, _ := set.Trigger(name); open(t) {
			c.Health, c.Advice = relay.Doubt, fmt.Sprintf("anybody may call %s: give it an auth other than none", name)
		}
	}
	return c, set
}

// uses is what the rules depend on outside themselves.
type uses struct {
	zones []string
	told  bool                           // Kisi calls a trigger
	needs map[kisi.Permission]relay.Kind // what for
}

// needs are what an action is made with, and what it is looked for with.
var needs = map[relay.Kind][]kisi.Permission{
	relay.Unlock:         {kisi.UnlockLocks},
	relay.Schedule:       {kisi.WriteSchedules, kisi.ReadSchedules},
	relay.GroupLink:      {kisi.WriteGroupLinks, kisi.ReadGroupLinks},
	relay.RoleAssignment: {kisi.WriteRoles, kisi.ReadRoles, kisi.ReadUsers, kisi.WriteUsers},
}

// usesOf is what set depends on; nothing if it is nil.
func usesOf(set *rules.Set) uses {
	u := uses{needs: map[kisi.Permission]relay.Kind{}}
	if set == nil {
		return u
	}
	u.zones = set.Zones()
	if u.told = len(kisiTriggers(set, "")) > 0; u.told {
		u.needs[kisi.ReadEvents] = "catching up"
	}
	for kind, permissions := range needs {
		for _, p := range permissions {
			if set.Asks(kind, "") {
				u.needs[p] = kind
			}
		}
	}
	if set.Asks(relay.Schedule, "group_id") {
		u.needs[kisi.ReadGroupLocks] = relay.Schedule
	}
	for _, kind := range []relay.Kind{relay.GroupLink, relay.RoleAssignment} {
		if set.Guards(kind) {
			u.needs[kisi.ReadGroupLocks] = kind
		}
	}
	return u
}

// zoneDirs are where Go looks for time zones before it takes those in the program.
var zoneDirs = []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"}

// examineZones shows the time there, which tells a wrong zone at a glance.
func (s Settings) examineZones(zones []string) relay.Check {
	c := relay.Check{Name: "time zones", Health: relay.Healthy}
	from := "in the program"
	if i := slices.IndexFunc(zoneDirs, func(dir string) bool { _, err := os.Stat(dir); return err == nil }); i >= 0 {
		from = "from " + zoneDirs[i]
	}
	says := []string{"known " + from}
	for _, name := range zones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			c.Health, c.Advice = relay.Sick, "correct timezone: in the rule file, or install the package tzdata"
			says = append(says, err.Error())
			continue
		}
		says = append(says, fmt.Sprintf("in %s it is %s", name, time.Now().In(zone).Format("Mon 15:04 MST")))
	}
	c.Says = strings.Join(says, "; ")
	return c
}

func (s Settings) examineListener() relay.Check {
	c := relay.Check{Name: "listener", Health: relay.Healthy, Says: s.Listen + ", with an admin token"}
	switch err := s.checkListeners(); {
	case err != nil:
		c.Health, c.Says, c.Advice = relay.Sick, err.Error(), "serve does not start like this"
	case strings.TrimSpace(s.AdminToken.Reveal()) == "":
		c.Health, c.Says = relay.Doubt, s.Listen+", without an admin token: nobody can ask it for jobs or dead letters"
		c.Advice = "set DOORHOOK_ADMIN_TOKEN to a long random text"
	}
	return c
}

// examineKisi asks Kisi who doorhook is, what time it is, and what doorhook may do.
func examineKisi(ctx context.Context, client *kisi.Client, u uses) []relay.Check {
	sent := time.Now()
	login, err := client.CurrentLogin(ctx)
	got := time.Now()
	if err != nil {
		health := relay.Sick
		if e, ok := errors.AsType[*kisi.Error](err); errors.Is(err, relay.ErrUntried) || ok && e.Status == http.StatusTooManyRequests {
			health = relay.Doubt // others went first, which says nothing about the key
		}
		return []relay.Check{refusal("Kisi key", health, err)}
	}
	key := relay.Check{Name: "Kisi key", Health: relay.Healthy, Says: fmt.Sprintf("valid, %s's, and does not expire", login.Email)}
	if login.Expires {
		key.Says = fmt.Sprintf("valid, %s's; it would expire if nobody used it for long, so serve uses it every few hours", login.Email)
	}
	checks := []relay.Check{key, examineClock(login.Now, sent, got)}
	if u.told {
		checks = append(checks, examineWebhooks(ctx, client))
	}
	if len(u.needs) == 0 {
		return checks
	}
	rights, err := client.Rights(ctx)
	if err != nil {
		return append(checks, refusal("Kisi rights", relay.Doubt, err))
	}
	return append(checks, examineRights(rights, u))
}

// examineWebhooks tells when Kisi has switched a webhook off. What it said until then
// is caught up with; what it does not say any more takes an hour to be heard.
func examineWebhooks(ctx context.Context, client *kisi.Client) relay.Check {
	c := relay.Check{Name: "Kisi webhook", Health: relay.Healthy, Says: "Kisi has switched none off"}
	all, err := client.Integrations(ctx)
	if err != nil {
		return refusal(c.Name, relay.Doubt, err)
	}
	var off []string
	for _, i := range all {
		if i.Disabled {
			off = append(off, fmt.Sprintf("%s (%d)", oneLine(i.Name), i.ID))
		}
	}
	if len(off) > 0 {
		c.Health, c.Says = relay.Sick, "Kisi has switched off, after errors: "+strings.Join(off, ", ")
		c.Advice = "see in doorhook's log what it was answered, then switch it on again in Kisi under Settings > Integrations"
	}
	return c
}

// refusal is a check that Kisi did not let happen.
func refusal(name string, health relay.Health, err error) relay.Check {
	c := relay.Check{Name: name, Health: health, Says: err.Error(), Advice: "ask again in a minute"}
	if e, ok := errors.AsType[*kisi.Error](err); ok && e.Advice() != "" {
		c.Says, c.Advice = strings.TrimSuffix(c.Says, "; "+e.Advice()), e.Advice()
	}
	return c
}

// examineClock compares the clock of Kisi with that of this host, which it answered
// between sent and got. Kisi tells whole seconds.
func examineClock(kisi, sent, got time.Time) relay.Check {
	c := relay.Check{Name: "Kisi clock", Health: relay.Healthy, Says: "it agrees with this host's"}
	if kisi.IsZero() {
		c.Health, c.Says, c.Advice = relay.Doubt, "Kisi did not tell the time", "see that this host keeps the time by NTP"
		return c
	}
	off, way := sent.Sub(kisi.Add(time.Second)), "behind"
	if ahead := kisi.Sub(got); ahead > off {
		off, way = ahead, "ahead of"
	}
	if off < 5*time.Second {
		return c
	}
	c.Health, c.Says = relay.Doubt, fmt.Sprintf("it is %s %s this host's", off.Round(time.Second), way)
	c.Advice = "have this host keep the time by NTP: doors open too early or too late by as much"
	if off >= time.Minute {
		c.Health = relay.Sick
	}
	return c
}

// examineRights compares the roles that Kisi shows with what the rules ask for. Kisi
// may not show all, so what is missing is a doubt.
func examineRights(rights kisi.Rights, u uses) relay.Check {
	c := relay.Check{Name: "Kisi rights", Health: relay.Healthy}
	var roles, missing []string
	for _, p := range slices.Sorted(maps.Keys(u.needs)) {
		role, shown := rights.May(p, 0)
		for _, r := range rights {
			if !shown && r.Permissions[p] {
				role, shown = fmt.Sprintf("%s of %s %d alone", r.Role, strings.ToLower(r.AppliesTo), r.ID), true
			}
		}
		if !shown {
			missing = append(missing, fmt.Sprintf("%s (for %s)", p, u.needs[p]))
		} else if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	if len(missing) > 0 {
		c.Health, c.Says = relay.Doubt, "no role of its user that Kisi shows has "+strings.Join(missing, ", ")
		c.Advice = "use the key of an organization owner, or give its user a role with that in Kisi; a role through a team is not shown, and may do"
		return c
	}
	c.Says = "it may do all that the rules ask for, as " + strings.Join(roles, ", ")
	return c
}
