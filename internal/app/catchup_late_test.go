package app

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

const kisiRules = `
trigger: kisi
from: kisi
auth: [{hmac: "kisi:${env.KISI_WEBHOOK_KEY}"}]
rules:
  - name: inner door
    when: payload.object_id == 22281
    do: [{unlock: {lock_id: 22290}}]
`

// TestALateEventOpensNothing: the schedule takes in an event that came an hour late,
// and one that came at once; what the late one asks for is over.
func TestALateEventOpensNothing(t *testing.T) {
	var fake *kisifake.Server
	h := startHouse(t, "", brisk, func(s *Settings, _ *kisifake.Options) {
		s.Rules = fstest.MapFS{"kisi.yaml": {Data: []byte(kisiRules)}}
	})
	h.stop()
	fake = h.fake
	fake.AddEvent(kisifake.Event{UUID: "late", ObjectID: 22281, At: time.Now().Add(-50 * time.Minute)})
	fake.AddEvent(kisifake.Event{UUID: "soon", ObjectID: 22281, At: time.Now().Add(-30 * time.Second)})
	h.settings.Catchup = time.Hour
	h.start()
	waitFor(t, "the unlock", func() bool { return len(fake.Unlocks()) > 0 })
	waitFor(t, "the log", func() bool { return strings.Contains(h.log.String(), "caught up with Kisi") })
	waitFor(t, "both events", func() bool { return strings.Contains(h.log.String(), `"new":2`) })
	if n := len(fake.Unlocks()); n != 1 {
		t.Errorf("%d unlocks, want that of the newer one", n)
	}
}

// TestALateEventIsHandedOn: a message about something that Kisi lost days ago has as long
// as any other from when it was heard of, unless its rule says how late is too late.
func TestALateEventIsHandedOn(t *testing.T) {
	inFakeTime(t, func(t *testing.T, w *tower) {
		set := loadRules(t, `
trigger: kisi
from: kisi
auth: {hmac: "kisi:${env.KEY}"}
rules:
  - name: hand on
    do: [{send: {url: "https://a.example/all"}}]
  - name: soon
    expires: 1h
    do: [{send: {url: "https://a.example/soon"}}]
`)
		got := make(chan string, 10)
		w.work(w.messenger(func(r *http.Request) (*http.Response, error) {
			got <- r.URL.Path
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
		}))
		event := map[string]any{"uuid": "u", "type": "lock.unlock", "created_at": time.Now().Add(-30 * time.Hour).UTC().Format(time.RFC3339)}
		a, err := intake.New(set, w.store, intake.Options{}).Take(t.Context(), "kisi", event)
		if err != nil || a.Status != relay.Accepted {
			t.Fatalf("%+v, %v", a, err)
		}
		time.Sleep(time.Second)
		if n := len(got); n != 1 {
			t.Fatalf("%d were sent, want 1", n)
		}
		if path := <-got; path != "/all" {
			t.Errorf("sent is %s", path)
		}
	})
}
