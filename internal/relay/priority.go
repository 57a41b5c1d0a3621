package relay

import "context"

// Priority says who goes first when more is to be asked of Kisi than it takes.
type Priority int

// The priorities, the lowest first.
const (
	Whenever Priority = iota // tidying up, keeping a key alive, what nobody needs for a while
	Granting                 // somebody may be standing in front of a door
	Revoking                 // a door may be open to somebody
)

type priorityKey struct{}

// WithPriority gives what is done under ctx the priority p.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

// PriorityOf is the priority of what is done under ctx.
func PriorityOf(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityKey{}).(Priority)
	return p
}
