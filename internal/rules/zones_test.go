package rules

import "testing"

// TestZoneMeant never means a zone that is hours away.
func TestZoneMeant(t *testing.T) {
	for name, want := range map[string]string{
		"EST": "", "EDT": "", "CST": "", "CDT": "", "MST": "", "MDT": "", "PST": "", "PDT": "", "BST": "", "CEST": "",
		"utc": "UTC", "Berlin": "Europe/Berlin", "America/NewYork": "America/New_York",
	} {
		if want != "" {
			want = `; did you mean "` + want + `"?`
		}
		if got := zoneMeant(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
