// Package internal_test holds the house to its import table.
package internal_test

import (
	"cmp"
	"errors"
	"fmt"
	"go/build"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport is the architecture: each package of ours and those of ours that it
// may import. A name is the path below internal, or with a leading slash the
// path below the top folder, where embedded files live.
var mayImport = map[string]string{
	"relay":         "",
	"rules":         "relay",
	"intake":        "relay",
	"store":         "relay embedded",
	"embedded":      "",
	"worker":        "relay",
	"action":        "relay kisi",
	"kisi":          "",
	"kisi/kisifake": "",
	"web":           "relay intake",
	"app":           "relay rules intake store worker action kisi kisi/kisifake web / /rules /examples",
	"golden":        "relay rules intake store worker action kisi kisi/kisifake",
	"shadow":        "relay",
	"cli":           "app golden rules relay store intake action shadow / /rules /examples",
	"chaos":         "kisi/kisifake",
	"/cmd/doorhook": "cli",
	"/bench":        "relay store",
}

// onlyIn names the one package that may know a library.
var onlyIn = []struct {
	library, home string
	tests         bool // the tests of others may use it
}{
	{"github.com/gofiber/", "web", false},
	{"github.com/valyala/fasthttp", "web", false},
	{"github.com/redis/", "store", false},
	{"github.com/alicebob/miniredis/", "embedded", true},
}

// beneath measures what doorhook stands on beside doorhook, so it knows the libraries too.
const beneath = "/bench"

// vague are names for where code is kept, not for what it does.
var vague = strings.Fields("util utils common helper helpers misc model models type types config")

const module = "doorhook"

func TestArchitecture(t *testing.T) {
	pkgs, err := readHouse("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations(pkgs) {
		t.Error(v)
	}
}

// violations says, in order, where pkgs is not the house of mayImport. Which of
// our packages a test imports is left free: the table is about what is shipped.
func violations(pkgs []*build.Package) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	missing := maps.Clone(mayImport)
	for _, p := range pkgs {
		name, _ := nameOf(p.ImportPath)
		allowed, listed := mayImport[name]
		delete(missing, name)
		switch below := !strings.HasPrefix(name, "/"); {
		case below && slices.Contains(vague, path.Base(name)):
			say("%s: name a package for what it does", name)
		case below && !listed && len(p.GoFiles) > 0:
			say("%s is not in the import table", name)
		}
		for _, imp := range p.Imports {
			other, ours := nameOf(imp)
			if ours && !slices.Contains(strings.Fields(allowed), other) {
				say("%s must not import %s; it may import: %s", name, other, cmp.Or(allowed, "none of ours"))
			}
			if home, _ := homeOf(imp); home != "" && home != name && name != beneath {
				say("%s must not import %s: only %s knows it", name, imp, home)
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if home, tests := homeOf(imp); home != "" && home != name && !tests {
				say("a test of %s must not import %s: only %s knows it", name, imp, home)
			}
		}
	}
	for name := range missing {
		say("%s is in the import table and does not exist", name)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// nameOf is the name that mayImport has for an import path.
func nameOf(importPath string) (name string, ours bool) {
	if name, ours = strings.CutPrefix(importPath, module+"/internal/"); ours {
		return name, true
	}
	rest, ours := strings.CutPrefix(importPath, module)
	if !ours || rest != "" && rest[0] != '/' {
		return importPath, false
	}
	return cmp.Or(rest, "/"), true
}

// homeOf is the package that alone may import a library, or "" if any may.
func homeOf(importPath string) (home string, tests bool) {
	for _, l := range onlyIn {
		if strings.HasPrefix(importPath, l.library) {
			return l.home, l.tests
		}
	}
	return "", false
}

// readHouse reads the imports of all packages of the module in root. It does
// not ask go list: go test sees what a test reads itself, but not what a program
// it runs reads, and would go on serving the cached result of an older house.
func readHouse(root string) ([]*build.Package, error) {
	var pkgs []*build.Package
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if dir != root && notOurs(dir) {
			return fs.SkipDir
		}
		p, err := build.ImportDir(dir, 0)
		if _, empty := errors.AsType[*build.NoGoError](err); empty {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read imports of %s: %w", dir, err)
		}
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		p.ImportPath = path.Join(module, filepath.ToSlash(rel))
		pkgs = append(pkgs, p)
		return nil
	})
	return pkgs, err
}

// notOurs reports whether the go command would leave dir out of the module.
func notOurs(dir string) bool {
	base := filepath.Base(dir)
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// sound is the house as the table has it: every package imports all it may.
func sound() []*build.Package {
	var pkgs []*build.Package
	for name, allowed := range mayImport {
		p := &build.Package{ImportPath: pathOf(name), GoFiles: []string{"x.go"}, Imports: []string{"context"}}
		for imp := range strings.FieldsSeq(allowed) {
			p.Imports = append(p.Imports, pathOf(imp))
		}
		for _, l := range onlyIn {
			if l.home == name {
				p.Imports = append(p.Imports, l.library+"/v9")
			}
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

func pathOf(name string) string {
	if rest, top := strings.CutPrefix(name, "/"); top {
		return path.Join(module, rest)
	}
	return module + "/internal/" + name
}

// TestViolations shows that the test above can fail.
func TestViolations(t *testing.T) {
	const fiber, redis, miniredis = "github.com/gofiber/fiber/v2", "github.com/redis/go-redis/v9", "github.com/alicebob/miniredis/v2"
	importing := func(name string, imports ...string) *build.Package {
		return &build.Package{ImportPath: pathOf(name), GoFiles: []string{"x.go"}, Imports: imports}
	}
	tested := func(name string, within, outside []string) *build.Package {
		return &build.Package{ImportPath: pathOf(name), GoFiles: []string{"x.go"}, TestImports: within, XTestImports: outside}
	}
	tests := []struct {
		name   string
		change *build.Package // takes the place of the sound one
		want   string         // the only violation, or "" for none
	}{
		{name: "sound"},
		{
			"sideways", importing("worker", pathOf("relay"), pathOf("store")),
			"worker must not import store; it may import: relay",
		},
		{
			"upwards", importing("relay", pathOf("kisi")),
			"relay must not import kisi; it may import: none of ours",
		},
		{
			"command from within", importing("app", pathOf("cli")),
			"app must not import cli; it may import: " + mayImport["app"],
		},
		{
			"fake in what is shipped", importing("action", pathOf("kisi/kisifake")),
			"action must not import kisi/kisifake; it may import: relay kisi",
		},
		{
			"an unlisted package of ours", importing("web", pathOf("web/pages")),
			"web must not import web/pages; it may import: relay intake",
		},
		{
			"main past the commands", importing("/cmd/doorhook", pathOf("cli"), pathOf("app")),
			"/cmd/doorhook must not import app; it may import: cli",
		},
		{
			"embedded files that import", importing("/rules", pathOf("relay")),
			"/rules must not import relay; it may import: none of ours",
		},
		{"the standard library and other modules", importing("relay", "log/slog", "doorhook.example/internal/store"), ""},
		{"not in the table", importing("audit"), "audit is not in the import table"},
		{"below a listed one", importing("web/pages"), "web/pages is not in the import table"},
		{"vague", importing("util"), "util: name a package for what it does"},
		{"vague below", importing("web/models"), "web/models: name a package for what it does"},
		{"only tests", &build.Package{ImportPath: pathOf("release")}, ""},
		{"Fiber", importing("app", fiber), "app must not import " + fiber + ": only web knows it"},
		{
			"Fiber in a test", tested("app", []string{fiber}, nil),
			"a test of app must not import " + fiber + ": only web knows it",
		},
		{
			"Redis in an outside test", tested("app", nil, []string{redis}),
			"a test of app must not import " + redis + ": only store knows it",
		},
		{
			"Redis in both", tested("app", []string{redis}, []string{redis}),
			"a test of app must not import " + redis + ": only store knows it",
		},
		{"Redis", importing("worker", redis), "worker must not import " + redis + ": only store knows it"},
		{"embedded Redis", importing("app", miniredis), "app must not import " + miniredis + ": only embedded knows it"},
		{"embedded Redis in a test", tested("worker", []string{miniredis}, nil), ""},
		{"any of ours in a test", tested("worker", nil, []string{pathOf("app")}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pkgs := sound()
			if tt.change != nil {
				pkgs = slices.DeleteFunc(pkgs, func(p *build.Package) bool { return p.ImportPath == tt.change.ImportPath })
				pkgs = append(pkgs, tt.change)
			}
			if got := strings.Join(violations(pkgs), "\n"); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}

	t.Run("gone", func(t *testing.T) {
		got := violations(nil)
		if len(got) != len(mayImport) || got[0] != "/bench is in the import table and does not exist" {
			t.Errorf("an empty house gave:\n%s", strings.Join(got, "\n"))
		}
	})
}

// TestReadHouse shows that what lies on the disk reaches violations, and that
// other modules and test data do not.
func TestReadHouse(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                         "module doorhook\n",
		"embed.go":                       "package doorhook\n",
		"internal/relay/relay.go":        "package relay\nimport _ \"context\"\n",
		"internal/relay/relay_test.go":   "package relay\nimport _ \"testing\"\n",
		"internal/relay/x_test.go":       "package relay_test\nimport _ \"slices\"\n",
		"internal/relay/testdata/bad.go": "package bad\nimport _ \"unsafe\"\n",
		"internal/empty/README.md":       "",
		"tools/go.mod":                   "module doorhook/tools\n",
		"tools/tools.go":                 "package tools\n",
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pkgs, err := readHouse(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range pkgs {
		got = append(got, fmt.Sprint(p.ImportPath, p.Imports, p.TestImports, p.XTestImports))
	}
	want := []string{"doorhook[] [] []", "doorhook/internal/relay[context] [testing] [slices]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
