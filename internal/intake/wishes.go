package intake

import (
	"math"
	"strconv"
	"time"
)

// The query parameters that speak to doorhook itself.
const (
	waitParam   = "wait"
	dryRunParam = "dry_run"
)

// wishes are what a caller asks of doorhook beside its event.
type wishes struct {
	dryRun bool
	wait   time.Duration // 0 asks for no waiting
}

func wishesOf(req Request) (wishes, error) {
	dryRun, err := req.dryRun()
	if err != nil {
		return wishes{}, err
	}
	wait, err := req.Wait()
	return wishes{dryRun: dryRun, wait: wait}, err
}

// Wait is how long the caller is ready to wait for its actions, before any limit
// of doorhook's: whole seconds, or a Go duration.
func (r Request) Wait() (time.Duration, error) {
	text, given, err := r.param(waitParam)
	if err != nil || !given {
		return 0, err
	}
	wait, err := parseWait(text)
	if err != nil || wait < 0 {
		return 0, unreadable("the query parameter wait is a number of seconds, such as 10, or a duration, such as 1.5s")
	}
	return wait, nil
}

func parseWait(text string) (time.Duration, error) {
	seconds, err := strconv.Atoi(text)
	if err != nil {
		return time.ParseDuration(text)
	}
	return time.Duration(min(seconds, int(math.MaxInt64/time.Second))) * time.Second, nil
}

// dryRun takes a bare ?dry_run for yes and refuses what it does not understand:
// the other way a door would open that was only to be talked about.
func (r Request) dryRun() (bool, error) {
	text, given, err := r.param(dryRunParam)
	if err != nil || !given {
		return false, err
	}
	switch text {
	case "", "1", "true", "yes":
		return true, nil
	case "0", "false", "no":
		return false, nil
	}
	return false, unreadable("the query parameter dry_run is 1 or 0")
}

func (r Request) param(name string) (text string, given bool, err error) {
	values, given := r.Query[name]
	if len(values) > 1 {
		return "", true, unreadable("the query parameter %s may be given once only", name)
	}
	return only(values), given, nil
}
