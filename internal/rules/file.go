package rules

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

// ruleFile is a loaded rule file: one trigger.
type ruleFile struct {
	src     *source
	trigger relay.Trigger
	from    *yaml.Node     // what the file says of its adapter; nil if nothing
	zone    *time.Location // nil if the file names none
	closed  Errors         // ways in that nobody can take, though nothing is wrong with the file

	id, booking, version, cancelled *expression // nil if the file has none

	tables  map[string]any
	limits  limits
	never   []Use // where it names locks that are never opened
	scope   scope // of expressions outside rules
	lets    []*let
	slots   int // values of lets in a run
	respond []respond
	rules   []*rule
	leftOut []LeftOut
	spare   []*rule // those that are left out
}

// let is a named value.
type let struct {
	name  string
	key   *yaml.Node
	slot  int
	value *expression
}

// respond is an extra field of the answer.
type respond struct {
	name  string
	value *value
}

// rule is a when and a do.
type rule struct {
	name    string
	node    *yaml.Node
	when    *expression // nil matches always
	each    *expression // nil for once
	at      *expression // nil for at once
	expires *value      // nil for the default
	unused  *value      // nil takes nothing back
	lets    []*let
	do      []*effect
	missing []string // what it needs, and is not set
}

var (
	fileKeys = []string{"trigger", "from", "auth", "allow_ip", "alias", "timezone", "id", "booking", "version", "cancelled", "limits", "tables", "let", "respond", "rules"}
	ruleKeys = []string{"name", "when", "each", "let", "at", "expires", "if_unused", "needs", "do"}
	authKeys = []string{"bearer", "basic", "header", "query", "hmac", "alias", "none"}

	// answerFields are the fields of every answer, which respond must not hide.
	answerFields = []string{"status", "event_id", "job_id", "rules", "actions", "group_link_id", "schedule_id", "role_assignment_id", "error", "plan", "problems"}

	headerName  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	triggerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
)

// fileLoader loads a file whose keys are known.
type fileLoader struct {
	*loader
	f    *ruleFile
	keys map[string]entry

	unkeyed []unkeyed
}

// load makes a rule file of the keys of its document. shared are the tables of
// other files.
func (fl *fileLoader) load(shared map[string]any) {
	fl.head()
	fl.tables(shared)
	fl.f.scope = scope{functions: functions(), tables: sortedKeys(fl.f.tables), lets: map[string]int{}, person: fl.person()}
	if e, ok := fl.keys["let"]; ok {
		fl.f.lets = fl.letsOf(e.node, &fl.f.scope, 0)
	}
	fl.f.slots = len(fl.f.lets)
	for name, to := range map[string]**expression{"id": &fl.f.id, "booking": &fl.f.booking, "version": &fl.f.version, "cancelled": &fl.f.cancelled} {
		if e, ok := fl.keys[name]; ok {
			*to = fl.expression(e.node, name, fl.f.scope)
			if name == "cancelled" {
				fl.gives(e, *to)
			}
		}
	}
	fl.respond()
	fl.rules()
	if fl.own() {
		fl.onlyOwn()
	} else {
		fl.cancelNeedsBooking()
	}
}

// cancelNeedsBooking refuses a cancellation that could never find what to cancel.
func (fl *fileLoader) cancelNeedsBooking() {
	_, booking := fl.keys["booking"]
	for _, name := range []string{"cancelled", "version"} {
		if e, ok := fl.keys[name]; ok && !booking {
			fl.errorf(e.key, "%s needs booking: it says which booking is meant", name)
		}
	}
}

func (fl *fileLoader) tables(shared map[string]any) {
	fl.f.tables = map[string]any{}
	maps.Copy(fl.f.tables, shared)
	e, ok := fl.keys["tables"]
	if !ok {
		return
	}
	for name, t := range fl.tablesOf(e.node) {
		if _, again := fl.f.tables[name]; again {
			fl.errorf(e.key, `the table "%s" is in a shared file already`, name)
		}
		fl.f.tables[name] = t
	}
}

// tablesOf reads the tables under a tables: key.
func (l *loader) tablesOf(n *yaml.Node) map[string]any {
	tables := map[string]any{}
	for _, e := range l.entries(n, "tables", nil) {
		if !l.identifier(e, "table", append(inputs(), functionNames()...)) {
			continue
		}
		if e.node.Kind != yaml.MappingNode {
			l.errorf(e.node, `the table "%s" takes names with values`, e.name)
			continue
		}
		if n := len(e.node.Content) / 2; n > maxEntries {
			l.errorf(e.node, `the table "%s" has %d entries, and no more than %d are read`, e.name, n, maxEntries)
			continue
		}
		tables[e.name] = l.data(e.node, "tables")
	}
	return tables
}

// letsOf compiles named values in order; each may use those before it. Their
// slots begin at from.
func (fl *fileLoader) letsOf(n *yaml.Node, sc *scope, from int) []*let {
	var lets []*let
	entries := fl.entries(n, "let", nil)
	if len(entries) > maxLets {
		fl.errorf(n, "let has %d values, and no more than %d are read", len(entries), maxLets)
		return nil
	}
	for _, e := range entries {
		if !fl.identifier(e, "value", sc.names()) {
			continue
		}
		x := fl.expression(e.node, "let "+e.name, sc.lately())
		if x != nil && x.person {
			sc.person[e.name] = true
		}
		lets = append(lets, &let{name: e.name, key: e.key, slot: from + len(lets), value: x})
		sc.lets[e.name] = from + len(lets) - 1
	}
	return lets
}

func (fl *fileLoader) respond() {
	e, ok := fl.keys["respond"]
	if !ok {
		return
	}
	for _, r := range fl.entries(e.node, "respond", nil) {
		if slices.Contains(answerFields, r.name) {
			fl.errorf(r.key, `every answer has a field "%s" already`, r.name)
			continue
		}
		if v := fl.value(r.node, "respond "+r.name, fl.f.scope); v != nil {
			fl.f.respond = append(fl.f.respond, respond{r.name, v})
		}
	}
}

func (fl *fileLoader) rules() {
	e, ok := fl.keys["rules"]
	if !ok {
		return
	}
	names := map[string]int{}
	for _, n := range fl.items(e.node, "rules") {
		r := fl.rule(n)
		if r == nil || r.name == "" {
			continue
		}
		if line, again := names[r.name]; again {
			fl.errorf(r.node, `the rule "%s" has the name of the one in line %d; what a booking has is kept by that name`, r.name, line)
		}
		names[r.name] = r.node.Line
		if len(r.missing) > 0 {
			fl.f.leftOut = append(fl.f.leftOut, LeftOut{r.name, fl.src.where(r.node, 0), r.missing, r.grants()})
			fl.f.spare = append(fl.f.spare, r)
			continue
		}
		fl.f.rules = append(fl.f.rules, r)
	}
}

func (fl *fileLoader) rule(n *yaml.Node) *rule {
	r := &rule{node: n}
	keys := map[string]entry{}
	for _, e := range fl.entries(n, "a rule", ruleKeys) {
		keys[e.name] = e
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	if e, ok := keys["name"]; !ok {
		fl.errorf(n, "this rule has no name")
	} else if name, ok := fl.scalar(e.node, "name"); ok {
		r.name, r.node = name, e.node
	}
	if e, ok := keys["needs"]; ok {
		if r.missing = fl.needs(e.node); len(r.missing) > 0 {
			defer fl.pretending()()
		}
	}
	outer := fl.f.scope
	if e, ok := keys["each"]; ok {
		r.each = fl.expression(e.node, "each", outer)
		fl.gives(e, r.each)
	}
	sc := outer
	sc.lets, sc.person, sc.each = maps.Clone(outer.lets), maps.Clone(outer.person), r.each != nil
	if e, ok := keys["let"]; ok {
		r.lets = fl.letsOf(e.node, &sc, len(fl.f.lets))
		fl.f.slots = max(fl.f.slots, len(fl.f.lets)+len(r.lets))
	}
	for name, to := range map[string]**expression{"when": &r.when, "at": &r.at} {
		if e, ok := keys[name]; ok {
			*to = fl.expression(e.node, name, sc)
			fl.gives(e, *to)
		}
	}
	if e, ok := keys["expires"]; ok {
		r.expires = fl.period(e, sc)
	}
	if e, ok := keys["if_unused"]; ok {
		r.unused = fl.period(e, sc)
	}
	if e, ok := keys["do"]; !ok {
		fl.errorf(n, "this rule has no do: it would do nothing")
	} else {
		fl.effects(r, e.node, sc)
	}
	if e, ok := keys["if_unused"]; ok {
		fl.unusedOf(e, r)
	}
	return r
}

// grants reports whether the rule gives what can be taken back.
func (ru *rule) grants() bool {
	return slices.ContainsFunc(ru.do, func(x *effect) bool { return x.kind != relay.Send && x.kind != relay.Unlock })
}

// gives refuses an expression that surely gives something else than its key takes.
func (fl *fileLoader) gives(e entry, x *expression) {
	if x == nil {
		return
	}
	of := x.program.Node().Type()
	if of == nil || of.Kind() == reflect.Interface {
		return
	}
	isTime := of == reflect.TypeFor[time.Time]()
	var ok bool
	switch e.name {
	case "when", "cancelled":
		ok = of.Kind() == reflect.Bool
	case "at":
		ok = isTime || of.Kind() == reflect.String || of.Kind() == reflect.Int
	case "each":
		ok = of.Kind() == reflect.Slice
	}
	if !ok {
		want := map[string]string{"when": "true or false", "cancelled": "true or false", "at": "a time", "each": "a list"}[e.name]
		line, col := fl.src.position(e.node, 0)
		fl.errs = append(fl.errs, fl.src.errorf(line, col, "%s takes %s, and this never gives that", e.name, want))
	}
}

// period takes a duration as text, or ${…} that gives a duration or a time.
func (fl *fileLoader) period(e entry, sc scope) *value {
	v := fl.value(e.node, e.name, sc)
	if v == nil || v.lone != nil {
		return v
	}
	text, _ := v.plain.(string)
	d, ok := parseDuration(text)
	if !ok || d <= 0 {
		fl.errorf(e.node, "%s takes a duration such as 5m, or ${…} that gives a time or a duration", e.name)
		return nil
	}
	v.plain = d
	return v
}
