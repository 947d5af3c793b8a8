package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata")

// sample has every kind of line.
func sample() *Report {
	return &Report{
		Format: Format, Began: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Short: true, Clock: clockProcessor,
		Machine: Machine{CPU: "Example 3000", Cores: 2, OS: "linux", Arch: "amd64", Go: "go1.26"},
		Groups: []GroupResult{{Name: "verify", About: "what is verified", Results: []Result{
			{Name: "P-256 verify", Work: 45_100 * time.Nanosecond, Allocs: 10.2},
			{Name: "DPoP verify", Bare: "P-256 verify", Work: 47_900 * time.Nanosecond, Base: 45_100 * time.Nanosecond, Ratio: 1.062, Allocs: 18},
			{Name: "stream verify", Bare: "HMAC-SHA-256", Work: 3_330 * time.Microsecond, Base: 3_110 * time.Microsecond, Ratio: 1.07, Allocs: 15, Bytes: 4 << 20},
		}}},
		Gateway: []LoadResult{{
			Way: wayProxy, Connections: 16, PerSecond: 9559.4, P50: 72_400 * time.Nanosecond, P90: 154 * time.Microsecond, P99: 1_281 * time.Microsecond,
			Processor: 104 * time.Microsecond, Ratio: 1, P50Ratio: 1, ProcessorRatio: 1,
		}},
	}
}

// TestGolden holds the shape of what people and programs read.
func TestGolden(t *testing.T) {
	js, err := json.MarshalIndent(sample(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var text, wall bytes.Buffer
	if err := sample().WriteText(&text); err != nil {
		t.Fatal(err)
	}
	onWall := sample()
	onWall.Clock, onWall.Short = clockWall, false
	if err := onWall.WriteText(&wall); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"report.json": append(js, '\n'), "report.txt": text.Bytes(), "report-wall.txt": wall.Bytes()} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got), string(want)); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

func TestSignificant(t *testing.T) {
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0 ns"}, {999, "999 ns"}, {1_000, "1.00 µs"}, {9_996, "10.0 µs"}, {99_960, "100 µs"}, {999_000, "999 µs"},
		{1_234_567, "1.23 ms"}, {1_500_000_000, "1.50 s"},
	} {
		if got := significant(tc.d); got != tc.want {
			t.Errorf("%d ns: got %q, want %q", tc.d.Nanoseconds(), got, tc.want)
		}
	}
}

func TestRun(t *testing.T) {
	var steps []string
	r, err := Run(t.Context(), Plan{Only: []string{"session"}, Short: true, Progress: func(group string, done, total int) {
		steps = append(steps, group)
		if done > total {
			t.Errorf("%d steps of %d", done, total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Groups) != 1 || r.Groups[0].Name != "session" || len(r.Gateway) != 0 || len(steps) != len(r.Groups[0].Results)+1 {
		t.Errorf("got %+v after the steps %q", r, steps)
	}
	for _, c := range r.Groups[0].Results {
		if c.Work <= 0 || c.Base <= 0 || c.Ratio <= 0 || c.Allocs <= 0 {
			t.Errorf("got %+v", c)
		}
	}
}

func TestRunRefusesUnknownGroup(t *testing.T) {
	if _, err := Run(t.Context(), Plan{Only: []string{"session", "sessions"}}); err == nil {
		t.Error("accepted")
	}
}

func TestRunEnds(t *testing.T) {
	ended := errors.New("ended")
	for _, group := range []string{"session", GatewayGroup} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(ended)
		if _, err := Run(ctx, Plan{Only: []string{group}, Short: true}); !errors.Is(err, ended) {
			t.Errorf("%s: got %v, want why the context ended", group, err)
		}
	}
}
