package app

import (
	"fmt"
	"strings"
	"testing"
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
