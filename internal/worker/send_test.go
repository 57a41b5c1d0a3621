package worker

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/relay"
)

func send(key string) relay.Action {
	return relay.Action{Key: key, Rule: key, Kind: relay.Send, Args: relay.Encode(map[string]any{"url": "https://example.com/" + key})}
}

// TestSendComesLast carries out all that there is to do in Kisi before anybody is told.
func TestSendComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(send("told"), window("a"), unlockAt(time.Now()))
		gone := stands(window("old"), 7)
		s.job.Have = []relay.Held{gone}
		var done []string
		for _, one := range during(t, s, 100*time.Millisecond) {
			if one != "save" {
				done = append(done, one)
			}
		}
		if want := []string{"create " + s.job.Want[2].Key, "revoke 7", "create a", "create told", "finish"}; !slices.Equal(done, want) {
			t.Errorf("done %q, want %q", done, want)
		}
		if got := s.job.Attempts[len(s.job.Attempts)-1]; got.Action != "told" || got.Result != "sent" {
			t.Errorf("%+v", got)
		}
	})
}

// TestSendRests keeps to what a receiver wishes, up to an hour, and then goes on.
func TestSendRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		s := newShelf(send("told"))
		s.onCreate = func(relay.Action) relay.Outcome {
			at = append(at, time.Since(began).Round(time.Minute))
			if len(at) == 2 {
				return relay.Outcome{Verdict: relay.OK, Answer: "200 OK"}
			}
			return relay.Outcome{Verdict: relay.Retry, After: 10 * time.Hour, Answer: "503 Service Unavailable", Err: errors.New("503")}
		}
		during(t, s, time.Minute)
		if h := s.job.Have[0]; h.Answer != "503 Service Unavailable" || h.State != relay.Retrying {
			t.Errorf("held %+v", h)
		}
		during(t, s, 2*time.Hour)
		if !slices.Equal(at, []time.Duration{0, time.Hour}) {
			t.Errorf("sent after %s", at)
		}
		if h := s.job.Have[0]; h.Answer != "200 OK" || h.State != relay.Done || h.Error != "" {
			t.Errorf("held %+v", h)
		}
	})
}

// TestSendRejected leaves a letter that says who did not take it, and keeps what it said.
// What was not attempted says nothing.
func TestSendRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newShelf(send("told")), 0
		s.onCreate = func(relay.Action) relay.Outcome {
			if n++; n == 1 {
				return relay.Outcome{Verdict: relay.Retry, Answer: "500 Internal Server Error", Err: errors.New("500")}
			}
			if n == 2 {
				return relay.Outcome{Verdict: relay.Untried, Err: errors.New("not now")}
			}
			if h := s.job.Have[0]; h.Answer != "500 Internal Server Error" {
				t.Errorf("held %+v", h)
			}
			return relay.Outcome{Verdict: relay.Rejected, Answer: "404 Not Found", Err: errors.New("404")}
		}
		during(t, s, time.Minute)
		if h := s.job.Have[0]; h.Answer != "404 Not Found" || h.State != relay.Dead {
			t.Errorf("held %+v", h)
		}
		if len(s.letters) != 1 || s.letters[0].Cause != relay.ByReceiver {
			t.Errorf("letters %+v", s.letters)
		}
	})
}

// TestSendWaitsLonger lets a message that waits for a receiver to get up again come up
// less and less often: ten thousand of them must not keep Redis busy for a day.
func TestSendWaitsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		s := newShelf(send("told"))
		s.onCreate = func(relay.Action) relay.Outcome {
			at = append(at, time.Since(began))
			return relay.Outcome{Verdict: relay.Untried, After: 10 * time.Second, Err: errors.New("it is left alone")}
		}
		during(t, s, 6*time.Hour)
		if len(at) < 12*6 || len(at) > 120 {
			t.Errorf("%d attempts in six hours", len(at))
		}
		for i := range at[1:] {
			if pause, most := at[i+1]-at[i], max(20*time.Second, min(at[i]/4, 5*time.Minute)); pause > most {
				t.Errorf("after %s it rested for %s", at[i], pause)
			}
		}
	})
}
