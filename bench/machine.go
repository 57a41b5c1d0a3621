//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is what was measured on, and what.
type machine struct {
	CPU      string  `json:"cpu"`
	Cores    int     `json:"cores"`
	Kernel   string  `json:"kernel"`
	Go       string  `json:"go"`
	Redis    string  `json:"redis"`
	Doorhook string  `json:"doorhook"`
	Load     float64 `json:"load"` // average of the last minute, at the start
}

// busyMachine is from which load on numbers say more about others than about doorhook.
const busyMachine = 0.5

func (b *bench) describe(ctx context.Context) machine {
	load, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	m := machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), Kernel: firstLine("/proc/sys/kernel/osrelease"), Go: runtime.Version(),
		Redis: said(ctx, "redis-server", "--version"), Doorhook: said(ctx, "git", "describe", "--tags", "--always", "--dirty"),
	}
	m.Load, _ = strconv.ParseFloat(load, 64)
	if b.options.doorhook != "" {
		m.Doorhook = said(ctx, b.options.doorhook, "version")
	}
	if _, version, ok := strings.Cut(m.Redis, "v="); ok {
		m.Redis, _, _ = strings.Cut(version, " ")
	}
	return m
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func firstLine(file string) string {
	text, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// said is what a program says in its first line; "unknown" if it says nothing.
func said(ctx context.Context, command ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
	line, _, _ := strings.Cut(string(text), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}
