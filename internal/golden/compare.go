package golden

import (
	"slices"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// Difference is a part of a case that came out otherwise than it was wanted.
type Difference struct {
	Part  string
	Line  int // where it is wanted
	Lines []Line
}

// Line is a line of the YAML of what was wanted or of what came of it.
type Line struct {
	Sign string // "-" was wanted, "+" came, " " is both
	Text string
}

// compare gives what differs of the parts that are wanted.
func (c *Case) compare(out outcome) []Difference {
	var all []Difference
	if c.want == nil {
		return nil
	}
	for _, p := range c.want.parts {
		got := p.named(out)
		if lines := diff(lines(p.like(got, out.zone)), lines(got)); slices.ContainsFunc(lines, Line.differs) {
			all = append(all, Difference{p.name, p.entry.Key.Line, lines})
		}
	}
	return all
}

func (l Line) differs() bool { return l.Sign != " " }

// named is the part of out that p wants, of an answer no more fields than it wants.
func (p part) named(out outcome) part {
	i := slices.IndexFunc(out.parts, func(o part) bool { return o.name == p.name })
	got := part{name: p.name, value: plain(out.parts[i].value, out.zone)}
	if p.name != "answer" {
		return got
	}
	whole, _ := got.value.(fields)
	wanted, _ := p.value.(fields)
	some := fields{}
	for _, f := range wanted {
		v, _ := whole.get(f.name) // nil if the answer has no such field
		some = append(some, field{f.name, v})
	}
	got.value = some
	return got
}

// like is p as got would be written: what has no order, in its order, and without what
// is so by default.
func (p part) like(got part, zone *time.Location) part {
	v := plain(p.value, zone)
	if list, ok := v.([]any); ok {
		for i := range list {
			list[i] = withoutDefaults(list[i])
		}
	}
	return part{name: p.name, value: like(v, got.value)}
}

// withoutDefaults takes out of the fields of an action what is so in any case.
func withoutDefaults(v any) any {
	one, _ := v.(fields)
	for i, f := range one {
		if args, ok := f.value.(fields); ok {
			kind, _, _ := strings.Cut(f.name, " ") // of what stands in Kisi, its id follows
			one[i].value = slices.DeleteFunc(args, func(arg field) bool { return isDefault(relay.Kind(kind), arg) })
		}
	}
	return v
}

func lines(p part) []string { return write("", field{p.name, p.value}) }

// diff tells the lines that two texts have in common from those that one of them has:
// as many as can be are common.
func diff(want, got []string) []Line {
	common := make([][]int, len(want)+1) // the most that want[i:] and got[j:] have in common
	for i := range common {
		common[i] = make([]int, len(got)+1)
	}
	for i, w := range slices.Backward(want) {
		for j, g := range slices.Backward(got) {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); w == g {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []Line
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		switch {
		case i < len(want) && j < len(got) && want[i] == got[j]:
			out = append(out, Line{" ", want[i]})
			i, j = i+1, j+1
		case j == len(got) || i < len(want) && common[i+1][j] >= common[i][j+1]:
			out = append(out, Line{"-", want[i]})
			i++
		default:
			out = append(out, Line{"+", got[j]})
			j++
		}
	}
	return out
}
