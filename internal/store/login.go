package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// The lock outlives the sign-in it guards, so that a slow one is cut short before
// another process starts its own.
const (
	loginLock   = 30 * time.Second
	signInLimit = 25 * time.Second
	loginPoll   = 50 * time.Millisecond
)

// loginScript gives the kept login, or the right to make one.
//
//	KEYS   1 login   2 lock
//	ARGV   1 now   2 stale login   3 token   4 lock ms
//	gives  now, "kept" and the login, or "yours", or "wait"
var loginScript = newScript(luaTime + `
local kept = redis.call("GET", KEYS[1])
if kept and kept ~= ARGV[2] then return {text(us), "kept", kept} end
if redis.call("SET", KEYS[2], ARGV[3], "NX", "PX", ARGV[4]) then return {text(us), "yours"} end
return {text(us), "wait"}`)

// loggedInScript keeps a login and gives the lock back, if it is still ours.
// Otherwise the login of whoever has it now counts.
//
//	KEYS   1 login   2 lock
//	ARGV   1 now   2 token   3 login ("" if there is none)
//	gives  now
var loggedInScript = newScript(luaTime + `
if redis.call("GET", KEYS[2]) == ARGV[2] then
  if ARGV[3] ~= "" then redis.call("SET", KEYS[1], ARGV[3]) end
  redis.call("DEL", KEYS[2])
end
return {text(us)}`)

// Login gives the login that is kept for account, unless it is stale, the one that
// the caller found no longer to work ("" for none). Then exactly one caller of all
// processes signs in while the others wait, and all get what it got.
func (s *Store) Login(ctx context.Context, account, stale string, signIn func(context.Context) (string, error)) (string, error) {
	keys, token := []string{s.keys.login(account), s.keys.loginLock(account)}, rand.Text()
	for {
		reply, err := s.run(ctx, "look up login", loginScript, keys, stale, token, loginLock.Milliseconds())
		if err != nil {
			return "", err
		}
		switch str(reply, 1) {
		case "kept":
			return str(reply, 2), nil
		case "yours":
			return s.signIn(ctx, keys, token, signIn)
		}
		if err := wait(ctx, loginPoll); err != nil {
			return "", fmt.Errorf("store: wait for another's login: %w", err)
		}
	}
}

// signIn saves the outcome even when ctx has ended: the sign-in has happened, and
// the others wait for the lock.
func (s *Store) signIn(ctx context.Context, keys []string, token string, signIn func(context.Context) (string, error)) (string, error) {
	limited, cancel := context.WithTimeout(ctx, signInLimit)
	login, err := signIn(limited)
	cancel()
	if err == nil && login == "" {
		err = errors.New("store: the sign-in gave nothing")
	}
	if err != nil {
		login = ""
	}
	_, saveErr := s.run(context.WithoutCancel(ctx), "keep login", loggedInScript, keys, token, login)
	if err != nil {
		return "", err // a lock that could not be given back ends by itself
	}
	return login, saveErr
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
