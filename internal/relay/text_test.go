package relay

import (
	"encoding/json"
	"testing"
)

// TestText: a secret is not in what is kept and shown, and nothing that somebody sent
// can name one.
func TestText(t *testing.T) {
	getenv := func(name string) string {
		return map[string]string{"HOST": "hooks.example.com", "KEY": " s3cr3t\n"}[name]
	}
	tests := []struct {
		name           string
		text           Text
		kept, shown    string
		revealed, fail string
	}{
		{"plain", Plain("https://example.com"), `"https://example.com"`, "https://example.com", "https://example.com", ""},
		{"a secret", Text{{Text: "https://"}, {Env: "HOST"}, {Text: "/x"}}, `[{"text":"https://"},{"env":"HOST"},{"text":"/x"}]`, "https://${env.HOST}/x", "https://hooks.example.com/x", ""},
		{"a secret with a line break after it", Text{{Env: "KEY"}}, `[{"env":"KEY"}]`, "${env.KEY}", "s3cr3t", ""},
		{"what only looks like one", Plain("${env.KEY}"), `"${env.KEY}"`, "${env.KEY}", "${env.KEY}", ""},
		{"JSON of a secret, sent as text", Plain(`[{"env":"KEY"}]`), `"[{\"env\":\"KEY\"}]"`, `[{"env":"KEY"}]`, `[{"env":"KEY"}]`, ""},
		{"a quote and an escape", Plain("say \"a\\b\" ä\n"), `"say \"a\\b\" ä\n"`, "say \"a\\b\" ä\n", "say \"a\\b\" ä\n", ""},
		{"two secrets", Text{{Env: "KEY"}, {Env: "HOST"}}, `[{"env":"KEY"},{"env":"HOST"}]`, "${env.KEY}${env.HOST}", "s3cr3thooks.example.com", ""},
		{"not set", Text{{Env: "NONE"}}, `[{"env":"NONE"}]`, "${env.NONE}", "", "the environment variable NONE is not set, or empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept, err := json.Marshal(tt.text)
			if err != nil || string(kept) != tt.kept || tt.text.String() != tt.shown {
				t.Errorf("kept as %s, shown as %s, %v", kept, tt.text, err)
			}
			var read Text
			if err := json.Unmarshal(kept, &read); err != nil || read.String() != tt.shown || read.Secret() != tt.text.Secret() {
				t.Errorf("read again: %v %v", read, err)
			}
			got, err := read.Reveal(getenv)
			if got.Reveal() != tt.revealed || (err == nil) != (tt.fail == "") || err != nil && err.Error() != tt.fail {
				t.Errorf("revealed: %q %v", got.Reveal(), err)
			}
		})
	}
}
