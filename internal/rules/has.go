package rules

// Has reports whether there are rules for a trigger, also for the one that nobody can
// call.
func (s *Set) Has(trigger string) bool {
	_, ok := s.files[trigger]
	return ok
}
