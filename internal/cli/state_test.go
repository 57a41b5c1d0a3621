package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"doorhook/internal/relay"
)

var noon = time.Date(2030, 5, 14, 12, 0, 0, 0, time.UTC)

func TestSummary(t *testing.T) {
	args := relay.Encode(map[string]any{"lock_id": 5})
	door := relay.Action{Key: "door#1/5", Rule: "door", Kind: relay.Schedule, Args: args}
	link := relay.Action{Key: "link#1", Rule: "link", Kind: relay.GroupLink, Args: relay.Encode(map[string]any{"group_id": 7})}
	moved := door
	moved.Args = relay.Encode(map[string]any{"lock_id": 5, "name": "later"})
	tomorrow := link
	tomorrow.At = noon.AddDate(0, 0, 1)
	group := relay.Action{Key: "all#1/group 7", Kind: relay.Schedule, Args: relay.Encode(map[string]any{"group_id": 7})}
	of := func(want []relay.Action, have ...relay.Held) relay.Job {
		return relay.Job{Changes: 2, Worked: 2, Want: want, Have: have}
	}
	all := []relay.Action{door, link}
	tests := []struct {
		name string
		job  relay.Job
		want string
	}{
		{"nobody got to it", of(all), "2 waiting"},
		{"done", of(all, relay.Held{Action: door, State: relay.Done, Object: 1}, relay.Held{Action: link, State: relay.Done, Object: 2}), "2 done"},
		{"one rejected", of(all, relay.Held{Action: door, State: relay.Done, Object: 1}, relay.Held{Action: link, State: relay.Dead, Changes: 2}), "1 failed, 1 done"},
		{"rejected before the booking changed", of(all[1:], relay.Held{Action: link, State: relay.Dead, Changes: 1}), "1 waiting"},
		{"too late", of(all[:1], relay.Held{Action: door, State: relay.TooLate, Changes: 2}), "1 expired"},
		{"nobody came", of(all[:1], relay.Held{Action: door, State: relay.Unused, Changes: 1}), "1 unused"},
		{"failing", of(all[:1], relay.Held{Action: door, State: relay.Retrying, Changes: 2, RetryAt: noon}), "1 retrying"},
		{"nobody knows whether it was made", of(all[:1], relay.Held{Action: door, Unsure: true, Changes: 2}), "1 retrying"},
		{"Kisi is down", of(all[:1], relay.Held{Action: door, Changes: 2, RetryAt: noon}), "1 waiting"},
		{"moved, and not changed yet", of([]relay.Action{moved}, relay.Held{Action: door, State: relay.Done, Object: 1}), "1 waiting"},
		{"its time has not come", of([]relay.Action{tomorrow}), "1 waiting"},
		{"a group, its locks not known", of([]relay.Action{group}, relay.Held{Action: group, State: relay.Retrying, Changes: 2}), "1 retrying"},
		{
			"a group of two locks", of([]relay.Action{group}, relay.Held{Action: group, State: relay.Done, Locks: []int64{1, 2}},
				relay.Held{Action: group.Expand([]int64{1})[0], State: relay.Done, Object: 9}), "1 waiting, 1 done",
		},
		{"replaced", of(all[1:], relay.Held{Action: link, State: relay.Done, Object: 3, Old: []int64{2, 1}}), "2 being taken back, 1 done"},
		{"another door's, still standing", of(all[:1], relay.Held{Action: door, State: relay.Done, Object: 1}, relay.Held{Action: link, State: relay.Done, Object: 2}), "1 being taken back, 1 done"},
		{"maybe standing", relay.Job{Cancelled: true, Have: []relay.Held{{Action: door, Unsure: true}}}, "1 being taken back"},
		{"cancelled", relay.Job{Cancelled: true}, "cancelled, and all is taken back"},
		{"asks for nothing", relay.Job{}, "nothing is wanted"},
	}
	for _, tt := range tests {
		if got := summary(tt.job, noon); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestShowJob shows the whole page once, with everything that can be on it.
func TestShowJob(t *testing.T) {
	at := func(hour, minute, second int) time.Time {
		return time.Date(2030, 5, 14, hour, minute, second, 0, time.UTC)
	}
	version := float64(at(9, 0, 0).UnixMicro())
	door := relay.Action{Key: "door#1/5", Rule: "door", Kind: relay.Schedule, Args: relay.Encode(map[string]any{"lock_id": 5, "starts_at": at(14, 0, 0), "ends_at": at(15, 30, 0)})}
	link := relay.Action{Key: "link#1", Rule: "link", Kind: relay.GroupLink, Args: relay.Encode(map[string]any{"group_id": 7, "email": "jo@example.com", "valid_from": at(13, 50, 0), "valid_until": at(23, 0, 0).AddDate(0, 0, 1)})}
	ring := relay.Action{Key: "ring#1/6", Rule: "ring", Kind: relay.Unlock, Args: relay.Encode(map[string]any{"lock_id": 6}), At: at(14, 0, 0)}
	tell := relay.Action{Key: "tell#1", Rule: "tell", Kind: relay.Send, Args: relay.Encode(map[string]any{"url": relay.Text{{Env: "ALERT_URL"}}, "method": "POST", "text": "x"})}
	role := relay.Action{Key: "role#1", Rule: "role", Kind: relay.RoleAssignment, Args: relay.Encode(map[string]any{"group_id": 7, "email": "jo@example.com", "valid_from": at(13, 0, 0), "valid_until": at(15, 0, 0)})}
	job := relay.Job{
		ID: "t:booking:a b", Trigger: "t", Booking: "a b", EventID: "e2", Version: &version, Revision: "3f2a4b5c6d7e", Changes: 2, ChangedAt: at(12, 0, 1), DueAt: at(12, 1, 0),
		Want: []relay.Action{link, door, ring, tell, role},
		Have: []relay.Held{
			{Action: link, State: relay.Retrying, Changes: 2, RetryAt: at(12, 1, 0), Error: "no answer"},
			{Action: door, State: relay.Done, Object: 1003, Old: []int64{1002}, Revokes: 14, RevokeAt: at(12, 2, 0), Error: "503"},
			{Action: role, State: relay.Done, Object: 1004, Until: at(14, 0, 0)},
		},
		Attempts: []relay.Attempt{
			{At: at(12, 0, 2), Action: "door#1/5", Step: "create", Result: "created", Object: 1003, TookMS: 42},
			{At: at(12, 0, 3), Action: "link#1", Step: "create", Result: "unsure", TookMS: 5000, Error: "no answer", Times: 14, Last: at(12, 0, 50)},
		},
	}
	const want = `
job        't:booking:a b'
trigger    t
booking    a b
event      e2, accepted 14 May 2030 12:00:01 UTC (the newest of 2)
version    14 May 2030 09:00:00 UTC
revision   3f2a4b5c6d7e
next look  14 May 2030 12:01:00 UTC
stands     1 retrying, 1 being taken back, 2 waiting, 2 done

WANTED                                          IN KISI  WHAT                                                                               BY RULE  ERROR
retrying, again at 14 May 2030 12:01:00 UTC              group_link jo@example.com, group 7, 14 May 2030 13:50 UTC – 15 May 2030 23:00 UTC  link     no answer
done                                            1003     schedule lock 5, 14 May 2030 14:00–15:30 UTC                                       door
waiting until 14 May 2030 14:00:00 UTC                   unlock lock 6                                                                      ring
waiting                                                  send ${env.ALERT_URL}                                                              tell
done, again at 14 May 2030 14:00:00 UTC         1004     role_assignment jo@example.com, group 7, 14 May 2030 13:00–15:00 UTC               role

NOT WANTED                                               IN KISI  WHAT                                          BY RULE  ERROR
being taken back, again at 14 May 2030 12:02:00 UTC      1002     schedule lock 5, 14 May 2030 14:00–15:30 UTC  door     503

ATTEMPT                   STEP    RESULT                                    IN KISI  TOOK  ACTION    ERROR
14 May 2030 12:00:02 UTC  create  created                                   1003     42ms  door#1/5
14 May 2030 12:00:03 UTC  create  unsure ×14 until 14 May 2030 12:00:50 UTC          5s    link#1    no answer
`
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	var out bytes.Buffer
	showJob(&out, job, noon)
	squeeze := func(s string) string { // how wide a column is does not matter here
		var lines []string
		for line := range strings.Lines(s) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return strings.TrimSpace(strings.Join(lines, "\n"))
	}
	if squeeze(out.String()) != squeeze(want) {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}

func TestVersion(t *testing.T) {
	for v, want := range map[float64]string{7: "7", 1.5: "1.5", 1_900_000_000: "1900000000", 1_900_000_000_000: "1900000000000"} {
		if got := version(&v); got != want {
			t.Errorf("%v is shown as %s, want %s", v, got, want)
		}
	}
}

func TestQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"skedda:booking:97088432": "skedda:booking:97088432",
		"t:event:a/b@c.example":   "t:event:a/b@c.example",
		"t:booking:a b":           "'t:booking:a b'",
		"it's":                    `'it'\''s'`,
		"$(reboot)":               "'$(reboot)'",
		"~":                       "'~'",
		"é":                       "'é'",
		"":                        "''",
	} {
		if got := quoted(text); got != want {
			t.Errorf("%q is quoted as %s, want %s", text, got, want)
		}
	}
}

func TestPeriod(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7d": 168 * time.Hour, "12h": 12 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "36500d": 36500 * 24 * time.Hour,
		"": 0, "0": 0, "0d": 0, "-1d": 0, "-1h": 0, "1d-1h": 0, "d": 0, "7": 0, "7days": 0, "1.5d": 0, "36501d": 0, "99999999999999999999d": 0, "7d7d": 0,
	} {
		var p period
		err := p.UnmarshalText([]byte(text))
		if p.duration() != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %s, %v; want %s", text, p.duration(), err, want)
		}
	}
}
