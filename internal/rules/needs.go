package rules

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// LeftOut is a rule that is not in use, since a variable of the environment that it
// needs is not set.
type LeftOut struct {
	Rule    string   `json:"rule"`
	Where   string   `json:"where"`   // file:line:column
	Missing []string `json:"missing"` // the variables
	// Grants says that the rule gives access: what a booking has from it is taken back
	// with the next message about it, as if the rule were gone.
	Grants bool `json:"grants,omitempty"`
}

// TakesBack is what becomes of what a rule that is left out has given.
const TakesBack = "what it has given is taken back with the next message about each booking"

// String is the rule and why: alert to Slack (ALERT_URL is not set).
func (l LeftOut) String() string {
	verb := "is"
	if len(l.Missing) > 1 {
		verb = "are"
	}
	more := ""
	if l.Grants {
		more = "; " + TakesBack
	}
	return fmt.Sprintf("%s (%s %s not set%s)", l.Rule, strings.Join(l.Missing, " and "), verb, more)
}

// LeftOut are the rules of a trigger that are not in use, in the order of the file.
func (s *Set) LeftOut(trigger string) []LeftOut { return s.files[trigger].leftOut }

// Env is the value that an environment variable had when the rules were loaded, if some
// send names it, without the space around it; else "".
func (s *Set) Env(name string) string { return s.env[name] }

// Pretend is [Load] for whoever only plans, to whom the values of variables do not
// matter: each has one that passes for what a rule takes it for. has tells which of
// those are set that needs: names; nil says that all are.
func Pretend(fsys fs.FS, dir string, has func(string) bool) (*Set, error) {
	if has == nil {
		has = func(string) bool { return true }
	}
	return load(fsys, dir, loader{getenv: pretended, has: has, pretend: true})
}

func pretended(name string) string { return "the-value-of-" + name }

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// needs reads the names of variables without which a rule is left out, and gives those
// that are not set.
func (fl *fileLoader) needs(n *yaml.Node) (missing []string) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		if nodes = fl.items(n, "needs"); len(n.Content) == 0 {
			fl.errorf(n, "needs is empty")
		}
	}
	for _, n := range nodes {
		name, ok := fl.scalar(n, "needs")
		switch {
		case !ok:
		case !variableName.MatchString(name):
			fl.errorf(n, "needs takes the name of an environment variable, such as ALERT_URL, without ${ }")
		case !fl.has(name):
			missing = append(missing, name)
		}
	}
	return missing
}

// pretending reads a rule that is left out: what it names need not be set. The result
// ends that.
func (fl *fileLoader) pretending() (end func()) {
	getenv, pretend, env := fl.getenv, fl.pretend, maps.Clone(fl.env)
	fl.getenv, fl.pretend = pretended, true
	return func() { fl.getenv, fl.pretend, fl.env = getenv, pretend, env }
}

// envIsSet notes a variable that a send names at n, if it is set.
func (l *loader) envIsSet(n *yaml.Node, name string) bool {
	v := strings.TrimSpace(l.getenv(name))
	if v == "" {
		l.errorf(n, "the environment variable %s is not set, or empty", name)
		return false
	}
	l.env[name] = v
	return true
}
