package kisi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"doorhook/internal/kisi"
)

// printed shows v in every way that a log or a debugger might.
func printed(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", v)
		fmt.Fprintf(&b, verb+"\n", struct{ Inner any }{v})
	}
	j, _ := json.Marshal(v)
	b.Write(j)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
	return b.String()
}

func TestSecretsDoNotPrint(t *testing.T) {
	for name, o := range map[string]kisi.Options{
		"key":     {APIKey: "canary-key"},
		"sign-in": {Email: "owner@example.com", Password: "canary-password", Logins: &memory{}},
		"url":     {URL: "https://u:canary-url@localhost?x=canary-url", APIKey: "canary-key"},
	} {
		t.Run(name, func(t *testing.T) {
			text := printed(o) + printed(&o)
			c, err := kisi.New(o)
			if err != nil {
				text += printed(err)
			} else {
				text += printed(c) + printed(*c)
			}
			// %x would show a text as its bytes.
			if strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) {
				t.Errorf("a secret is in\n%s", text)
			}
		})
	}
}

// Whatever goes wrong, and though Kisi says every secret back, no error has one.
func TestSecretsAreInNoError(t *testing.T) {
	for name, o := range map[string]kisi.Options{
		"key":     {APIKey: "canary-key"},
		"sign-in": {Email: "owner@example.com", Password: "canary  password", Logins: &memory{}},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, echoing(t), o)
			for _, err := range everything(t, c) {
				if text := printed(err) + err.Error(); strings.Contains(text, "canary") {
					t.Errorf("a secret is in\n%s", text)
				}
			}
		})
	}
}

// echoing is a server that lets everybody in, and then refuses all, with what it
// was sent.
func echoing(t *testing.T) string {
	t.Helper()
	return server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/logins" {
			_, _ = w.Write([]byte(`{"secret":"canary-secret"}`))
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": map[string]any{
			"base": []string{r.Header.Get("Authorization"), string(body)},
		}})
	})
}

func everything(t *testing.T, c *kisi.Client) []error {
	t.Helper()
	start, end := morning()
	_, e1 := c.CreateSchedule(t.Context(), studio(start, end))
	_, e2 := c.CreateGroupLink(t.Context(), kisi.GroupLink{GroupID: groupA, Name: "Door"})
	_, e3 := c.Schedules(t.Context(), "Lock", lockA)
	_, e4 := c.GroupLinks(t.Context(), groupA, "ada@example.com")
	_, e5 := c.GroupLocks(t.Context(), groupA)
	_, e6 := c.Locks(t.Context())
	_, e7 := c.Groups(t.Context())
	_, e8 := c.CurrentLogin(t.Context())
	_, e9 := c.Rights(t.Context())
	all := []error{
		e1, e2, e3, e4, e5, e6, e7, e8, e9, c.Unlock(t.Context(), lockA),
		c.ChangeSchedule(t.Context(), 1, kisi.ScheduleChange{StartsAt: start, EndsAt: end}),
		c.DeleteSchedule(t.Context(), 1), c.DeleteGroupLink(t.Context(), 1),
	}
	for i, err := range all {
		if err == nil {
			t.Fatalf("request %d went well", i)
		}
	}
	return all
}

// The query of a list says whom a booking is for.
func TestQueryIsInNoError(t *testing.T) {
	c := client(t, closedPort(t), kisi.Options{})
	_, err := c.GroupLinks(t.Context(), groupA, "canary@example.com")
	if text := printed(err) + err.Error(); strings.Contains(text, "canary") {
		t.Errorf("the query is in\n%s", text)
	}
}

func TestSecretOfALinkIsDropped(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"id":7,"secret":"canary","quick_response_code_token":"canary","quick_response_code_image":"canary"}`))
	})
	made, err := c.CreateGroupLink(t.Context(), kisi.GroupLink{GroupID: groupA, Name: "Door"})
	if err != nil || made.ID != 7 || strings.Contains(printed(made), "canary") {
		t.Errorf("made %+v, %v", made, err)
	}
}

// A refused sign-in may say the password back.
func TestPasswordSaidBack(t *testing.T) {
	url := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"canary  password is wrong"}`))
	})
	c := client(t, url, kisi.Options{Email: "a@b.c", Password: "canary  password", Logins: &memory{}})
	_, err := c.CurrentLogin(t.Context())
	if e := failure(t, err); e.Reason != "[redacted] is wrong" {
		t.Errorf("got %+v", e)
	}
}
