package rules

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRevision changes with every change of a rule file, and with nothing else.
func TestRevision(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const rule = "trigger: t\nauth: {none: true}\nrules: [{name: r, do: [{unlock: {lock_id: 1}}]}]\n"
	first := fstest.MapFS{"t.yaml": file(rule), "tables.yaml": file("tables: {a: {b: 1}}\n")}
	tests := []struct {
		name string
		fsys fstest.MapFS
		same bool
	}{
		{"the same again", fstest.MapFS{"tables.yaml": first["tables.yaml"], "t.yaml": first["t.yaml"]}, true},
		{"a case beside it", fstest.MapFS{"t.yaml": first["t.yaml"], "tables.yaml": first["tables.yaml"], "t_test.yaml": file("x"), "notes.txt": file("x")}, true},
		{"a comment", fstest.MapFS{"t.yaml": file(rule + "# so\n"), "tables.yaml": first["tables.yaml"]}, false},
		{"another name", fstest.MapFS{"u.yaml": first["t.yaml"], "tables.yaml": first["tables.yaml"]}, false},
		{"a file less", fstest.MapFS{"t.yaml": first["t.yaml"]}, false},
		{"a line moved to the other file", fstest.MapFS{"t.yaml": file(rule + "\n"), "tables.yaml": file("tables: {a: {b: 1}}")}, false},
	}
	was, err := Load(first, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	if len(was.Revision()) != 12 {
		t.Errorf("revision %q", was.Revision())
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := Load(tt.fsys, "rules", testEnv)
			if err != nil {
				t.Fatal(err)
			}
			now, err := Revision(tt.fsys)
			if err != nil || now != set.Revision() {
				t.Errorf("the folder is %s and what was loaded from it %s, %v", now, set.Revision(), err)
			}
			if same := now == was.Revision(); same != tt.same {
				t.Errorf("the same as before: %v", same)
			}
		})
	}
}

// TestNoFile: a pipe is not read, since nobody may ever write to it.
func TestNoFile(t *testing.T) {
	fsys := fstest.MapFS{"a.yaml": {Mode: fs.ModeNamedPipe}}
	_, err := Load(fsys, "rules", testEnv)
	if err == nil || !strings.HasPrefix(err.Error(), "read rules/a.yaml: this is no file") {
		t.Errorf("loaded: %v", err)
	}
	if _, err := Revision(fsys); err == nil {
		t.Error("it has a revision")
	}
}
