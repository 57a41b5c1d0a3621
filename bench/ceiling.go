//go:build linux

package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/redis/go-redis/v9"
)

// ceiling serves what any relay on Fiber and Redis could do at best: with an address of
// Redis, an answer after one SET NX EX; without, an answer after nothing. It ends with ctx.
func ceiling(ctx context.Context, listen, redisURL string) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	context.AfterFunc(ctx, func() { _ = app.ShutdownWithTimeout(time.Second) })
	answer := func(c *fiber.Ctx, status string) error {
		return c.JSON(map[string]string{"status": status})
	}
	if redisURL == "" {
		app.Post("/", func(c *fiber.Ctx) error { return answer(c, "accepted") })
		return app.Listen(listen)
	}
	o, err := redis.ParseURL(redisURL)
	if err != nil {
		return err
	}
	rdb := redis.NewClient(o)
	defer rdb.Close()
	app.Post("/", func(c *fiber.Ctx) error {
		var e struct {
			UUID string `json:"uuid"`
		}
		if err := json.Unmarshal(c.Body(), &e); err != nil {
			return fiber.ErrBadRequest
		}
		fresh, err := rdb.SetNX(c.UserContext(), "seen:"+e.UUID, "1", 7*24*time.Hour).Result()
		if err != nil {
			return fiber.ErrServiceUnavailable
		}
		if !fresh {
			return answer(c, "duplicate")
		}
		return answer(c, "accepted")
	})
	return app.Listen(listen)
}
