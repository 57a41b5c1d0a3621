package relay

import "time"

// Verdict is what one attempt settled. It is decided once, by the code that saw
// the answer; nobody after it looks at a status or at an error's text.
type Verdict int

// The verdicts.
const (
	OK       Verdict = iota + 1 // it is so
	Retry                       // it had no effect, and another attempt may
	Unsure                      // it may have had its effect: look before the next attempt
	Rejected                    // no attempt can succeed
	Gone                        // what was to be changed is no longer there
	Untried                     // it was not attempted: Kisi is down, or others went first
)

func (v Verdict) String() string {
	return [...]string{"none", "ok", "retry", "unsure", "rejected", "gone", "untried"}[v]
}

// Outcome is a verdict with its evidence.
type Outcome struct {
	Verdict Verdict
	Object  int64         // Kisi's id of what was made or found; 0 found nothing
	Objects []int64       // what a look found
	Locks   []int64       // the locks of a group
	Answer  string        // of the receiver of a send: at most 4 KiB, without secrets
	Used    bool          // of a look whether anybody came: somebody did
	Until   time.Time     // of what was made or found: when it ends, if that is before it should
	Free    time.Time     // with Retry and Unsure: when what is in the way of it is over; zero is not known
	Served  bool          // with Retry and Unsure: what is in the way of it does as much
	After   time.Duration // with Retry, Unsure and Untried: the receiver's own wish; 0 leaves it to the backoff
	Err     error
}

// Backoff doubles from Base up to Max, then takes off as much as a fifth so
// that attempts which failed together do not come back together.
type Backoff struct{ Base, Max time.Duration }

// Delay is the wait after failed attempt n (counted from 1). roll is in [0, 1).
func (b Backoff) Delay(n int, roll float64) time.Duration {
	d := min(b.Base, b.Max)
	for ; n > 1 && d < b.Max; n-- {
		d += min(d, b.Max-d) // stops at Max exactly, so it cannot overflow
	}
	return d - time.Duration(float64(d)*roll/5)
}
