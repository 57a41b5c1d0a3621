package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
)

// revision sums up rule files, as a name for what they say.
type revision struct{ hash.Hash }

func newRevision() revision { return revision{sha256.New()} }

// add takes in the next file. The length keeps the end of one apart from the
// beginning of the next.
func (r revision) add(name string, text []byte) {
	fmt.Fprintf(r, "%s\x00%d\x00", name, len(text))
	r.Write(text)
}

func (r revision) String() string { return hex.EncodeToString(r.Sum(nil))[:12] }

// Revision names what the rule files in fsys say now, without looking at whether it
// is right: 12 hexadecimal digits, the same as [Set.Revision] of what [Load] makes of
// them.
func Revision(fsys fs.FS) (string, error) {
	names, err := ruleFiles(fsys)
	if err != nil {
		return "", err
	}
	r := newRevision()
	for _, name := range names {
		text, err := readFile(fsys, name)
		if err != nil {
			return "", err
		}
		r.add(name, text)
	}
	return r.String(), nil
}

// Revision names the content of the files that s was loaded from.
func (s *Set) Revision() string { return s.revision }
