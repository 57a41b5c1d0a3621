package rules

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

// unseen are the mistakes, beside those inside expressions, that a schema cannot see,
// by what is said of them.
var unseen = regexp.MustCompile(strings.Join([]string{
	`never gives that|this \$\{ has no|env is not available`,                                // of an expression as a whole
	`only \$\{env\.NAME\} can stand here|takes a name, a colon and a secret`,                // texts with secrets
	`is not a time|carries no zone|YAML takes|YAML reads|this is not YAML`,                  // how something is spelt
	`anchors and aliases|this cannot be a key|stands here twice|one document|file is empty`, // YAML itself
	`environment variable`, // the environment
	`is no address|an alias|address of a web server|an address has|another host`, // what an address is made of
	`already|name of the one in line|counts from the beginning of the window`,    // what stands elsewhere
}, "|"))

// TestSchemaAgrees holds the schema to the loader: what the schema refuses the
// loader refuses, and what the loader refuses the schema refuses, unless it cannot see it.
func TestSchemaAgrees(t *testing.T) {
	schema := compiledSchema(t)
	files := corpus(t)
	if len(files) < 20 {
		t.Fatalf("found %d files", len(files))
	}
	refused, tried := 0, 0
	check := func(name, text string) {
		t.Helper()
		fsys := fstest.MapFS{"a.yaml": {Data: []byte(text)}, "y.yaml": {Data: []byte("trigger: yy\nauth: {none: true}\n")}}
		_, err := Load(fsys, "rules", anySecret)
		var doc yaml.Node
		if yaml.Load([]byte(text), &doc) != nil || doc.Kind == 0 {
			return // not one YAML document: no schema is asked
		}
		bySchema := schema.Validate(plain(&doc))
		structural := structuralMistakes(t, err)
		tried++
		if bySchema != nil {
			refused++
		}
		if bySchema != nil && err == nil {
			t.Errorf("%s: the schema refuses what the loader takes: %v\n%s", name, bySchema, text)
		}
		if bySchema == nil && len(structural) > 0 {
			t.Errorf("%s: the schema takes what the loader refuses: %v\n%s", name, structural, text)
		}
	}
	for name, text := range files {
		check(name, text)
	}
	check("two actions on one line", strings.Replace(everyKey, "unlock: {lock_id: 1}", "{unlock: {lock_id: 1}, group_link: {group_id: 2}}", 1))
	check("anybody, and a secret", strings.Replace(everyKey, "- bearer:", "- none: true\n  - bearer:", 1))
	check("anybody as Kisi", "trigger: t\nfrom: kisi\nauth: {none: true}\n")
	check("Kisi, signed", "trigger: t\nfrom: kisi\nauth: [{hmac: \"kisi:${env.UNSET}\"}]\n")
	check("an alias that is not there", "trigger: t\nauth: {alias: true}\n")
	if _, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(everyKey)}}, "rules", anySecret); err != nil {
		t.Fatal(err)
	}
	mutations(t, everyKey, func(what, mutant string) { check(what, mutant) })
	if refused < 300 || tried-refused < 300 {
		t.Errorf("of %d files the schema refused %d: these cases tell nothing", tried, refused)
	}
}

// everyKey is a rule file with every key in it, and little else: it is loaded
// some thousand times with one thing changed.
const everyKey = `
trigger: t
from: json
timezone: Europe/Berlin
auth:
  - bearer: ${env.A}
  - basic: zapier:${env.A}
  - header: {X-Token: "${env.A}"}
  - query: {token: "${env.A}"}
  - hmac: github:${env.A}
  - hmac: {header: X-S, prefix: s=, encoding: hex, timestamp: X-T, tolerance: 5m, scheme: timestamp.body, secret: "${env.A}"}
  - alias: true
allow_ip: [203.0.113.0/24, "2001:db8::1"]
alias: /hooks/catch/1/${env.A}/
id: payload.id
booking: payload.booking
version: payload.version
cancelled: payload.gone
tables: {doors: {front: 1, back: {lock: 2, all: [3, 4]}}}
let: {door: payload.door}
respond: {door: "${door}", list: [a, "${door}"]}
rules:
  - name: r
    when: payload.x
    each: payload.list
    let: {mine: each.one}
    at: payload.at
    expires: 5m
    if_unused: 15m
    needs: [A, KEY]
    do:
      - unlock: {lock_id: 1}
      - schedule: {lock_ids: [1, "${mine}"], starts_at: "${payload.a}", ends_at: "${payload.b}", name: n, consequence: allow, override: true}
      - schedule: {group_id: 3, starts_at: "2026-11-23 10:00", ends_at: "${payload.b}"}
      - send:
          {url: "https://a.example/${env.A}", method: PUT, headers: {X-A: "Bearer ${env.A} ${payload.x}"},
           json: {a: [1, "${payload.x}", {b: null}], c: ""}, sign: "${env.KEY}"}
      - send: {url: "${payload.url}", form: {a: "${payload.x}"}}
      - send: {url: "https://a.example", method: GET}
      - role_assignment: {group_id: 3, email: "${payload.m}", role_id: group_basic, valid_from: "${payload.a}", valid_until: "${payload.b}", notify: true}
      - role_assignment: {group_id: 3, user_id: 7, valid_from: "${payload.a}"}
      - group_link:
          {group_id: "${door}", name: n, email: "${payload.m}", phone: 1, valid_from: "${payload.a}", valid_until: "${payload.b}",
           quick_response_code_type: online, link_enabled: false}
`

func anySecret(name string) string {
	if name == "UNSET" || name == "NOPE" {
		return ""
	}
	if name == "KEY" {
		return "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
	}
	return "s3cret-token"
}

func structuralMistakes(t *testing.T, err error) Errors {
	t.Helper()
	if err == nil {
		return nil
	}
	bad, ok := err.(Errors)
	if !ok {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(bad), func(e *Error) bool { return e.inside || unseen.MatchString(e.Message) })
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("rule.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("rule.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// corpus are all rule files that are shipped or tested, by where they are from.
func corpus(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"../../rules/*.yaml", "../../examples/recipes/*.yaml"} {
		for _, name := range cases(t, pattern) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(text)
		}
	}
	for _, name := range cases(t, "testdata/*/*.txtar") {
		for _, f := range readCase(t, name).Files {
			if strings.HasSuffix(f.Name, ".yaml") {
				files[name+" "+f.Name] = string(f.Data)
			}
		}
	}
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$").FindAllStringSubmatch(string(text), -1) {
		files[fmt.Sprintf("docs/rules.md %d", i+1)] = strings.ReplaceAll("\n"+b[2], "\n"+b[1], "\n")
	}
	return files
}

// plain is a YAML value as JSON has it.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return plain(n.Content[0])
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, plain(c))
		}
		return list
	case yaml.AliasNode:
		return plain(n.Alias)
	}
	if n.Tag == "!!null" {
		return nil
	}
	return plainOf(n, n.Value)
}

// mutations writes text again with one thing changed: each key left out, renamed and
// doubled under another, and each value made into one of another type.
func mutations(t *testing.T, text string, do func(what, mutant string)) {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Load([]byte(text), &doc); err != nil || doc.Kind == 0 {
		return
	}
	emit := func(what string) {
		out, err := yaml.Marshal(&doc)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		do(what, string(out))
	}
	var visit func(n *yaml.Node, path string)
	visit = func(n *yaml.Node, path string) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			mutateKey(n, i, path, emit)
		}
		for i, c := range n.Content {
			if n.Kind != yaml.MappingNode || i%2 == 1 {
				visit(c, path+"/"+n.Content[i/2*2].Value)
			}
		}
		if n.Kind != yaml.DocumentNode {
			mutateValue(n, path, emit)
		}
	}
	visit(&doc, "")
}

func mutateKey(n *yaml.Node, i int, path string, emit func(string)) {
	was, key := n.Content, n.Content[i].Value
	n.Content = slices.Delete(slices.Clone(was), i, i+2)
	emit("without " + path + "/" + key)
	n.Content = was
	n.Content[i].Value = key + "x"
	emit("renamed " + path + "/" + key)
	n.Content[i].Value = key
	n.Content = append(slices.Clone(was), &yaml.Node{Kind: yaml.ScalarNode, Value: "zzz"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "1"})
	emit("with zzz beside " + path + "/" + key)
	n.Content = was
}

func mutateValue(n *yaml.Node, path string, emit func(string)) {
	was := *n
	for _, v := range []string{
		"null", `""`, "text", "5", "-1", "1.5", "true", "[]", "[text, 2]", "[[1]]", "{}", "{a: 1}", "[{}]", `"${payload.x}"`, `"${env.X}"`, `"a ${payload.x} b"`, "0s",
	} {
		var other yaml.Node
		if err := yaml.Load([]byte(v), &other); err != nil {
			panic(err)
		}
		*n = *other.Content[0]
		emit(path + " is " + v)
	}
	*n = was
}

// TestSchemaHelps wants every key explained, and no explanation of what is not there.
func TestSchemaHelps(t *testing.T) {
	used := map[string]bool{"file": true}
	add := func(of string, keys []string) {
		for _, k := range keys {
			used[of+"."+k] = true
			if help(of+"."+k) == "" {
				t.Errorf("%s.%s is not explained", of, k)
			}
		}
	}
	add("file", fileKeys)
	add("auth", authKeys)
	add("hmac", hmacKeys)
	add("rule", ruleKeys)
	add("limits", limitKeys)
	add("do", kinds())
	for _, kind := range kinds() {
		add("field", fieldNames(relay.Fields[relay.Kind(kind)]))
	}
	for key := range helps {
		if !used[key] {
			t.Errorf("%s is explained, and is no key", key)
		}
	}
}
