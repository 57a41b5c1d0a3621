package action

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

var (
	starts = time.Date(2030, 5, 14, 10, 0, 0, 0, time.UTC)
	ends   = starts.Add(time.Hour)
)

func theUnlock() relay.Action {
	return relay.Action{Key: "u", Kind: relay.Unlock, Args: relay.Encode(map[string]any{"lock_id": 22290})}
}

func theSchedule() relay.Action {
	return relay.Action{Key: "s", Kind: relay.Schedule, Args: relay.Encode(map[string]any{
		"lock_id": 22281, "name": "Booking 1", "consequence": "unlock", "override": false, "starts_at": starts, "ends_at": ends,
	})}
}

func theLink() relay.Action {
	return relay.Action{Key: "l", Kind: relay.GroupLink, Args: relay.Encode(map[string]any{
		"group_id": 32693, "name": "Booking 1", "email": "Jo@example.com", "link_enabled": true, "valid_from": starts, "valid_until": ends,
	})}
}

func theGroup() relay.Action {
	return relay.Action{Key: "g", Kind: relay.Schedule, Args: relay.Encode(map[string]any{
		"group_id": 32693, "name": "Booking 1", "consequence": "unlock", "override": false, "starts_at": starts, "ends_at": ends,
	})}
}

// kisiAt is a pretend Kisi and a Doer that talks to it.
func kisiAt(t *testing.T) (*kisifake.Server, *Doer) {
	t.Helper()
	fake := kisifake.New(kisifake.Options{Rate: -1})
	url, err := fake.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	client, err := kisi.New(kisi.Options{URL: url, APIKey: kisifake.DefaultKey, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return fake, New(client, SendOptions{})
}

// TestVerdicts is what each answer of Kisi means for each thing that is asked.
func TestVerdicts(t *testing.T) {
	answers := []struct {
		name  string
		fault kisifake.Fault
		// The verdicts of making a schedule, unlocking, changing, revoking and looking.
		make, unlock, change, revoke, find relay.Verdict
	}{
		{"400", kisifake.Fault{Status: 400}, relay.Rejected, relay.Rejected, relay.Rejected, relay.Retry, relay.Retry},
		{"401", kisifake.Fault{Status: 401}, relay.Rejected, relay.Rejected, relay.Rejected, relay.Retry, relay.Retry},
		{"403", kisifake.Fault{Status: 403}, relay.Rejected, relay.Rejected, relay.Rejected, relay.Retry, relay.Retry},
		{"404", kisifake.Fault{Status: 404}, relay.Rejected, relay.Rejected, relay.Gone, relay.Gone, relay.Retry},
		{"409 locked down", kisifake.Fault{Status: 409, Code: "fad001"}, relay.Rejected, relay.Rejected, relay.Rejected, relay.Retry, relay.Retry},
		{"409 scheduled to be unlocked", kisifake.Fault{Status: 409, Code: "fad110"}, relay.Rejected, relay.OK, relay.Rejected, relay.Retry, relay.Retry},
		{"409 unlock in progress", kisifake.Fault{Status: 409, Code: "fad112"}, relay.Rejected, relay.Retry, relay.Rejected, relay.Retry, relay.Retry},
		{"422", kisifake.Fault{Status: 422}, relay.Rejected, relay.Rejected, relay.Rejected, relay.Retry, relay.Retry},
		{"429", kisifake.Fault{Status: 429}, relay.Retry, relay.Retry, relay.Retry, relay.Retry, relay.Retry},
		{"500", kisifake.Fault{Status: 500}, relay.Unsure, relay.Retry, relay.Retry, relay.Retry, relay.Retry},
		{"503", kisifake.Fault{Status: 503}, relay.Unsure, relay.Retry, relay.Retry, relay.Retry, relay.Retry},
		{"500 after it was done", kisifake.Fault{Then: kisifake.Crash}, relay.Unsure, relay.Retry, relay.Retry, relay.Retry, relay.Retry},
		{"no answer", kisifake.Fault{Then: kisifake.Hang}, relay.Unsure, relay.Retry, relay.Retry, relay.Retry, relay.Retry},
		{"a reset", kisifake.Fault{Then: kisifake.Reset}, relay.Unsure, relay.Retry, relay.Retry, relay.Retry, relay.Retry},
	}
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, d := kisiAt(t)
			made := d.Create(t.Context(), theSchedule())
			if made.Verdict != relay.OK || made.Object == 0 {
				t.Fatalf("%+v", made)
			}
			tt.fault.Times = -1
			fake.Fail(tt.fault)
			got := map[string]relay.Verdict{
				"make":   d.Create(t.Context(), theSchedule()).Verdict,
				"unlock": d.Create(t.Context(), theUnlock()).Verdict,
				"change": d.Change(t.Context(), theSchedule(), made.Object).Verdict,
				"find":   d.Find(t.Context(), theSchedule(), starts, nil).Verdict,
				"revoke": d.Revoke(t.Context(), theSchedule(), made.Object).Verdict,
			}
			want := map[string]relay.Verdict{"make": tt.make, "unlock": tt.unlock, "change": tt.change, "revoke": tt.revoke, "find": tt.find}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestNobodyThere is a Kisi that cannot be reached: surely nothing was done.
func TestNobodyThere(t *testing.T) {
	fake, d := kisiAt(t)
	fake.Close()
	if out := d.Create(t.Context(), theSchedule()); out.Verdict != relay.Retry {
		t.Errorf("%s: %v", out.Verdict, out.Err)
	}
}

// TestFind finds what an action made, and nothing that only resembles it.
func TestFind(t *testing.T) {
	for _, a := range []relay.Action{theSchedule(), theLink()} {
		t.Run(string(a.Kind), func(t *testing.T) {
			_, d := kisiAt(t)
			first, second := d.Create(t.Context(), a), d.Create(t.Context(), a)
			other := a
			other.Args = []byte(strings.Replace(string(a.Args), "Booking 1", "Booking 12", 1))
			later := a
			later.Args = []byte(strings.ReplaceAll(string(a.Args), "T11:00", "T12:00"))
			for _, x := range []relay.Action{other, later} {
				if out := d.Create(t.Context(), x); out.Verdict != relay.OK {
					t.Fatal(out.Err)
				}
			}
			find := func(since time.Time, known ...int64) []int64 {
				out := d.Find(t.Context(), a, since, known)
				slices.Sort(out.Objects)
				return out.Objects
			}
			now := time.Now()
			if diff := cmp.Diff([]int64{first.Object, second.Object}, find(now)); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]int64{second.Object}, find(now, first.Object)); diff != "" {
				t.Errorf("found besides the first (-want +got):\n%s", diff)
			}
			if got := find(now.Add(time.Hour)); got != nil {
				t.Errorf("found %v, which are older than the request", got)
			}
		})
	}
}

func TestLocks(t *testing.T) {
	_, d := kisiAt(t)
	out := d.Locks(t.Context(), theGroup())
	slices.Sort(out.Locks)
	if diff := cmp.Diff([]int64{22281, 22290}, out.Locks); out.Verdict != relay.OK || diff != "" {
		t.Errorf("%s %v\n%s", out.Verdict, out.Err, diff)
	}
	unknown := theGroup()
	unknown.Args = []byte(strings.Replace(string(unknown.Args), "32693", "4711", 1))
	if out := d.Locks(t.Context(), unknown); out.Verdict != relay.Rejected {
		t.Errorf("an unknown group: %s %v", out.Verdict, out.Err)
	}
}

// TestDescribe shows requests word for word, and makes none.
func TestDescribe(t *testing.T) {
	const window = `"name":"Booking 1","override":false,"scheduleable_id":%s,"scheduleable_type":"Lock","starts_at":"2030-05-14T10:00:00Z","type":"single_event"}}`
	const head = `POST /schedules {"schedule":{"consequence":"unlock","enabled":true,"ends_at":"2030-05-14T11:00:00Z",`
	tests := map[string]struct {
		a    relay.Action
		want []string
	}{
		"unlock":   {theUnlock(), []string{"POST /locks/22290/unlock"}},
		"schedule": {theSchedule(), []string{head + fmt.Sprintf(window, "22281")}},
		"link": {theLink(), []string{
			`POST /group_links {"group_link":{"email":"Jo@example.com","group_id":32693,"link_enabled":true,"name":"Booking 1","valid_from":"2030-05-14T10:00:00Z","valid_until":"2030-05-14T11:00:00Z"}}`,
		}},
		"group": {theGroup(), []string{"GET /group_locks?group_id=32693&limit=250&offset=0", "for each lock of the group: " + head + fmt.Sprintf(window, "LOCK")}},
	}
	for name, tt := range tests {
		if diff := cmp.Diff(tt.want, Describe(tt.a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestUnknownKind is a job of a newer doorhook: it is given up, not guessed at.
func TestUnknownKind(t *testing.T) {
	_, d := kisiAt(t)
	if out := d.Create(t.Context(), relay.Action{Kind: "hologram"}); out.Verdict != relay.Rejected || !strings.Contains(out.Err.Error(), "newer doorhook") {
		t.Errorf("%+v", out)
	}
}

// TestCurl runs the commands in a shell, with a curl that only says what it was given:
// the real one would send just that.
func TestCurl(t *testing.T) {
	link := theLink()
	link.Args = relay.Encode(map[string]any{"group_id": 32693, "name": "it's `id` $(id) \"O\" \n ü", "link_enabled": true})
	caller := Caller{URL: "http://127.0.0.1:8090/", Integration: "Jo's", Contact: "jo@example.com", UserAgent: "doorhook/1"}
	requests, err := caller.Requests(t.Context(), link)
	if err != nil || len(requests) != 1 {
		t.Fatal(requests, err)
	}
	script := `curl() { printf '%s\n' "$@"; }; KISI_API_KEY=k3y` + "\n" + requests[0].Curl()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		"-X", "POST", "http://127.0.0.1:8090/group_links",
		"-H", "Authorization: KISI-LOGIN k3y",
		"-H", "Accept: application/json",
		"-H", "Content-Type: application/json",
		"-H", "User-Agent: doorhook/1",
		"-H", "X-Kisi-Integration-Contact: jo@example.com",
		"-H", "X-Kisi-Integration-Identifier: Jo's",
		"-d", `{"group_link":{"group_id":32693,"link_enabled":true,"name":"it's ` + "`id`" + ` $(id) \"O\" \n ü"}}`, "",
	}
	if diff := cmp.Diff(want, strings.Split(string(out), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := fmt.Sprint(requests) + requests[0].Curl(); strings.Contains(text, "none") {
		t.Errorf("a key is shown: %s", text)
	}
}

// TestRequestsOfNobodysKind says why there is no request.
func TestRequestsOfNobodysKind(t *testing.T) {
	if _, err := (Caller{}).Requests(t.Context(), relay.Action{Kind: "hologram"}); err == nil || !strings.Contains(err.Error(), "newer doorhook") {
		t.Errorf("%v", err)
	}
	if _, err := (Caller{URL: "http://kisi.example"}).Requests(t.Context(), theLink()); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("%v", err)
	}
}
