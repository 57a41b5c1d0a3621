package app

import (
	"net/http"
	"regexp"
	"testing"
)

// TestAdminListener: profiles are there while doorhook runs, and gone with it.
func TestAdminListener(t *testing.T) {
	h := startHouse(t, "", func(s *Settings, _ *fakeOptions) { s.AdminListen = "127.0.0.1:0" })
	url := regexp.MustCompile(`"msg":"profiles","url":"([^"]+)"`).FindStringSubmatch(h.log.String())
	if url == nil {
		t.Fatalf("nothing says where they are: %s", h.log)
	}
	resp, err := http.Get(url[1] + "goroutine")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("they answer %s", resp.Status)
	}
	h.stop()
	if resp, err := http.Get(url[1]); err == nil {
		resp.Body.Close()
		t.Error("they are served after the end")
	}
}
