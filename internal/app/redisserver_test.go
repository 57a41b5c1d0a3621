package app

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// durable are the arguments of a server that keeps what it has answered.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// redisServer is a real server with a socket and a folder of its own.
type redisServer struct {
	url     string
	address string                 // host:port; "" if it has no port
	stop    func()                 // a kill -9
	start   func()                 // again, on what it left
	pause   func() (resume func()) // it hangs
}

// startRedis starts a server; args are for it. It listens on its socket alone if
// they name no port.
func startRedis(t testing.TB, bin string, args ...string) redisServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "doorhook") // t.TempDir makes paths that are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis.sock")
	s := redisServer{url: "unix://" + socket}
	port := []string{"--port", "0"}
	if i := slices.Index(args, "--port"); i >= 0 {
		port, s.address = nil, "127.0.0.1:"+args[i+1]
	}
	args = slices.Concat(args, port, []string{
		"--bind", "127.0.0.1", "--unixsocket", socket, "--dir", dir, "--save", "", "--logfile", filepath.Join(dir, "log"),
	})
	var cmd *exec.Cmd
	s.stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() } // it may have ended already
	s.start = func() {
		t.Helper()
		cmd = exec.Command(bin, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.stop)
		waitFor(t, "redis-server", func() bool {
			c, err := net.Dial("unix", socket)
			return err == nil && c.Close() == nil && s.info(t, "loading") != "1"
		})
	}
	s.pause = func() func() {
		signal := func(sig os.Signal) {
			if err := cmd.Process.Signal(sig); err != nil {
				t.Error(err)
			}
		}
		signal(syscall.SIGSTOP)
		return sync.OnceFunc(func() { signal(syscall.SIGCONT) })
	}
	s.start()
	return s
}

// info is one field of INFO; "" if it is not there.
func (s redisServer) info(t testing.TB, field string) string {
	t.Helper()
	for line := range strings.Lines(s.ask(t, "INFO")) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == field {
			return value
		}
	}
	return ""
}

// names are all keys that match a pattern.
func (s redisServer) names(t testing.TB, pattern string) []string {
	t.Helper()
	return strings.Fields(s.ask(t, "EVAL", `return table.concat(redis.call("KEYS", ARGV[1]), " ")`, "0", pattern))
}

// busy counts the jobs that are in hand, or changed since a worker let them go.
func (s redisServer) busy(t testing.TB) int {
	t.Helper()
	return s.number(t, "EVAL", `
local n = 0
for _, key in ipairs(redis.call("KEYS", "{doorhook}:job:*")) do
  local job = redis.call("HMGET", key, "token", "behind")
  if (job[1] or "") ~= "" or (job[2] or "") ~= "" then n = n + 1 end
end
return n`, "0")
}

// whole checks that no event is half in Redis: what was seen has a job, what has a
// job was seen, and what is due has a job.
func (s redisServer) whole(t testing.TB) {
	t.Helper()
	halves := s.ask(t, "EVAL", `
local halves = {}
local function need(key, of)
  if redis.call("EXISTS", key) == 0 then halves[#halves + 1] = of .. " without " .. key end
end
for _, key in ipairs(redis.call("KEYS", "{doorhook}:seen:*")) do need("{doorhook}:job:" .. redis.call("GET", key), key) end
for _, key in ipairs(redis.call("KEYS", "{doorhook}:job:*")) do need("{doorhook}:seen:t:" .. string.match(redis.call("HGET", key, "head"), "^%S* %S* %S* %S* %S* %S* (.*)$"), key) end
for _, name in ipairs(redis.call("ZRANGEBYSCORE", "{doorhook}:due", "-inf", "(inf")) do need("{doorhook}:job:" .. name, "due") end
return table.concat(halves, "\n")`, "0")
	if halves != "" {
		t.Errorf("half in Redis are:\n%s", halves)
	}
}

// catchUp waits until the replica s has all that master has. Redis replicates after
// it has answered, so what it answered last may be lost with it.
func (s redisServer) catchUp(t testing.TB, master redisServer) {
	t.Helper()
	waitFor(t, "the replica to catch up", func() bool {
		return s.info(t, "slave_repl_offset") == master.info(t, "master_repl_offset")
	})
}

// startSentinel watches a master with one replica, which it promotes when the
// master is gone. It needs nobody's vote.
func startSentinel(t *testing.T, master redisServer) (url string) {
	t.Helper()
	conf, port := filepath.Join(t.TempDir(), "sentinel.conf"), freePort(t)
	text := "sentinel monitor doors " + strings.ReplaceAll(master.address, ":", " ") + " 1\n" +
		"sentinel down-after-milliseconds doors 500\nsentinel failover-timeout doors 3000\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := realRedis(t, conf, "--sentinel", "--port", port)
	waitFor(t, "the sentinel to see the replica", func() bool {
		return strings.Contains(s.info(t, "master0"), "status=ok,address="+master.address+",slaves=1")
	})
	return "redis-sentinel://" + s.address + "?master_name=doors"
}

const slotsOfNode = 1<<14/3 + 1

// startCluster starts three nodes that share the slots.
func startCluster(t *testing.T) []redisServer {
	t.Helper()
	var nodes []redisServer
	for i := range 3 {
		n := startNode(t)
		n.ask(t, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slotsOfNode), strconv.Itoa(min((i+1)*slotsOfNode, 1<<14)-1))
		n.ask(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		nodes = append(nodes, n)
	}
	nodes[1].meet(t, nodes[0])
	nodes[2].meet(t, nodes[0])
	for _, n := range nodes {
		waitFor(t, "the cluster", func() bool {
			info := n.ask(t, "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return nodes
}

func startNode(t *testing.T) redisServer {
	t.Helper()
	return realRedis(t, slices.Concat(durable, []string{
		"--port", freePort(t), "--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--repl-diskless-sync-delay", "0",
	})...)
}

func (s redisServer) meet(t testing.TB, other redisServer) {
	t.Helper()
	host, port, _ := strings.Cut(other.address, ":")
	s.ask(t, "CLUSTER", "MEET", host, port)
}

// follow makes s a replica of master, and known to nodes as one.
func (s redisServer) follow(t testing.TB, master redisServer, nodes []redisServer) {
	t.Helper()
	knows := func(n redisServer, what string) func() bool {
		return func() bool { return strings.Contains(n.ask(t, "CLUSTER", "NODES"), what) }
	}
	id := master.ask(t, "CLUSTER", "MYID")
	s.meet(t, master)
	waitFor(t, "the replica to know its master", knows(s, id))
	s.ask(t, "CLUSTER", "REPLICATE", id)
	waitFor(t, "the replica", func() bool { return s.info(t, "master_link_status") == "up" })
	for _, n := range nodes {
		waitFor(t, "all to know the replica", knows(n, "slave "+id))
	}
}

// homeOf is which of three nodes has all keys of a prefix.
func homeOf(t testing.TB, nodes []redisServer, prefix string) int {
	t.Helper()
	return nodes[0].number(t, "CLUSTER", "KEYSLOT", "{"+prefix+"}") / slotsOfNode
}

func clusterURL(nodes []redisServer) string {
	var addresses []string
	for _, n := range nodes {
		addresses = append(addresses, n.address)
	}
	return "redis-cluster://" + strings.Join(addresses, ",")
}

// freePort finds a port for a server and, 10,000 above it, for its cluster bus. Both
// are below those that the system hands out, so that nobody gets them while the
// server is away.
func freePort(t testing.TB) string {
	t.Helper()
	free := func(port int) bool {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		return err == nil && l.Close() == nil
	}
	for range 100 {
		if port := 20000 + rand.IntN(2768); free(port) && free(port+10000) {
			return strconv.Itoa(port)
		}
	}
	t.Fatal("no free port")
	return ""
}
