package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// demoEnv stands for all that the rules name: addresses nobody has, and one secret.
func demoEnv(name string) string {
	if host, ok := strings.CutSuffix(name, "_URL"); ok {
		return "https://" + strings.ToLower(strings.ReplaceAll(host, "_", "-")) + ".example/"
	}
	return demoToken
}

// RoundTrip takes a message of the rules in the place of whoever would get it: the
// demo reaches nobody.
func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	s.note(fmt.Sprintf("%s %s %s -> 200", r.Method, r.URL, body), nil)
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader("ok")), Request: r,
	}, nil
}

// door is something that happens at a door, and what should come of it.
type door struct {
	title    string
	event    kisifake.Event
	copies   int // how often Kisi tells of it again
	messages int // that are sent about it
}

// doors are the second half of the story.
func doors() []door {
	opened := kisifake.Event{ActorType: "User", ActorID: 77, ActorName: "Jo", ObjectID: 22290}
	refused := kisifake.Event{
		ActorType: "User", ActorID: 77, ActorName: "Jo", ObjectID: 22281,
		Failed: true, Code: "34ffaa", Message: "Your access is not allowed at this moment, please try again later.",
	}
	return []door{
		{"Jo opens the front door. Kisi tells of it twice, as it does now and then.", opened, 1, 1},
		{"Jo tries Studio A, which stays shut: somebody should know.", refused, 0, 1},
	}
}

// tellOfDoors has Kisi tell what happens at its doors.
func (s *stage) tellOfDoors(ctx context.Context, fake *kisifake.Server, from int) error {
	told := &teller{}
	hook := fake.Webhook(kisifake.WebhookOptions{URL: s.url + "/hooks/kisi", Key: demoToken, Types: []string{"lock.unlock"}, Transport: told})
	for i, d := range doors() {
		s.printf("\n%d. %s\n", from+i, d.title)
		hook.Set(kisifake.Misdelivery{Copies: d.copies})
		fake.AddEvent(d.event)
		err := await(ctx, func() bool { return hook.Idle() && s.messages() >= d.messages })
		for _, answer := range told.take() {
			s.printf("   came in   POST /hooks/kisi (application/json)\n     %s\n   decided   %s\n     %s\n", answer.body, decision(answer.answered), answer.text)
		}
		s.printOut()
		if err != nil {
			return fmt.Errorf("the demo expected %d messages about what happened at the door: %w; does rules/kisi.yaml still send them?", d.messages, err)
		}
	}
	return nil
}

// tellOfNoShow tells of a booking to which nobody comes.
func (s *stage) tellOfNoShow(ctx context.Context, fake *kisifake.Server, at int) error {
	const grace = 15 * time.Minute // as rules/studio-hire.yaml has it
	start := time.Now().Add(5*time.Second - grace)
	body := fmt.Sprintf(`{"event_id":"hire-1","booking_id":"hire-1","space":"Studio B","start":%q,"end":%q}`,
		start.Format(time.RFC3339), start.Add(time.Hour).Format(time.RFC3339))
	before := len(fake.Schedules())
	s.printf("\n%d. Studio B is hired from a quarter of an hour ago, less some seconds. The room opens for its first guest.\n", at)
	if err := s.play(ctx, scene{trigger: "studio-hire", contentType: "application/json", body: body, want: relay.Finished}); err != nil {
		return err
	}
	err := await(ctx, func() bool { return len(fake.Schedules()) == before })
	s.printf("   later     a quarter of an hour after the start nobody has come, and Kisi knows of nobody either\n")
	s.printOut()
	if err != nil {
		return fmt.Errorf("the demo expected the schedule to be taken back: %w; does rules/studio-hire.yaml still have if_unused?", err)
	}
	return nil
}

// await looks until ok, for half a minute.
func await(ctx context.Context, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for !ok() {
		if err := pauseFor(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// teller carries what Kisi tells to doorhook, and remembers what was answered. It is used
// by one delivery at a time, and read when none is under way.
type teller struct{ answers []deliveredAnswer }

type deliveredAnswer struct {
	body, text string
	answered   answered
}

func (t *teller) take() []deliveredAnswer {
	all := t.answers
	t.answers = nil
	return all
}

func (t *teller) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := deliveredAnswer{body: string(body), text: string(bytes.TrimSpace(text))}
	_ = json.Unmarshal(text, &a.answered) // what is no answer shows as it is
	t.answers = append(t.answers, a)
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}
