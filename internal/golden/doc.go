// Package golden runs golden cases: events that stand in files beside the rules, with
// what has to come of them. The doorhook that runs them is the real one, on a clock of
// its own and with a pretend Kisi in this process; nothing in it reaches a network.
package golden
