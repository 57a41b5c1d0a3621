package app

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"doorhook/internal/kisi/kisifake"
)

// canaries are all secrets that a doorhook is given, by the variable they come in.
var canaries = map[string]string{
	"BEARER_TOKEN":         canaryToken,
	"BASIC_TOKEN":          "canary-basic-token",
	"HEADER_TOKEN":         "canary-header-token",
	"QUERY_TOKEN":          "canary-query-token",
	"SIGNATURE_KEY":        "canary-signature-key",
	"ALIAS_PATH":           "canary-alias-path",
	"DOORHOOK_ADMIN_TOKEN": "canary-admin-token",
	"KISI_API_KEY":         canaryKey,
	"KISI_PASSWORD":        canaryPassword,
	"REDIS_PASSWORD":       "canary-redis-password",
	"SEND_PATH":            "canary-send/path",
	"SEND_TOKEN":           "canary-send/token&more",
	"SEND_KEY":             "whsec_Y2FuYXJ5LXNlbmQta2V5LWNhbmFyeS1zZW5kLWtleQ==",
}

const canaryRules = `
trigger: t
auth:
  - bearer: ${env.BEARER_TOKEN}
  - basic: zapier:${env.BASIC_TOKEN}
  - header: {X-Door: "${env.HEADER_TOKEN}"}
  - query: {key: "${env.QUERY_TOKEN}"}
  - hmac: kisi:${env.SIGNATURE_KEY}
  - alias: true
alias: /hooks/catch/${env.ALIAS_PATH}/
id: payload.event
booking: payload.booking
rules:
  - name: door
    when: payload.lock != nil
    do: [{schedule: {lock_id: "${payload.lock}", starts_at: "${now()}", ends_at: "${now() + hours(1)}"}}]
  - name: tell
    when: payload.tell != nil
    do:
      - send:
          url: ${env.SEND_HOST}/${env.SEND_PATH}?status=${payload.tell}
          headers: {Authorization: "Bearer ${env.SEND_TOKEN}"}
          json: ${payload}
          sign: ${env.SEND_KEY}
  - name: broken
    when: payload.broken.deep.down
    do: [{unlock: {lock_id: 1}}]
`

// parrot is a Kisi that says back all that it was sent, where it says no.
type parrot struct {
	fake *kisifake.Server
}

func (p parrot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all, err := httputil.DumpRequest(r, true)
	if err != nil {
		panic(err)
	}
	status := 0
	switch {
	case bytes.Contains(all, []byte(`"scheduleable_id":500`)):
		status = http.StatusInternalServerError
	case bytes.Contains(all, []byte(`"scheduleable_id":422`)):
		status = http.StatusUnprocessableEntity
	case r.URL.Query().Get("status") == "cut":
		panic(http.ErrAbortHandler)
	case r.URL.Query().Has("status"): // what is sent elsewhere
		if status, err = strconv.Atoi(r.URL.Query().Get("status")); err != nil {
			status = http.StatusOK
		}
		w.Header().Set("Location", "https://"+r.Header.Get("Webhook-Signature")[3:10]+".example/"+r.URL.Path)
	default:
		p.fake.ServeHTTP(w, r)
		return
	}
	answer, err := json.Marshal(map[string]any{"error": string(all), "errors": map[string]any{"base": []string{string(all)}}})
	if err != nil {
		panic(err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

// TestSecretsStayIn runs the real program through what goes well and what goes wrong,
// and looks for its secrets in everything that it prints, answers and keeps.
func TestSecretsStayIn(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "doorhook")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "doorhook/cmd/doorhook").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, env := range map[string][]string{
		"an API key, and a log for people":   {"KISI_API_KEY=" + canaryKey, "DOORHOOK_LOG_FORMAT=text"},
		"a sign-in, and a log for a machine": {"KISI_EMAIL=owner@example.com", "KISI_PASSWORD=" + canaryPassword, "KISI_DOMAIN=venue", "DOORHOOK_LOG_FORMAT=json"},
	} {
		t.Run(name, func(t *testing.T) { secretsStayIn(t, bin, env) })
	}
	redis := realRedis(t)
	redis.ask(t, "CONFIG", "SET", "requirepass", "another-password")
	for _, tt := range badSettings(redis.url) {
		t.Run(tt.name, func(t *testing.T) {
			cmd, out := programFor(t, bin, tt.env)
			if err := cmd.Run(); err == nil {
				t.Error("it starts")
			}
			if text := out.String(); strings.Contains(text, "canary") || !strings.Contains(text, tt.word) {
				t.Errorf("it says %s, want %s in it and no secret", text, tt.word)
			}
		})
	}
}

type badSetting struct {
	name, word string
	env        []string
}

// badSettings are those that the program has to complain about.
func badSettings(redis string) []badSetting {
	key := "KISI_API_KEY=" + canaryKey
	return []badSetting{
		{"a wrong password of Redis", "WRONGPASS", []string{key, "DOORHOOK_REDIS=" + strings.Replace(redis, "://", "://u:canary-redis-password@", 1)}},
		{"a URL of Redis that cannot be read", "the Redis URL", []string{key, "DOORHOOK_REDIS=redis://:canary%zz@127.0.0.1:1"}},
		{"a key that is no key", "KISI_API_KEY", []string{"KISI_API_KEY=canary kisi key"}},
		{"a key and a sign-in", "KISI_PASSWORD", []string{key, "KISI_EMAIL=owner@example.com", "KISI_PASSWORD=" + canaryPassword}},
		{"a URL of Kisi with a password", "KISI_URL", []string{key, "KISI_URL=https://u:canary-password@kisi.example?key=canary"}},
		{"a secret that is not set", "QUERY_TOKEN", []string{key, "QUERY_TOKEN="}},
		{"a listener for all without an operator's token", "DOORHOOK_ADMIN_TOKEN", []string{key, "DOORHOOK_ADMIN_TOKEN=", "DOORHOOK_LISTEN=0.0.0.0:0"}},
	}
}

func secretsStayIn(t *testing.T, bin string, env []string) {
	t.Parallel()
	redis := realRedis(t)
	for _, setting := range [][2]string{{"aof-use-rdb-preamble", "no"}, {"appendonly", "yes"}, {"requirepass", canaries["REDIS_PASSWORD"]}} {
		redis.ask(t, "CONFIG", "SET", setting[0], setting[1])
	}
	fake := kisifake.New(kisifake.Options{Key: canaryKey, Email: "owner@example.com", Password: canaryPassword, Domain: "venue", Rate: -1})
	kisi := httptest.NewServer(parrot{fake})
	defer kisi.Close()
	p := startProgram(t, bin, append(env, "KISI_URL="+kisi.URL, "SEND_HOST="+kisi.URL, "DOORHOOK_REDIS="+strings.Replace(redis.url, "://", "://:"+canaries["REDIS_PASSWORD"]+"@", 1)))
	for _, r := range canaryRequests {
		p.ask(r)
	}
	p.commands()
	redis.stop()
	for _, r := range canaryRequestsAlone {
		p.ask(r)
	}
	p.commands()
	waitFor(t, "word of the outage", func() bool { return strings.Contains(p.out.String(), "store does not answer") })
	p.end(syscall.SIGQUIT) // it shows all of its goroutines, as a panic does

	secrets := append(slices.Collect(maps.Values(canaries)), fake.Logins()...)
	kept := filesIn(t, filepath.Dir(strings.TrimPrefix(redis.url, "unix://")))
	for where, text := range map[string]string{"print": p.out.String(), "answer": p.answers.String(), "keep in Redis": kept} {
		for _, secret := range secrets {
			if i := leakOf(text, secret); i >= 0 {
				t.Errorf("%s is in what it %ss: …%s…", secret, where, text[max(0, i-300):min(len(text), i+100)])
			}
		}
	}
	for text, words := range map[string][]string{ // or this test shows nothing
		p.out.String():     {"Kisi answered 500", "Kisi answered 422", "[redacted]", "goroutine 1 "},
		p.answers.String(): {"Kisi answered 422", "[redacted]", "Not authorized"},
		kept:               {`"env":"SEND_TOKEN"`, "Bearer [redacted]", "${env.SEND_HOST}", "t:booking:b", "Kisi answered 422", "t:rule:broken:event:6"},
	} {
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("%q is nowhere:\n%s", word, text)
			}
		}
	}
}

// TestSecretInASecondPlace is a sender that has moved from one way of showing who it
// is to another, and left the secret in the old place as well.
func TestSecretInASecondPlace(t *testing.T) {
	for name, place := range map[string]func(r *http.Request){
		"a query parameter": func(r *http.Request) { r.URL.RawQuery = url.Values{"token": {canaryToken}}.Encode() },
		"a header":          func(r *http.Request) { r.Header.Set("X-Door", canaryToken) },
	} {
		t.Run(name, func(t *testing.T) {
			redis := realRedis(t)
			redis.ask(t, "CONFIG", "SET", "appendonly", "yes")
			h := startHouse(t, redis.url)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/hooks/t", strings.NewReader(`{"event":1,"unlock":22290,"broken":{}}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+canaryToken)
			place(req)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("answered %s", resp.Status)
			}
			h.stop()
			kept := filesIn(t, filepath.Dir(strings.TrimPrefix(redis.url, "unix://")))
			if i := leakOf(kept, canaryToken); i >= 0 || !strings.Contains(kept, "t:event:1") {
				t.Errorf("it is in Redis (or nothing is): …%s…", kept[max(0, i-300):max(0, i)])
			}
		})
	}
}

type canaryRequest struct {
	name, method, path string
	header             [2]string
	body               string
	want               int // 0 is any
}

var (
	withBearer = [2]string{"Authorization", "Bearer " + canaryToken}
	withAdmin  = [2]string{"Authorization", "Bearer " + canaries["DOORHOOK_ADMIN_TOKEN"]}
)

var canaryRequests = []canaryRequest{
	{"done", "POST", "/hooks/t?wait=20", withBearer, `{"event":1,"booking":"b","lock":22281}`, 200},
	{"again", "POST", "/hooks/t?wait=20", withBearer, `{"event":1,"booking":"b","lock":22281}`, 200},
	{"user and password", "POST", "/hooks/t", [2]string{"Authorization", "Basic " + basicOf(canaries["BASIC_TOKEN"])}, `{"event":2,"lock":22281}`, 200},
	{"a header", "POST", "/hooks/t", [2]string{"X-Door", canaries["HEADER_TOKEN"]}, `{"event":3,"lock":22281}`, 200},
	{"a query parameter", "POST", "/hooks/t?key=" + canaries["QUERY_TOKEN"], [2]string{}, `{"event":4,"lock":22281}`, 200},
	{"a dry run", "POST", "/hooks/t?dry_run=1&key=" + canaries["QUERY_TOKEN"], [2]string{}, `{"event":5,"lock":22281}`, 200},
	{"a rule that fails", "POST", "/hooks/t", withBearer, `{"event":6,"lock":22281,"broken":{}}`, 200},
	{"all rules fail", "POST", "/hooks/t?key=" + canaries["QUERY_TOKEN"], [2]string{}, `{"event":7,"lock":{},"tell":{},"broken":{}}`, 422},
	{"Kisi says no", "POST", "/hooks/t?wait=20", withBearer, `{"event":8,"lock":422}`, 200},
	{"Kisi breaks", "POST", "/hooks/t?wait=2", withBearer, `{"event":9,"lock":500}`, 200},
	{"sent on", "POST", "/hooks/t?wait=20", withBearer, `{"event":20,"tell":200}`, 200},
	{"sent on to who says no", "POST", "/hooks/t?wait=20", withBearer, `{"event":21,"tell":422}`, 200},
	{"sent on to who breaks", "POST", "/hooks/t?wait=2", withBearer, `{"event":22,"tell":500}`, 200},
	{"sent on to who points elsewhere", "POST", "/hooks/t?wait=2", withBearer, `{"event":23,"tell":302}`, 200},
	{"sent on to who hangs up", "POST", "/hooks/t?wait=2", withBearer, `{"event":24,"tell":"cut"}`, 200},
	{"sent on, a dry run", "POST", "/hooks/t?dry_run=1", withBearer, `{"event":25,"tell":200}`, 200},
	{"who names a secret", "POST", "/hooks/t?wait=2", withBearer, `{"event":26,"tell":"${env.SEND_TOKEN}","env":"SEND_TOKEN"}`, 200},
	{"nobody", "POST", "/hooks/t", [2]string{}, `{}`, 401},
	{"nearly", "POST", "/hooks/t", [2]string{"Authorization", "Bearer " + canaryToken + "x"}, `{}`, 401},
	{"in the wrong place", "POST", "/hooks/t?key=" + canaryToken, [2]string{"X-Door", canaryToken}, `{}`, 401},
	{"with another's", "POST", "/hooks/t", withAdmin, `{}`, 401},
	{"signed", "POST", "/hooks/t", [2]string{"X-Signature", signatureOf(canaries["SIGNATURE_KEY"], `{"event":11}`)}, `{"event":11}`, 200},
	{"signed with another key", "POST", "/hooks/t", [2]string{"X-Signature", signatureOf("another", `{"event":12}`)}, `{"event":12}`, 401},
	{"its key for a signature", "POST", "/hooks/t", [2]string{"X-Signature", canaries["SIGNATURE_KEY"]}, `{}`, 401},
	{"by the alias", "POST", "/hooks/catch/" + canaries["ALIAS_PATH"], [2]string{}, `{"event":13,"lock":22281}`, 200},
	{"by the alias, behind a proxy", "POST", "/hooks/catch/" + canaries["ALIAS_PATH"] + "/", [2]string{"X-Original-URL", "https://doors.example/hooks/catch/" + canaries["ALIAS_PATH"] + "/"}, `{"event":14}`, 200},
	{"by the alias, not JSON", "POST", "/hooks/catch/" + canaries["ALIAS_PATH"], [2]string{}, `{`, 400},
	{"by the alias, too large", "POST", "/hooks/catch/" + canaries["ALIAS_PATH"], [2]string{}, `"` + strings.Repeat("x", 1<<20) + `"`, 413},
	{"by the alias, deleting", "DELETE", "/hooks/catch/" + canaries["ALIAS_PATH"], [2]string{}, ``, 404},
	{"nearly by the alias", "POST", "/hooks/catch/" + canaries["ALIAS_PATH"] + "/x", [2]string{}, `{}`, 404},
	{"the alias for a name", "POST", "/hooks/" + canaries["ALIAS_PATH"], [2]string{}, `{}`, 404},
	{"not JSON", "POST", "/hooks/t", withBearer, `{"event":`, 400},
	{"too large", "POST", "/hooks/t", withBearer, `"` + strings.Repeat("x", 1<<20) + `"`, 413},
	{"nowhere", "POST", "/hooks/nowhere", withBearer, `{}`, 404},
	{"the operator's jobs", "GET", "/api/v1/jobs", withAdmin, "", 200},
	{"a job", "GET", "/api/v1/jobs/t:booking:b", withAdmin, "", 200},
	{"events", "GET", "/api/v1/events", withAdmin, "", 200},
	{"dead letters", "GET", "/api/v1/dead", withAdmin, "", 200},
	{"a replay of all", "POST", "/api/v1/replay", withAdmin, `{"all":true}`, 200},
	{"a check-up", "GET", "/api/v1/doctor", withAdmin, "", 200},
	{"nearly the operator", "GET", "/api/v1/jobs", [2]string{"Authorization", "Bearer " + canaries["DOORHOOK_ADMIN_TOKEN"] + "x"}, "", 401},
	{"the operator, in the query", "GET", "/api/v1/jobs?token=" + canaries["DOORHOOK_ADMIN_TOKEN"], [2]string{}, "", 401},
	{"a sender as operator", "GET", "/api/v1/jobs", withBearer, "", 401},
	{"metrics", "GET", "/metrics", withAdmin, "", 0},
}

// canaryRequestsAlone come when Redis is gone.
var canaryRequestsAlone = []canaryRequest{
	{"Redis is gone", "POST", "/hooks/t", withBearer, `{"event":10,"lock":22281}`, 503},
	{"not ready", "GET", "/readyz", withAdmin, "", 503},
	{"no jobs", "GET", "/api/v1/jobs", withAdmin, "", 503},
	{"a check-up of nothing", "GET", "/api/v1/doctor", withAdmin, "", 0},
}

func basicOf(secret string) string {
	return base64.StdEncoding.EncodeToString([]byte("zapier:" + secret))
}

// leakOf is where secret begins in text, as it is or in a disguise that hides it from
// nobody; -1 if it is not there.
func leakOf(text, secret string) int {
	for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), basicOf(secret), hex.EncodeToString([]byte(secret))} {
		if i := strings.Index(text, form); i >= 0 {
			return i
		}
	}
	return -1
}

// filesIn is all that is in the files of a folder.
func filesIn(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// program is a doorhook in a process of its own.
type program struct {
	t       *testing.T
	cmd     *exec.Cmd
	url     string
	out     *safeBuffer // what it prints
	answers strings.Builder
}

// programFor is the command that serves canaryRules, with env and the secrets that every one has.
func programFor(t *testing.T, bin string, env []string) (*exec.Cmd, *safeBuffer) {
	t.Helper()
	dir, out := t.TempDir(), &safeBuffer{}
	if err := os.WriteFile(filepath.Join(dir, "t.yaml"), []byte(canaryRules), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "serve")
	cmd.Env = []string{"DOORHOOK_LISTEN=127.0.0.1:0", "DOORHOOK_RULES=" + dir, "KISI_RATE=1000", "DOORHOOK_SEND_ALLOW=127.0.0.0/8", "SEND_HOST=http://127.0.0.1:1"}
	for name, value := range canaries {
		if !strings.HasPrefix(name, "KISI_") {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

var readyAt = regexp.MustCompile(`ready\b.*(http://127\.0\.0\.1:\d+)`)

func startProgram(t *testing.T, bin string, env []string) *program {
	t.Helper()
	p := &program{t: t}
	p.cmd, p.out = programFor(t, bin, env)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	waitFor(t, "doorhook", func() bool {
		m := readyAt.FindStringSubmatch(p.out.String())
		if m != nil {
			p.url = m[1]
		}
		return m != nil
	})
	return p
}

// commands runs those that look into Redis by themselves. What they print belongs to
// what the program prints; they may fail.
func (p *program) commands() {
	for _, args := range [][]string{{"jobs", "list"}, {"jobs", "show", "t:booking:b"}, {"events"}, {"dead", "--json"}, {"doctor"}, {"doctor", "--json"}, {"check"}, {"explain", "--event", "21"}, {"jobs", "show", "t:event:21", "--json"}} {
		cmd := exec.Command(p.cmd.Path, args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = p.cmd.Env, p.out, p.out
		_ = cmd.Run()
	}
}

// end ends the program, once.
func (p *program) end(s os.Signal) {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(s)
		_ = p.cmd.Wait()
	}
}

func (p *program) ask(r canaryRequest) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), r.method, p.url+r.path, strings.NewReader(r.body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if r.header[0] != "" {
		req.Header.Set(r.header[0], r.header[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", r.name, err, p.out)
	}
	defer resp.Body.Close()
	answer, err := httputil.DumpResponse(resp, true)
	if err != nil {
		p.t.Fatal(err)
	}
	p.answers.Write(answer)
	if r.want != 0 && resp.StatusCode != r.want {
		p.t.Errorf("%s: answered %s, want %d", r.name, answer, r.want)
	}
}
