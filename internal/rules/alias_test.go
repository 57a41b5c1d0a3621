package rules

import (
	"testing"
	"testing/fstest"
)

// TestAliasInAVariable keeps all of an alias, or a part of it, out of the file.
func TestAliasInAVariable(t *testing.T) {
	for alias, value := range map[string]string{
		"${env.ADDRESS}":               "/hooks/catch/123456/abcdef/",
		"/hooks/catch/${env.ADDRESS}/": "123456/abcdef",
	} {
		text := "trigger: t\nauth: {alias: true}\nrules: []\nalias: " + alias + "\nrespond: {a: 1}\n"
		set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", func(string) string { return value })
		if err != nil {
			t.Errorf("%s: %v", alias, err)
			continue
		}
		if _, ok := set.Alias("/hooks/catch/123456/abcdef"); !ok {
			t.Errorf("%s: nobody can call it", alias)
		}
	}
}
