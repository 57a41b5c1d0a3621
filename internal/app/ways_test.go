package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// kisiFile opens another door when somebody opens one.
const kisiFile = `trigger: kisi
from: kisi
auth:
  - hmac: kisi:${env.KISI_WEBHOOK_KEY}
rules:
  - name: the lift as well
    when: payload.type == "lock.unlock" && payload.success
    do: [{unlock: {lock_id: 22281}}]
`

func signatureOf(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func unlocked(uuid string, at time.Time) string {
	return fmt.Sprintf(`{"uuid":%q,"type":"lock.unlock","success":true,"object_type":"Lock","object_id":5,"created_at":%q}`, uuid, at.UTC().Format(time.RFC3339))
}

func kisiHouse(t *testing.T, redis string, edit ...func(*Settings, *kisifake.Options)) *house {
	return startHouse(t, redis, append([]func(*Settings, *kisifake.Options){giveAdminToken, func(s *Settings, _ *kisifake.Options) {
		s.Rules = fstest.MapFS{"kisi.yaml": {Data: []byte(kisiFile)}}
	}}, edit...)...)
}

func (h *house) raw(path, body string, headers ...string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestKisiEvents is Kisi's event webhook: signed, repeated, forged, late and broken.
func TestKisiEvents(t *testing.T) {
	onEach(t, func(t *testing.T, redis string) {
		h := kisiHouse(t, redis)
		good := unlocked("u1", time.Now())
		for _, tt := range []struct {
			name, body, key string
			code            int
			says            string
		}{
			{"forged", good, "another-key", 401, "unauthorized"},
			{"the same, signed", good, canaryToken, 200, `"status":"done","event_id":"u1"`},
			{"again", good, canaryToken, 200, `"status":"duplicate","event_id":"u1"`},
			{"long ago", unlocked("u2", time.Now().Add(-8*24*time.Hour)), canaryToken, 200, `{"status":"stale","event_id":"u2","actions":0}`},
			{"an hour ago", unlocked("u3", time.Now().Add(-time.Hour)), canaryToken, 200, "its time is over"},
			{"no uuid", `{"type":"lock.unlock"}`, canaryToken, 200, `"status":"failed"`},
			{"a list", `[]`, canaryToken, 400, "one JSON object"},
		} {
			code, text := h.raw("/hooks/kisi?wait=20", tt.body, "X-Signature", signatureOf(tt.key, tt.body))
			if code != tt.code || !strings.Contains(text, tt.says) {
				t.Errorf("%s: %d %s", tt.name, code, text)
			}
		}
		if unlocks := h.asked(0); len(slices.DeleteFunc(unlocks, func(s string) bool { return s != "POST /locks/22281/unlock" })) != 1 {
			t.Errorf("Kisi was asked %q", h.asked(0))
		}
		if dead := h.dead(); len(dead) != 1 || !strings.Contains(dead[0].Error, "it has no uuid") {
			t.Errorf("dead letters %+v", dead)
		}
		var checks struct{ Checks []relay.Check }
		said := h.ask("GET", "doctor", "", &checks)
		if !strings.Contains(said, `"name":"trigger kisi","health":"warning","says":"1 caller was refused since the start"`) {
			t.Errorf("doctor says %s", said)
		}
	})
}

// TestKisiWithoutAKey starts, says so, and lets nobody in.
func TestKisiWithoutAKey(t *testing.T) {
	h := kisiHouse(t, "", func(s *Settings, _ *kisifake.Options) { s.Getenv = func(string) string { return "" } })
	body := unlocked("u1", time.Now())
	for _, key := range []string{"", canaryToken} {
		if code, text := h.raw("/hooks/kisi", body, "X-Signature", signatureOf(key, body)); code != 401 {
			t.Errorf("%q: %d %s", key, code, text)
		}
	}
	if log := h.log.String(); !strings.Contains(log, "nobody can call this trigger: KISI_WEBHOOK_KEY is not set") {
		t.Errorf("log: %s", log)
	}
}

// TestTrustedProxies: who may call by their address is believed of a proxy that is known.
func TestTrustedProxies(t *testing.T) {
	for proxies, want := range map[string][2]int{"": {403, 403}, "127.0.0.0/8, ::1": {401, 403}, "10.0.0.1": {403, 403}} {
		h := kisiHouse(t, "", func(s *Settings, _ *kisifake.Options) {
			s.Rules = fstest.MapFS{"kisi.yaml": {Data: []byte(kisiFile + "allow_ip: [203.0.113.0/24]\n")}}
			s.TrustedProxies = proxies
		})
		for i, from := range []string{"203.0.113.7", "203.0.113.7, 198.51.100.1"} {
			if code, text := h.raw("/hooks/kisi", "{}", "X-Forwarded-For", from); code != want[i] {
				t.Errorf("behind %q, for %s: %d %s", proxies, from, code, text)
			}
		}
		h.stop()
	}
	for _, proxies := range []string{"proxy", "10.0.0.1/8", "10.0.0.1;10.0.0.2"} {
		err := Settings{Listen: DefaultListen, TrustedProxies: proxies}.withDefaults().check()
		if err == nil || !strings.Contains(err.Error(), "DOORHOOK_TRUSTED_PROXIES") {
			t.Errorf("%q: %v", proxies, err)
		}
	}
}

// TestAliasChangesWithTheRules: an alias is there as long as its file says so.
func TestAliasChangesWithTheRules(t *testing.T) {
	const file = "trigger: old\nauth: [{alias: true}]\nid: payload.id\nalias: /hooks/catch/123456/%s/\nrules: []\n"
	rules := filepath.Join(t.TempDir(), "old.yaml")
	write(t, rules, fmt.Sprintf(file, "first0"))
	h := startHouse(t, "", func(s *Settings, _ *kisifake.Options) { s.Rules = os.DirFS(filepath.Dir(rules)) })
	ask := func(path string) int {
		code, text := h.raw("/hooks/catch/123456/"+path+"/", `{"id":1}`)
		if code == 200 && !strings.HasPrefix(text, `{"id":"`) {
			t.Errorf("answered %s", text)
		}
		return code
	}
	if ask("first0") != 200 || ask("second") != 404 {
		t.Error("the first alias is not there, or another is")
	}
	replace(t, rules, fmt.Sprintf(file, "second"))
	waitFor(t, "the new alias", func() bool { return ask("second") == 200 })
	if ask("first0") != 404 {
		t.Error("the first alias is still there")
	}
}
