//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// longestProfile is what doorhook takes at most.
const longestProfile = time.Minute

// profilable are the rows that -profile can be of: those with a doorhook under load.
func profilable() (names []string) {
	for _, w := range workloads() {
		if w.trigger != nil {
			names = append(names, w.name)
		}
	}
	return names
}

// profiling begins to take the profiles, if they are asked for; what it returns waits
// until they are written.
func (b *bench) profiling(ctx context.Context, s *subject) (wait func() error) {
	if s.admin == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- b.profiles(ctx, s) }()
	return func() error { return <-done }
}

// profiles takes two profiles of a doorhook and writes them: of the CPU for as long as a
// row is measured, and then of what was allocated since the start.
func (b *bench) profiles(ctx context.Context, s *subject) error {
	// doorhook takes whole seconds.
	seconds := int(math.Ceil(min(b.duration, longestProfile).Seconds()))
	if err := s.writeProfile(ctx, fmt.Sprintf("profile?seconds=%d", seconds), b.profile); err != nil {
		return err
	}
	allocs := allocsName(b.profile)
	if err := s.writeProfile(ctx, "allocs", allocs); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "wrote %s (CPU, %d s) and %s\n", b.profile, seconds, allocs)
	return nil
}

// allocsName is the name of the second profile, by that of the first.
func allocsName(name string) string {
	ext := filepath.Ext(name)
	return strings.TrimSuffix(name, ext) + ".allocs" + ext
}

// writeProfile asks doorhook for a profile and writes it to a file.
func (s *subject) writeProfile(ctx context.Context, what, file string) error {
	ctx, cancel := context.WithTimeout(ctx, longestProfile+startLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/debug/pprof/"+what, http.NoBody)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask doorhook for its profile: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("ask doorhook for its profile: %w", err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("ask doorhook for its profile: %d: %.200s", resp.StatusCode, text)
	}
	return os.WriteFile(file, text, 0o600)
}
