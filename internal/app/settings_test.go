package app

import (
	"fmt"
	"strings"
	"testing"

	"doorhook/internal/relay"
)

// TestSendAllow reads the addresses that messages may be sent to.
func TestSendAllow(t *testing.T) {
	tests := []struct{ text, want, err string }{
		{"", "[]", ""},
		{"10.0.0.7", "[10.0.0.7/32]", ""},
		{" 10.0.0.7 , 192.168.0.0/16,, fd00::/8,::1", "[10.0.0.7/32 192.168.0.0/16 fd00::/8 ::1/128]", ""},
		{"::ffff:10.0.0.7", "[10.0.0.7/32]", ""},
		{"10.0.0.7, hooks.internal", "[]", `"hooks.internal"`},
		{"10.0.0.0/33", "[]", `"10.0.0.0/33"`},
	}
	for _, tt := range tests {
		allow, err := Settings{SendAllow: tt.text}.sendAllow()
		if fmt.Sprint(allow) != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v, %v", tt.text, allow, err)
		}
		s := Settings{SendAllow: tt.text}.withDefaults()
		if err := s.check(); (err != nil) != (tt.err != "") {
			t.Errorf("%q at the start: %v", tt.text, err)
		}
	}
}

// TestListeners shows which addresses need an admin token.
func TestListeners(t *testing.T) {
	tests := []struct{ listen, admin, token, err string }{
		{"", "", "", ""},
		{"", "127.0.0.1:6060", "", ""},
		{"", "[::1]:6060", "", ""},
		{"", "localhost:6060", "", ""},
		{"", ":6060", "secret", ""},
		{"0.0.0.0:80", "", "", "0.0.0.0:80 can be reached from outside"},
		{"", "0.0.0.0:6060", "", "0.0.0.0:6060 can be reached from outside: set DOORHOOK_ADMIN_TOKEN to a long random text, or listen on 127.0.0.1:6060"},
		{"", ":6060", " \n", ":6060 can be reached from outside"},
		{"", "10.0.0.7:6060", "", "10.0.0.7:6060 can be reached from outside"},
		{"", "6060", "secret", `listen on "6060": write host:port, for example 127.0.0.1:6060`},
	}
	for _, tt := range tests {
		s := Settings{Listen: tt.listen, AdminListen: tt.admin, AdminToken: relay.Secret(tt.token)}.withDefaults()
		if err := s.check(); (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
