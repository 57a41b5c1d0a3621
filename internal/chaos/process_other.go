//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// Elsewhere the children outlive a SIGKILL of this process, and the scenario that
// stops Redis fails and says so.
func dieWithUs() *syscall.SysProcAttr { return nil }

var errLinux = errors.New("this needs Linux")

func halt(int) error                        { return errLinux }
func proceed(int) error                     { return errLinux }
func size(int) (mb, threads int, err error) { return 0, 0, errLinux }
