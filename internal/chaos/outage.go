package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"doorhook/internal/kisi/kisifake"
)

// growth is how many MB a doorhook may get larger while it is refused by Redis.
const growth = 64

// paused stops Redis for half a minute under load: what comes in is refused, nothing
// piles up, and everything goes on as if nothing had been.
func paused(ctx context.Context, a *arena) error {
	a.more(ctx)
	stop, end := context.WithCancel(ctx)
	defer end()
	a.load(ctx, stop, 64)
	pause(ctx, 5*time.Second)
	_, door := a.doors[0].at()
	before, threads, err := size(door)
	if err != nil {
		return err
	}
	_, redis := a.redis.at()
	if err := halt(redis); err != nil {
		return err
	}
	most, mostThreads := before, threads
	for second := range 30 {
		pause(ctx, time.Second)
		if status := a.ready(ctx); second > 1 && status != http.StatusServiceUnavailable {
			a.complain("/readyz says %d while Redis is stopped", status)
		}
		mb, n, _ := size(door)
		most, mostThreads = max(most, mb), max(mostThreads, n)
	}
	if err := proceed(redis); err != nil {
		return err
	}
	pause(ctx, 5*time.Second)
	if status := a.ready(ctx); status != http.StatusOK {
		a.complain("/readyz says %d five seconds after Redis went on", status)
	}
	end()
	a.senders.Wait()
	after, threadsAfter, _ := size(door)
	a.remark("doorhook had %d MB and %d threads before, %d and %d at most while Redis was stopped, %d and %d after", before, threads, most, mostThreads, after, threadsAfter)
	if max(most, after) > before+growth {
		a.complain("doorhook grew by more than %d MB", growth)
	}
	return nil
}

// ready is the status of /readyz; 0 without an answer.
func (a *arena) ready(ctx context.Context) int {
	url, _ := a.doors[0].at()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody)
	if err != nil {
		return 0
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// restarted kills Redis under load, again and again; it comes back with what it
// answered to.
func restarted(ctx context.Context, a *arena) error {
	stop, end := context.WithCancel(ctx)
	defer end()
	a.load(ctx, stop, 16)
	for a.more(ctx) {
		pause(ctx, time.Duration(500+a.rand.IntN(1000))*time.Millisecond)
		a.kill(a.redis.process)
		pause(ctx, time.Duration(a.rand.IntN(500))*time.Millisecond)
		if err := a.redis.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// down has doorhook away for 75 s while three doors are to open: one too long ago
// when it comes back, one half a minute ago, one later.
func down(ctx context.Context, a *arena) error {
	a.more(ctx)
	began := a.now()
	opening := func(after time.Duration) *message { return a.book.add(want{opens: began.Add(after)}) }
	missed, lateButGood, later := opening(8*time.Second), opening(40*time.Second), opening(85*time.Second)
	a.post(ctx, missed, lateButGood, later)
	a.senders.Wait()
	a.kill(a.doors[0])
	if !pause(ctx, began.Add(75*time.Second).Sub(a.now())) {
		return context.Cause(ctx)
	}
	a.doors[0].start(ctx)
	if err := await(ctx, 30*time.Second, "the unlock that doorhook was in time for", func() bool { return len(a.fake.Unlocks()) == 2 }); err != nil {
		a.complain("%v", err)
	}
	letters, err := a.redis.ask(ctx, "ZRANGE", "{doorhook}:dead", "0", "-1")
	if err != nil {
		return err
	}
	if len(letters) != 1 || !strings.HasPrefix(letters[0], missed.of.job+":") {
		a.complain("the unlock of %s was missed, and the dead letters are %q", missed.of.job, letters)
	}
	return nil
}

// outage is how long Kisi is away, and asking how many requests may reach it then: it
// would take longer to get up if it were asked for all that waits.
const (
	outage = 20 * time.Second
	asking = 60
)

// kisiDown has 300 bookings come in while Kisi is down.
func kisiDown(ctx context.Context, a *arena) error {
	a.more(ctx)
	a.fake.Fail(kisifake.Fault{Status: http.StatusServiceUnavailable, Times: -1})
	began := a.now()
	for range 300 {
		w := a.book.fresh(0)
		w.opens = time.Time{} // who is away for so long may well be too late
		a.post(ctx, a.book.add(w))
	}
	a.senders.Wait()
	if !pause(ctx, began.Add(outage).Sub(a.now())) {
		return context.Cause(ctx)
	}
	back := a.now()
	calls := a.kisiCalls(func(kisifake.Call) bool { return true })
	a.fake.Heal()
	err := await(ctx, settleTime, "the last of 300 bookings", func() bool {
		pause(ctx, 100*time.Millisecond)
		return len(a.book.judge(a.state())) == 0
	})
	a.remark("%d requests reached Kisi in the %s that it was down, with 300 bookings waiting; the last was done %.1f s after", len(calls), outage, a.now().Sub(back).Seconds())
	if len(calls) > asking {
		a.complain("a Kisi that was down got %d requests, more than %d", len(calls), asking)
	}
	return err
}
