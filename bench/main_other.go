//go:build !linux

// Command bench measures doorhook on Linux: it reads what a process has used from /proc.
package main

import "fmt"

func main() { fmt.Println("bench: this runs on Linux alone") }
