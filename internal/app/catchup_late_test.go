package app

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/kisi/kisifake"
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
