package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// loader reads one file and gathers all its mistakes.
type loader struct {
	src    *source
	getenv func(string) string
	has    func(string) bool // which variables are set, for needs:
	// The values of variables do not matter: they are not checked.
	pretend bool
	env     map[string]string // the values of variables that sends name
	errs    Errors
	what    string // the file is, in messages
	such    string // keys it has, as an example
}

// lastLine is where n ends, as far as its scalars tell.
func lastLine(n *yaml.Node) int {
	last := n.Line + strings.Count(n.Value, "\n")
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}

// errorf notes a mistake at the beginning of n.
func (l *loader) errorf(n *yaml.Node, format string, args ...any) {
	l.errs = append(l.errs, l.src.errorf(n.Line, n.Column, format, args...))
}

// Bounds of a file. An honest one needs a hundredth of them.
const (
	maxFile    = 1 << 20 // bytes
	maxEntries = 10_000  // of one table
	maxDeep    = 30      // keys and lists within each other
	maxLets    = 500     // named values under one let:
	maxErrors  = 1000    // mistakes that are told
)

// document is the one document of a file, or nil.
func (l *loader) document(text []byte) *yaml.Node {
	if len(text) > maxFile {
		l.errs = append(l.errs, l.src.errorf(1, 1, "the file has %d bytes, and no more than %d are read: put tables into files of their own", len(text), maxFile))
		return nil
	}
	var docs []yaml.Node
	if err := yaml.Load(text, &docs, yaml.WithAllDocuments()); err != nil {
		l.syntax(err)
		return nil
	}
	switch {
	case len(docs) == 0:
		l.errs = append(l.errs, l.src.errorf(1, 1, "the file is empty"))
		return nil
	case len(docs) > 1:
		l.errorf(&docs[1], "%s is one document: remove the --- or make it two files", l.what)
	}
	root := &docs[0]
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if n := tooDeep(root, maxDeep); n != nil {
		l.errorf(n, "keys and lists stand more than %d deep in each other here", maxDeep)
		return nil
	}
	if root.Kind != yaml.MappingNode {
		l.errorf(root, "%s is a list of keys with values, such as %s", l.what, l.such)
		return nil
	}
	return root
}

// tooDeep is the first node that stands more than left deep in n, or nil.
func tooDeep(n *yaml.Node, left int) *yaml.Node {
	if left < 0 {
		return n
	}
	for _, c := range n.Content {
		if deep := tooDeep(c, left-1); deep != nil {
			return deep
		}
	}
	return nil
}

// syntax notes what the YAML parser says, in its place.
func (l *loader) syntax(err error) {
	add := func(e *yaml.LoadError) {
		line, col := max(e.Mark.Line, 1), max(e.Mark.Column, 1)
		found := l.src.errorf(line, col, "%s", yamlAdvice(e.Message, l.src.line(line), col))
		if authLine.MatchString(found.Source) && !harmless(found.Source) {
			found.Source = ""
		}
		l.errs = append(l.errs, found)
	}
	var many *yaml.LoadErrors
	var one *yaml.LoadError
	switch {
	case errors.As(err, &many):
		for _, e := range many.Errors {
			add(e)
		}
	case errors.As(err, &one):
		add(one)
	default:
		l.errs = append(l.errs, l.src.errorf(1, 1, "this is not YAML: %v", err))
	}
}

// entry is a key with its value.
type entry struct {
	name string
	key  *yaml.Node
	node *yaml.Node
}

// entries are the keys of the mapping n. A key that comes twice, and one that
// is not known, is a mistake; a nil known allows any.
func (l *loader) entries(n *yaml.Node, what string, known []string) []entry {
	if n.Kind != yaml.MappingNode {
		hint := ""
		if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, ":") {
			hint = ": after the `:` of a key there has to be a space"
		}
		l.errorf(n, "%s takes keys with values here%s", what, hint)
		return nil
	}
	out := make([]entry, 0, len(n.Content)/2)
	at := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || key.Style&yaml.TaggedStyle != 0 {
			l.errorf(key, "%s: this cannot be a key", what)
			continue
		}
		if line, again := at[key.Value]; again {
			l.errorf(key, `"%s" stands here twice; it is in line %d already`, key.Value, line)
			continue
		}
		at[key.Value] = key.Line
		if known != nil && !slices.Contains(known, key.Value) {
			name := fmt.Sprintf(`has no key "%s"`, key.Value)
			if what == "auth" && !kindName.MatchString(key.Value) { // it may be the secret itself
				name = "has no such key"
			}
			l.errorf(key, "%s %s%s", what, name, orList(key.Value, known))
			continue
		}
		if l.aliased(val) {
			continue
		}
		out = append(out, entry{key.Value, key, val})
	}
	return out
}

// orList suggests the key that was meant, or lists those there are.
func orList(name string, known []string) string {
	if hint := didYouMean(name, known); hint != "" {
		return hint
	}
	return "; it takes " + strings.Join(known, ", ")
}

// aliased refuses anchors and aliases: they hide what a rule says, and can make
// a small file into a huge one.
func (l *loader) aliased(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		l.errorf(n, "anchors and aliases (& and *) cannot be used in rule files: use tables: or let:, or quote the text")
		return true
	}
	return false
}

// items are the elements of the list n.
func (l *loader) items(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		l.errorf(n, "%s takes a list: lines that begin with `- `", what)
		return nil
	}
	var out []*yaml.Node
	for _, item := range n.Content {
		if !l.aliased(item) {
			out = append(out, item)
		}
	}
	return out
}

// scalar is the text of a value that is not a list and has no keys.
func (l *loader) scalar(n *yaml.Node, what string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		l.errorf(n, "%s takes text here", what)
	case n.Style&yaml.TaggedStyle != 0 || !strings.HasPrefix(n.Tag, "!!"):
		l.errorf(n, "YAML takes the `!` at the beginning for a tag and drops what follows: put the value into quotes")
	case odd(n):
		l.errorf(n, "YAML reads %s as another number than it looks like: write it without leading zeros and _, or in quotes", n.Value)
	case n.Tag == "!!null" || strings.TrimSpace(n.Value) == "":
		hint := ""
		if commented(l.src, n) {
			hint = "; YAML takes everything after ` #` for a comment"
		}
		l.errorf(n, "%s is empty%s", what, hint)
	default:
		return n.Value, true
	}
	return "", false
}

// expression is a value that is an expr expression.
func (l *loader) expression(n *yaml.Node, what string, sc scope) *expression {
	text, ok := l.scalar(n, what)
	if !ok {
		return nil
	}
	if found, _ := spans(text); len(found) == 1 && found[0].from == 0 && found[0].to == len([]rune(text)) {
		l.errorf(n, "%s is an expression by itself: write it without ${ }", what)
		return nil
	}
	return l.compile(n, 0, text, sc)
}

func (l *loader) compile(n *yaml.Node, off int, text string, sc scope) *expression {
	if len(l.errs) >= maxErrors {
		return nil
	}
	if usesEnv(text) {
		l.errorf(n, noEnv)
		return nil
	}
	e, err := sc.compile(l.src, n, off, text)
	if err != nil {
		err.inside = true
		l.errs = append(l.errs, err)
		return nil
	}
	if e.person && !sc.late {
		l.needsPerson(e, sc)
		return nil
	}
	return e
}

// noEnv is what to say where a secret stands that may not stand there.
const noEnv = "env is not available in expressions: a secret may stand only in auth:, and in url:, headers: and sign: of send, as ${env.NAME} and nothing else between the braces"

var envUse = regexp.MustCompile(`^\s*env\s*[.\[]`)

func usesEnv(text string) bool { return envUse.MatchString(text) }

// value is a value that takes text with ${…} in it, or a list of such.
func (l *loader) value(n *yaml.Node, what string, sc scope) *value {
	if n.Kind == yaml.SequenceNode {
		v := &value{node: n, list: []*value{}}
		for _, item := range l.items(n, what) {
			if x := l.value(item, what, sc); x != nil {
				v.list = append(v.list, x)
			}
		}
		return v
	}
	text, ok := l.scalar(n, what)
	if !ok {
		return nil
	}
	found, unclosed := spans(text)
	if unclosed >= 0 {
		line, col := l.src.position(n, unclosed)
		hint := ""
		if commented(l.src, n) {
			hint = "; YAML takes everything after ` #` for a comment: put the value into quotes"
		}
		l.errs = append(l.errs, l.src.errorf(line, col, "this ${ has no } that closes it%s", hint))
		return nil
	}
	if len(found) == 0 {
		return &value{node: n, plain: plainOf(n, text)}
	}
	return l.template(n, text, found, sc)
}

// decimal reports whether text is a whole number as a person writes it.
func decimal(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	return len(text)-len(digits) < 2 && digits != "" && (digits == "0" || digits[0] != '0') && strings.Trim(digits, "0123456789") == ""
}

// odd reports whether n is a number to YAML and something else to a person: 010 is
// 8, and 1_000 is 1000.
func odd(n *yaml.Node) bool { return n.Tag == "!!int" && !decimal(n.Value) }

// plainOf is a scalar without ${…} as YAML means it.
func plainOf(n *yaml.Node, text string) any {
	switch n.Tag {
	case "!!int":
		if i, err := strconv.Atoi(text); err == nil { // others are refused as odd, or too large
			return i
		}
	case "!!bool":
		var b bool
		if n.Load(&b) == nil {
			return b
		}
	case "!!float":
		var f float64
		if n.Load(&f) == nil {
			return f
		}
	}
	return unescape(text)
}

// data is plain YAML, as tables hold it: objects, lists, text, numbers, true and false.
func (l *loader) data(n *yaml.Node, what string) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for _, e := range l.entries(n, what, nil) {
			m[e.name] = l.data(e.node, what)
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range l.items(n, what) {
			list = append(list, l.data(item, what))
		}
		return list
	}
	text, ok := l.scalar(n, what)
	if !ok {
		return nil
	}
	if found, _ := spans(text); len(found) > 0 {
		l.errorf(n, "%s holds plain values: ${…} is not computed in it", what)
	}
	return plainOf(n, text)
}

var kindName = regexp.MustCompile(`^[a-z_]{1,20}$`) // of a way in, or what was meant to be one

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// identifier refuses names that an expression could not use.
func (l *loader) identifier(e entry, what string, taken []string) bool {
	switch {
	case !identifier.MatchString(e.name) || strings.HasPrefix(e.name, "__"):
		l.errorf(e.key, `"%s" cannot be the name of a %s: use letters, digits and _`, e.name, what)
	case slices.Contains(keywords(), e.name):
		l.errorf(e.key, `"%s" cannot be the name of a %s: it means something in expressions`, e.name, what)
	case slices.Contains(taken, e.name):
		l.errorf(e.key, `"%s" cannot be the name of a %s: expressions know that name already`, e.name, what)
	default:
		return true
	}
	return false
}

func keywords() []string {
	return strings.Fields("let if else in not and or matches contains startsWith endsWith true false nil env each now get")
}

// sortedKeys makes messages the same on every run.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
