package golden

import "testing"

// TestShippedCases runs the cases of the rule files that come with doorhook. Each of
// their rules has one in which it matches.
func TestShippedCases(t *testing.T) {
	for _, dir := range []string{"../../rules", "../../examples/recipes"} {
		s, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		results := s.Run(t.Context(), nil)
		for _, r := range results {
			if !r.OK() {
				t.Errorf("%s:%d: %s: %v %v", r.File, r.Line, r.Name, r.Err, r.Differences)
			}
		}
		for _, u := range s.Untouched(results) {
			t.Errorf("no case touches %s: %s", u.Trigger, u.Rule)
		}
	}
}
