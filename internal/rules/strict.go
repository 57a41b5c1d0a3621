package rules

import (
	"path"

	"go.yaml.in/yaml/v4"
)

// Strict reads a YAML file that stands beside the rule files as strictly as those
// are read, and gathers all its mistakes.
type Strict struct{ l *loader }

// Entry is a key with its value.
type Entry struct {
	Name string
	Key  *yaml.Node
	Node *yaml.Node
}

// ReadStrict reads text, the file name in the folder dir. what is what such a file is
// called in messages, with its article, and keys are those it begins with. The node
// is nil if the text has no keys that could be read.
func ReadStrict(dir, name string, text []byte, what, keys string) (*Strict, *yaml.Node) {
	s := &Strict{&loader{src: newSource(path.Join(dir, name), text), what: what, such: keys}}
	return s, s.l.document(text)
}

// Errorf notes a mistake at the beginning of n.
func (s *Strict) Errorf(n *yaml.Node, format string, args ...any) { s.l.errorf(n, format, args...) }

// Entries are the keys of the mapping n, which what is. A nil known allows any.
func (s *Strict) Entries(n *yaml.Node, what string, known []string) []Entry {
	var out []Entry
	for _, e := range s.l.entries(n, what, known) {
		out = append(out, Entry{e.name, e.key, e.node})
	}
	return out
}

// Items are the elements of the list n.
func (s *Strict) Items(n *yaml.Node, what string) []*yaml.Node { return s.l.items(n, what) }

// Text is the text of n, which is neither a list nor has keys nor is empty.
func (s *Strict) Text(n *yaml.Node, what string) (string, bool) { return s.l.scalar(n, what) }

// Errors are the mistakes so far, in the order of lines.
func (s *Strict) Errors() Errors { return s.l.errs.sorted() }
