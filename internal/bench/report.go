package bench

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Format names the shape of a Report in JSON. Members may be added to it; what one means never changes.
const Format = "holdfast-bench/1"

// GatewayGroup is the name of what [Load] measures, beside those of [Groups].
const GatewayGroup = "gateway"

// Report is what was measured on one machine. Durations are in nanoseconds.
type Report struct {
	Format  string        `json:"format"`
	Began   time.Time     `json:"began"`
	Short   bool          `json:"short"` // a quick look: fewer and shorter rounds
	Machine Machine       `json:"machine"`
	Clock   string        `json:"clock"` // that Groups were timed by: "processor", or "wall" where the system tells no other
	Groups  []GroupResult `json:"groups"`
	Gateway []LoadResult  `json:"gateway"`
}

// The clocks.
const (
	clockProcessor = "processor"
	clockWall      = "wall"
)

// GroupResult is the results of a Group.
type GroupResult struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	Results []Result `json:"results"`
}

// Machine is where figures come from.
type Machine struct {
	CPU   string `json:"cpu"`   // the model, or "" where the system doesn't tell
	Cores int    `json:"cores"` // that the program may use
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Go    string `json:"go"`
}

func thisMachine() Machine {
	return Machine{CPU: cpuModel(), Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version()}
}

// Plan says what to measure, and how long.
type Plan struct {
	// Only names groups. If empty, all.
	Only []string
	// Short is for a quick look, of less than half a minute.
	Short bool
	// Progress, if set, is told before each step of a group, and once at its end.
	Progress func(group string, done, total int)
}

// GroupNames returns what a Plan may name.
func GroupNames() []string {
	var names []string
	for _, g := range Groups() {
		names = append(names, g.Name)
	}
	return append(names, GatewayGroup)
}

// effort is how much is measured.
type effort struct {
	rounds     int
	length     time.Duration // of a round
	loadRounds int
	slice      time.Duration // of a load round, for each way
}

func (p *Plan) effort() effort {
	if p.Short {
		return effort{3, 30 * time.Millisecond, 4, 80 * time.Millisecond}
	}
	return effort{10, 200 * time.Millisecond, 20, 250 * time.Millisecond}
}

func (p *Plan) wants(group string) bool { return len(p.Only) == 0 || slices.Contains(p.Only, group) }

func (p *Plan) progress(group string, done, total int) {
	if p.Progress != nil {
		p.Progress(group, done, total)
	}
}

// connections are the numbers of connections that load is measured with.
var connections = [...]int{1, 16, 64}

// Run measures what the plan says, until ctx ends. A group that the plan names and that isn't there is an error.
func Run(ctx context.Context, p Plan) (*Report, error) {
	for _, name := range p.Only {
		if !slices.Contains(GroupNames(), name) {
			return nil, fmt.Errorf("bench: no group %q", name)
		}
	}
	r := &Report{
		Format: Format, Began: time.Now().UTC().Truncate(time.Second), Short: p.Short, Machine: thisMachine(), Clock: clock,
		Groups: []GroupResult{}, Gateway: []LoadResult{},
	}
	e := p.effort()
	for _, g := range Groups() {
		if !p.wants(g.Name) {
			continue
		}
		results, err := p.group(ctx, g, e)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", g.Name, err)
		}
		r.Groups = append(r.Groups, GroupResult{g.Name, g.About, results})
		runtime.GC() // of what the group held
	}
	if !p.wants(GatewayGroup) {
		return r, nil
	}
	for i, n := range connections {
		results, err := Load(ctx, n, e.loadRounds, e.slice, func(round int) {
			p.progress(GatewayGroup, i*e.loadRounds+round, len(connections)*e.loadRounds)
		})
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", GatewayGroup, err)
		}
		r.Gateway = append(r.Gateway, results...)
	}
	p.progress(GatewayGroup, 1, 1)
	return r, nil
}

func (p *Plan) group(ctx context.Context, g Group, e effort) ([]Result, error) {
	cases, err := g.Build()
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(cases))
	for i, c := range cases {
		p.progress(g.Name, i, len(cases))
		if results[i], err = Measure(ctx, c, e.rounds, e.length); err != nil {
			return nil, err
		}
	}
	p.progress(g.Name, len(cases), len(cases))
	return results, nil
}

// String is a machine's description in a sentence's place.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", cmp.Or(m.CPU, "unknown processor"), m.Cores, m.OS, m.Arch, m.Go)
}
