package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// dieWithUs has the kernel kill a child when this process is gone, however it went.
// It leaves our process group, or Ctrl-C would end it in good order.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

func halt(pid int) error    { return syscall.Kill(pid, syscall.SIGSTOP) }
func proceed(pid int) error { return syscall.Kill(pid, syscall.SIGCONT) }

// size is how much memory a process has, in MB, and how many threads.
func size(pid int) (mb, threads int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			mb = n >> 10
		}
		if _, err := fmt.Sscanf(line, "Threads: %d", &n); err == nil {
			threads = n
		}
	}
	return mb, threads, nil
}
