package embedded

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const childDir = "DOORHOOK_EMBEDDED_CHILD_DIR"

// child writes until it is killed, and says what it was told is safe.
func child(dir string) {
	r, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	first, _ := strconv.Atoi(os.Getenv("DOORHOOK_EMBEDDED_CHILD_FIRST"))
	var printing sync.Mutex
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			c, err := r.Dial()
			if err != nil {
				panic(err)
			}
			client := newClient(c)
			for n := first + worker; ; n += 4 {
				id := strconv.Itoa(n)
				err := r.Do(func() error {
					return failure(client.do(eval(
						[]string{"HSET", "job:" + id, "id", id, "payload", strings.Repeat(id, 200)},
						[]string{"ZADD", "due", id, id},
						[]string{"XADD", "events", "MAXLEN", "~", "100000", "*", "job", id},
						[]string{"SET", "seen:" + id, id, "PX", "86400000"},
					)...))
				})
				if err != nil {
					panic(err)
				}
				printing.Lock()
				fmt.Println(id)
				printing.Unlock()
			}
		})
	}
	all.Wait()
}

// TestKill kills a process in the middle of its writes, twenty times on one folder.
// All that it was told is safe is there, and of the rest all or nothing.
func TestKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, told, next := t.TempDir(), map[string]bool{}, 0
	for round := range 20 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprint("DOORHOOK_EMBEDDED_CHILD_FIRST=", next))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, until := bufio.NewScanner(out), 1+rand.IntN(100)
		for n := 0; lines.Scan(); n++ {
			id, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			told[lines.Text()], next = true, max(next, id+8)
			if n == until {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		checkChild(t, round, dir, told)
	}
	t.Logf("%d writes were told to be safe", len(told))
}

func checkChild(t *testing.T, round int, dir string, told map[string]bool) {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	c := connect(t, r)
	found := c.dump()
	c.Close()
	if err := r.Close(); err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	for id := range told {
		if found["job:"+id] == "" {
			t.Fatalf("round %d: %s is lost, with %d that were told to be safe", round, id, len(told))
		}
	}
	for key := range found {
		id, isJob := strings.CutPrefix(key, "job:")
		if isJob && (found["seen:"+id] == "" || !strings.Contains(found["due"], `"`+id+`"`) || !strings.Contains(found["events"], `"job", "`+id+`"`)) {
			t.Fatalf("round %d: %s is there by half", round, id)
		}
	}
}
