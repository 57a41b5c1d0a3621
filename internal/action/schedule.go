package action

import (
	"context"
	"slices"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// schedule keeps one lock open for a window, or restricts a group to it.
type schedule struct{ kisi *kisi.Client }

type scheduleArgs struct {
	LockID      int64     `json:"lock_id"`
	GroupID     int64     `json:"group_id"` // with consequence "allow" alone; others are expanded to locks
	Name        string    `json:"name"`
	Consequence string    `json:"consequence"`
	Override    bool      `json:"override"`
	StartsAt    time.Time `json:"starts_at"`
	EndsAt      time.Time `json:"ends_at"`
}

// target is what the schedule is for, in Kisi's words.
func (s scheduleArgs) target() (kind string, id int64) {
	if s.GroupID != 0 {
		return "Group", s.GroupID
	}
	return "Lock", s.LockID
}

func (s schedule) create(ctx context.Context, a relay.Action) relay.Outcome {
	want, err := args[scheduleArgs](a)
	if err != nil {
		return rejected(err)
	}
	target, id := want.target()
	got, err := s.kisi.CreateSchedule(ctx, kisi.Schedule{
		Name: want.Name, Override: want.Override, Consequence: want.Consequence,
		ScheduleableType: target, ScheduleableID: id, StartsAt: want.StartsAt, EndsAt: want.EndsAt,
	})
	return made(got.ID, err)
}

func (s schedule) change(ctx context.Context, a relay.Action, object int64) relay.Outcome {
	want, err := args[scheduleArgs](a)
	if err != nil {
		return rejected(err)
	}
	return changed(s.kisi.ChangeSchedule(ctx, object, kisi.ScheduleChange{
		Name: want.Name, Override: want.Override, StartsAt: want.StartsAt, EndsAt: want.EndsAt,
	}))
}

func (s schedule) revoke(ctx context.Context, object int64) relay.Outcome {
	return revoked(s.kisi.DeleteSchedule(ctx, object))
}

func (s schedule) find(ctx context.Context, a relay.Action, since time.Time, known []int64) relay.Outcome {
	want, err := args[scheduleArgs](a)
	if err != nil {
		return rejected(err)
	}
	target, id := want.target()
	all, err := s.kisi.Schedules(ctx, target, id)
	out := insisting(repeatable(err))
	for _, got := range all {
		if got.Name == want.Name && got.Enabled && got.Override == want.Override && got.Consequence == want.Consequence &&
			got.StartsAt.Equal(want.StartsAt) && got.EndsAt.Equal(want.EndsAt) && !got.CreatedAt.Before(since) && !slices.Contains(known, got.ID) {
			out.Objects = append(out.Objects, got.ID)
		}
	}
	return out
}
