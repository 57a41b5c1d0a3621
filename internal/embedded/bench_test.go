package embedded

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkDo is about what one accepted event writes, with a folder and without,
// from one caller and from sixteen, and among how many keys.
func BenchmarkDo(b *testing.B) {
	for _, keys := range []int{100, 10_000} {
		for _, callers := range []int{1, 16} {
			for _, where := range []string{"memory", "folder"} {
				b.Run(fmt.Sprintf("keys=%d/callers=%d/%s", keys, callers, where), func(b *testing.B) {
					dir := ""
					if where == "folder" {
						dir = b.TempDir()
					}
					benchmark(b, dir, keys, callers)
				})
			}
		}
	}
}

func benchmark(b *testing.B, dir string, keys, callers int) {
	r, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	c := connect(b, r)
	for i := range keys {
		c.do("SET", "other:"+strconv.Itoa(i), "v", "PX", "86400000")
	}
	c.Close()
	b.SetParallelism((callers + 1) / 2) // times GOMAXPROCS, on two cores
	var n atomic.Int64
	payload := strings.Repeat("x", 2000)
	work := func(next func() bool) {
		c := connect(b, r)
		defer c.Close()
		for next() {
			id := strconv.FormatInt(n.Add(1)%1000, 10)
			if err := r.Do(func() error {
				return failure(c.do(eval(
					[]string{"TIME"},
					[]string{"HMGET", "job:" + id, "version", "have"},
					[]string{"GET", "seen:" + id},
					[]string{"HINCRBY", "job:" + id, "changes", "1"},
					[]string{"HSET", "job:" + id, "id", id, "want:open", payload},
					[]string{"HDEL", "job:" + id, "tombstone"},
					[]string{"PERSIST", "job:" + id},
					[]string{"ZADD", "due", "LT", id, id},
					[]string{"XADD", "events", "MAXLEN", "~", "1000", "*", "job", id, "payload", payload},
					[]string{"SET", "seen:" + id, id, "PX", "86400000"},
				)...))
			}); err != nil {
				b.Error(err)
				return
			}
		}
	}
	b.ResetTimer()
	if callers == 1 {
		i := 0
		work(func() bool { i++; return i <= b.N })
		return
	}
	b.RunParallel(func(pb *testing.PB) { work(pb.Next) })
}
