package rules

// Env is the value that an environment variable had when the rules were loaded, if a
// rule file names it in a send; "" otherwise.
func (s *Set) Env(string) string { return "" }
