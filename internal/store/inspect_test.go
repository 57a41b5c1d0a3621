package store

import (
	"strings"
	"testing"

	"doorhook/internal/relay"
)

func TestJudgeServer(t *testing.T) {
	const good = "# Persistence\r\naof_enabled:1\r\naof_last_write_status:ok\r\n# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nused_memory:1\r\n"
	change := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(good) }
	for name, tt := range map[string]struct {
		info string
		sick map[string]relay.Health // all others are healthy
	}{
		"as it should be":           {good, nil},
		"snapshots alone":           {change("aof_enabled:1", "aof_enabled:0"), map[string]relay.Health{"persistence": relay.Doubt}},
		"a full disk":               {change("status:ok", "status:err"), map[string]relay.Health{"persistence": relay.Sick}},
		"a provider that hides it":  {change("aof_enabled:1\r\n", ""), map[string]relay.Health{"persistence": relay.Doubt}},
		"evicts, and may be full":   {change("noeviction", "allkeys-lru", "maxmemory:0", "maxmemory:1000"), map[string]relay.Health{"eviction": relay.Sick}},
		"evicts, and is never full": {change("noeviction", "volatile-ttl"), map[string]relay.Health{"eviction": relay.Doubt}},
		"nearly full":               {change("maxmemory:0", "maxmemory:1000", "used_memory:1", "used_memory:900"), map[string]relay.Health{"room": relay.Doubt}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range judgeServer(readInfo(tt.info)) {
				want := tt.sick[c.Name]
				delete(tt.sick, c.Name)
				if want == "" {
					want = relay.Healthy
				}
				if c.Health != want || c.Says == "" || (c.Advice != "") != (c.Health != relay.Healthy) {
					t.Errorf("%+v, want %s", c, want)
				}
			}
			if len(tt.sick) > 0 {
				t.Errorf("not found: %v", tt.sick)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.ownClock(t)
		found := map[string]relay.Health{}
		for _, c := range s.Inspect(ctx) {
			found[c.Name] = c.Health
		}
		if found["Redis"] != relay.Healthy || found["clock"] != relay.Healthy || found["persistence"] == "" {
			t.Errorf("%v", found)
		}
	})
	t.Run("embedded", func(t *testing.T) {
		s := open(t, Options{})
		checks := s.Inspect(ctx)
		last := checks[len(checks)-1]
		if last.Name != "persistence" || last.Health != relay.Doubt || !strings.Contains(last.Advice, "DOORHOOK_DATA") {
			t.Errorf("%+v", last)
		}
	})
	t.Run("gone", func(t *testing.T) {
		server := ownServer(t)
		s := open(t, Options{URL: server.url()})
		server.kill()
		if got := s.Inspect(ctx); len(got) != 1 || got[0].Health != relay.Sick || got[0].Advice == "" {
			t.Errorf("%+v", got)
		}
	})
}
