package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

// lookPause is the time between two looks at the rule files. A change takes effect at
// the second look that finds it, so well within a second.
//
// The files are read, and no notice of their change is waited for: editors that put a
// new file in the place of the old one, mounts of Kubernetes that swap a folder, network
// drives and copies that keep the time of a file all look alike this way, and a few
// small files cost some tens of microseconds.
const lookPause = 250 * time.Millisecond

// remindPause is the time after which rules that are refused are said to be so again.
const remindPause = time.Hour

// reloader puts rules that have changed in the place of those in use.
type reloader struct {
	load func() (*rules.Set, error)
	fsys fs.FS
	use  func(old, set *rules.Set)
	log  *slog.Logger
	tell func(relay.Happening)

	inUse  atomic.Pointer[rules.Set]
	seen   string // what the files said at the last look
	judged string // what they said when they were last loaded
}

// newReloader begins with the rules that are in use.
func newReloader(s Settings, set *rules.Set, use func(old, set *rules.Set)) *reloader {
	r := &reloader{
		load: func() (*rules.Set, error) { return rules.Load(s.Rules, s.RulesDir, s.Getenv) },
		fsys: s.Rules, use: use, log: s.Log, tell: func(relay.Happening) {}, seen: set.Revision(), judged: set.Revision(),
	}
	r.inUse.Store(set)
	return r
}

// watch looks at the rule files every so often, and whenever it is asked to, until ctx
// ends.
func (r *reloader) watch(ctx context.Context, asked <-chan os.Signal) {
	tick := time.NewTicker(lookPause)
	defer tick.Stop()
	remind := time.NewTicker(remindPause)
	defer remind.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			r.judged = "" // whoever asks gets an answer, also when nothing has changed
			r.look(ctx)
		case <-remind.C:
			if r.judged != r.inUse.Load().Revision() {
				r.judged = ""
			}
		case <-tick.C:
			r.look(ctx)
		}
	}
}

// look loads the files if they have changed and are at rest: half of a file that is
// being written may be a rule file too, with half of the rules.
func (r *reloader) look(ctx context.Context) {
	now, err := rules.Revision(r.fsys)
	if err != nil {
		now = unreadable(err)
	}
	rested := now == r.seen
	r.seen = now
	if !rested || now == r.judged {
		return
	}
	set, err := r.load()
	if err == nil && set.Revision() != now {
		return // they have changed meanwhile: the next look sees it
	}
	if _, bad := errors.AsType[rules.Errors](err); err != nil && !bad { // a drive may fail for a moment: look on, and say it once
		if now = unreadable(err); now == r.judged {
			return
		}
	}
	r.judged = now
	if err != nil {
		r.refuse(ctx, err)
		return
	}
	old := r.inUse.Swap(set) // first: what the new rules send may name variables that they alone know
	r.use(old, set)
}

// unreadable stands for what the files say when that is not known.
func unreadable(err error) string { return "unreadable: " + err.Error() }

// refuse says all that is wrong with the new rules. The old ones go on deciding.
func (r *reloader) refuse(ctx context.Context, err error) {
	bad, ok := errors.AsType[rules.Errors](err)
	for _, e := range bad {
		r.log.ErrorContext(ctx, "mistake in the rules", "at", e.Place(), "err", e.Message)
	}
	r.tell(refused(err, r.judged, r.inUse.Load().Revision(), time.Now()))
	if ok {
		err = fmt.Errorf("mistakes: %d", len(bad))
	}
	r.log.ErrorContext(ctx, "the new rules are refused; the old ones stay in use", "revision", r.inUse.Load().Revision(), "err", err)
}

// refused says that rules that have changed, to what has the revision judged, are not
// used. All doorhooks that read the same files find that out, and again each hour.
func refused(err error, judged, inUse string, now time.Time) relay.Happening {
	return relay.Happening{
		Type: relay.RulesRefused, ID: judged + ":" + now.UTC().Format("2006-01-02T15"), At: now,
		Says: map[string]any{"error": summary(err), "revision": inUse},
	}
}

// summary is err in one line.
func summary(err error) string {
	bad, ok := errors.AsType[rules.Errors](err)
	if !ok {
		return err.Error()
	}
	return fmt.Sprintf("%d wrong; the first: %s: %s", len(bad), bad[0].Place(), bad[0].Message)
}
