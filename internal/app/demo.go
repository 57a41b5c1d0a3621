package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// demoToken stands for every secret that the rules name. Those that are set are
// for the real doorhook: the demo prints lines to copy.
const demoToken = "demo-token"

// Demo says what to show and to whom.
type Demo struct {
	Rules    fs.FS
	RulesDir string
	Listen   string // "" is any free port
	Exit     bool   // end after the story
	Out      io.Writer
	Version  string
}

// RunDemo starts everything in this process, with a pretend Kisi behind it,
// tells the story of some bookings and doors, and unless it is to end goes on serving
// until ctx ends. It fails if the story does not go as told.
func RunDemo(ctx context.Context, d Demo) error {
	show := &stage{out: d.Out}
	fake := kisifake.New(kisifake.Options{OnCall: show.call})
	kisiURL, err := fake.Start("127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start the pretend Kisi: %w", err)
	}
	defer fake.Close()
	a, err := New(ctx, Settings{
		Rules: d.Rules, RulesDir: d.RulesDir, Getenv: demoEnv, Receiver: show, Listen: cmp.Or(d.Listen, "127.0.0.1:0"), AdminToken: demoToken,
		Kisi: Kisi{URL: kisiURL, APIKey: kisifake.DefaultKey, Integration: "Skedda"}, Version: d.Version,
	})
	if err != nil {
		return err
	}
	show.url = a.URL()
	running, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var runErr error
	ended := make(chan struct{})
	wg.Go(func() {
		defer close(ended)
		runErr = a.Run(running)
	})
	show.printf("doorhook demo: all in this process: an embedded Redis, a pretend Kisi, and the rules in %s.\n", d.RulesDir)
	err = show.tell(ctx, fake)
	if err == nil && !d.Exit {
		show.invite(kisiURL)
		select {
		case <-ctx.Done():
		case <-ended:
		}
	}
	stop()
	wg.Wait()
	return errors.Join(err, runErr)
}

// stage prints what happens. Calls of the pretend Kisi, and messages, are collected for
// the step they belong to.
type stage struct {
	out  io.Writer
	url  string
	mu   sync.Mutex
	outs []outgoing
	live bool // print them as they come
}

// outgoing is what doorhook sent: a request to Kisi, or a message.
type outgoing struct {
	text string
	kisi bool
}

func (s *stage) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

func (s *stage) call(c kisifake.Call) {
	text := c.Method + " " + c.Path
	if c.Query != "" {
		text += "?" + c.Query
	}
	if len(c.Body) > 0 {
		text += " " + string(c.Body)
	}
	s.note(fmt.Sprintf("%s -> %d", text, c.Status), &c)
}

// note keeps what went out, to Kisi if call is not nil.
func (s *stage) note(text string, call *kisifake.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live {
		s.printf("     %s\n", text)
		return
	}
	s.outs = append(s.outs, outgoing{text, call != nil})
}

// messages counts those that are collected.
func (s *stage) messages() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outs {
		if !o.kisi {
			n++
		}
	}
	return n
}

// printOut prints what was collected.
func (s *stage) printOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	kisi := 0
	for _, o := range s.outs {
		if o.kisi {
			kisi++
		}
	}
	s.printf("   went out  %s\n", wentOut(kisi, len(s.outs)-kisi))
	for _, o := range s.outs {
		s.printf("     %s\n", o.text)
	}
	s.outs = nil
}

func wentOut(kisi, messages int) string {
	requests := plural(kisi, "no request to Kisi", "1 request to Kisi", "%d requests to Kisi")
	switch {
	case messages == 0:
		return requests
	case kisi == 0:
		return plural(messages, "", "1 message", "%d messages")
	}
	return requests + " and " + plural(messages, "", "1 message", "%d messages")
}

func plural(n int, none, one, many string) string {
	switch n {
	case 0:
		return none
	case 1:
		return one
	}
	return fmt.Sprintf(many, n)
}

// scene is one message and what should come of it.
type scene struct {
	title       string
	trigger     string
	contentType string
	body        string
	want        relay.Status
}

// tell plays all scenes.
func (s *stage) tell(ctx context.Context, fake *kisifake.Server) error {
	bookings := scenes(time.Now())
	for i, sc := range bookings {
		s.printf("\n%d. %s\n", i+1, sc.title)
		if err := s.play(ctx, sc); err != nil {
			return err
		}
	}
	next := len(bookings) + 1
	if err := s.tellOfDoors(ctx, fake, next); err != nil {
		return err
	}
	if err := s.tellOfNoShow(ctx, fake, next+len(doors())); err != nil {
		return err
	}
	s.printf("\nIn Kisi now:\n")
	for _, l := range fake.GroupLinks() {
		s.printf("     access link %d %q for %s, group %d, %s to %s\n", l.ID, l.Name, l.Email, l.GroupID, clock(l.ValidFrom), clock(l.ValidUntil))
	}
	for _, x := range fake.Schedules() {
		s.printf("     schedule %d %q, lock %d, %s to %s\n", x.ID, x.Name, x.ScheduleableID, clock(x.StartsAt), clock(x.EndsAt))
	}
	return nil
}

func clock(t time.Time) string { return t.UTC().Format("2 Jan 15:04 UTC") }

// play sends one message and prints what came in, what was decided, and what went out.
func (s *stage) play(ctx context.Context, sc scene) error {
	s.printf("   came in   POST /hooks/%s (%s)\n     %s\n", sc.trigger, sc.contentType, sc.body)
	answer, text, err := s.send(ctx, sc)
	if err != nil {
		return err
	}
	s.printf("   decided   %s\n     %s\n", decision(answer), text)
	s.printOut()
	if answer.Status != sc.want {
		return fmt.Errorf("the demo expected %q and got %q: do the rules still know Studio A and Studio B?", sc.want, answer.Status)
	}
	return nil
}

// answered is what the demo reads of an answer.
type answered struct {
	Status  relay.Status `json:"status"`
	Rules   string       `json:"rules"`
	Actions int          `json:"actions"`
	Error   string       `json:"error"`
}

func decision(a answered) string {
	switch {
	case a.Status == "":
		return "refused"
	case a.Status == relay.Duplicate:
		return "seen before: nothing to do"
	case a.Error != "":
		return a.Error
	case a.Rules == "":
		return "nothing is wanted any more: take back what stands"
	}
	return a.Rules
}

func (s *stage) send(ctx context.Context, sc scene) (answered, string, error) {
	var a answered
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/hooks/"+sc.trigger+"?wait=20", strings.NewReader(sc.body))
	if err != nil {
		return a, "", err
	}
	req.Header.Set("Content-Type", sc.contentType)
	req.Header.Set("Authorization", "Bearer "+demoToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, "", fmt.Errorf("send to %s: %w", sc.trigger, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, "", fmt.Errorf("read the answer of %s: %w", sc.trigger, err)
	}
	if resp.StatusCode != http.StatusOK {
		return a, "", fmt.Errorf("%s answered %s: %s", sc.trigger, resp.Status, text)
	}
	return a, string(bytes.TrimSpace(text)), json.Unmarshal(text, &a)
}

// scenes are the story: a booking that moves and is cancelled, and another that
// comes through Zapier's form encoding.
func scenes(now time.Time) []scene {
	day := now.AddDate(0, 0, 1).Format(time.DateOnly)
	booking := func(event, status, from, to string, version int) string {
		return fmt.Sprintf(`{"event_id":%q,"booking_id":97088432,"status":%q,"updated_at":%q,"space":"Studio A","start":"%sT%s:00","end":"%sT%s:00","email":"jo@example.com"}`,
			event, status, now.UTC().Add(time.Duration(version)*time.Second).Format(time.RFC3339), day, from, day, to)
	}
	moved := booking("evt-2", "confirmed", "14:00", "15:30", 2)
	calendar := url.Values{
		"id": {"cal-7"}, "updated": {now.UTC().Format(time.RFC3339)}, "status": {"confirmed"}, "summary": {"Rehearsal"}, "location": {"Studio B"},
		"description": {"Booked by Sam Example <sam@example.com>"}, "start__dateTime": {day + "T18:00:00-05:00"}, "end__dateTime": {day + "T20:00:00-05:00"},
	}
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded"
	return []scene{
		{"A booking in Skedda: Studio A, tomorrow from 10:00 to 11:00.", "skedda", jsonType, booking("evt-1", "confirmed", "10:00", "11:00", 1), relay.Finished},
		{"It moves to 14:00 to 15:30: a new link, the old one deleted, the schedule changed in its place.", "skedda", jsonType, moved, relay.Finished},
		{"The same message again, as webhooks do.", "skedda", jsonType, moved, relay.Duplicate},
		{"It is cancelled: everything is taken back.", "skedda", jsonType, booking("evt-3", "cancelled", "14:00", "15:30", 3), relay.Finished},
		{"Another booking, from Google Calendar through Zapier, as a form with flattened names.", "google-calendar", formType, calendar.Encode(), relay.Finished},
	}
}

// invite says what to try next, and lets calls be seen from now on.
func (s *stage) invite(kisiURL string) {
	s.mu.Lock()
	s.live = true
	s.mu.Unlock()
	s.printf(`
It goes on serving; calls to the pretend Kisi (%s) show up here. In another terminal, unlock the front door:

  curl '%s/hooks/front-desk?wait=10' -H 'Authorization: Bearer %s' -d door=front

See what a booking would do, without doing it:

  curl '%s/hooks/skedda?dry_run=1' -H 'Authorization: Bearer %s' -d @examples/skedda-booking.json

Ctrl-C ends it.
`, kisiURL, s.url, demoToken, s.url, demoToken)
}

// ServeFake serves a pretend Kisi on address until ctx ends, and prints what it is
// asked. It tells webhook, if that is not "", of what happens, and signs with key.
func ServeFake(ctx context.Context, address, webhook string, key relay.Secret, out io.Writer) error {
	show := &stage{out: out, live: true}
	fake := kisifake.New(kisifake.Options{OnCall: show.call})
	at, err := fake.Start(address)
	if err != nil {
		return fmt.Errorf("%w%s", err, whose(err))
	}
	defer fake.Close()
	show.printf("A pretend Kisi is at %s. Start doorhook against it with:\n\n  KISI_URL=%s KISI_API_KEY=%s doorhook serve\n\n", at, at, kisifake.DefaultKey)
	locks, groups := kisifake.DefaultSite()
	for _, l := range locks {
		show.printf("     lock %d %s\n", l.ID, l.Name)
	}
	for _, g := range groups {
		show.printf("     group %d %s, locks %v\n", g.ID, g.Name, g.Locks)
	}
	if webhook != "" {
		fake.Webhook(kisifake.WebhookOptions{URL: webhook, Key: key.Reveal()})
		show.printf("     each unlock is told to the webhook, %s\n", signed(key))
	}
	<-ctx.Done()
	return nil
}

func signed(key relay.Secret) string {
	if key == "" {
		return "unsigned: set KISI_WEBHOOK_KEY to have it signed"
	}
	return "signed with KISI_WEBHOOK_KEY"
}
