package action

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/relay"
)

// FuzzMessageOf reads what is valid JSON as encoding/json does.
func FuzzMessageOf(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"url":"https://a.example"}`, `{"json":{"a":[1,"}",{"b":"\\"}]},"url":"https://a.example"}`, `{"json":null,"text":null}`,
		`{"json":"a,b","url":[{"env":"URL"}],"sign":[{"env":"KEY"}]}`, `{"form":{"a":"b"},"method":"PUT"}`, `{"headers":{"X":[{"text":"a"},{"env":"B"}]}}`,
		`{"text":"a \\"text\\": \\\\","url":"https://a.example/\u00e4"}`, `{"json":1e5,"url":"x"}`, `{"json":[],"text":""}`, ` {"url" : "x"} `, `[]`, `null`, `"x"`, `{"":1,"url":2}`,
		`{"url":"x",}`, `{"a\"b":1}`, "{\"url\":\"\xff\"}", `{"ur\u006c":"x"}`, `{"URL":"x"}`, `{"url":"" }`, `{"url": ""}`, `{"url":"" ,"text":"x"}`, `{"url":"x","url":"y"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var compact json.RawMessage
		if json.Unmarshal([]byte(text), &compact) != nil {
			return // args are JSON
		}
		a := relay.Action{Args: compact}
		got, gotErr := messageOf(a)
		want, err := args[message](a)
		if (gotErr == nil) != (err == nil) || err == nil && !cmp.Equal(got, want) {
			t.Errorf("%s is %+v, %v; want %+v, %v", text, got, gotErr, want, err)
		}
	})
}
