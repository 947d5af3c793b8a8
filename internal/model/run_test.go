//go:build model

package model

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// limit is for one run, on a slow machine.
const limit = 30 * time.Minute

// TestModels runs every run of every model. PROVERIF names the program, else it is looked for in PATH.
func TestModels(t *testing.T) {
	for _, m := range models(t) {
		for _, r := range m.runs {
			t.Run(m.file+"/"+r.name, func(t *testing.T) {
				t.Parallel()
				var wrong []string
				if m.queries != nil {
					wrong = runProVerif(t, m, r)
				} else {
					wrong = checkSpin(r, runSpin(t, m, r))
				}
				for _, w := range wrong {
					t.Error(w)
				}
			})
		}
	}
}

func runProVerif(t *testing.T, m model, r run) []string {
	program := os.Getenv("PROVERIF")
	if program == "" {
		program = "proverif"
	}
	args := slices.Concat([]string{"-P", "-w", "-undef", "-nostdinc"}, r.flags, []string{filepath.Join(dir, m.file)})
	source := output(t, "", true, "cpp", args...)
	queries, err := queriesOf(source) // those of this run
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), m.file)
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	return checkProVerif(r.of(queries), queries, output(t, "", true, program, file))
}

// of leaves out of what is expected the queries that this run doesn't have.
func (r run) of(queries []query) run {
	var kept []string
	for exception := range strings.SplitSeq(r.want, ", ") {
		name, _, _ := strings.Cut(exception, " ")
		if slices.ContainsFunc(queries, func(q query) bool { return q.name == name }) {
			kept = append(kept, exception)
		}
	}
	r.want = strings.Join(kept, ", ")
	return r
}

func runSpin(t *testing.T, m model, r run) string {
	source, err := filepath.Abs(filepath.Join(dir, m.file))
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	output(t, work, true, "spin", slices.Concat([]string{"-a"}, r.flags, []string{source})...)
	output(t, work, true, "gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=8000", "-o", "pan", "pan.c")
	return output(t, work, false, "./pan", "-m2000000")
}

// output runs a program and returns what it printed. Only a search that found something may fail.
func output(t *testing.T, work string, must bool, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = work
	out, err := cmd.CombinedOutput()
	if err != nil && (must || ctx.Err() != nil) {
		t.Fatalf("%s: %v\n%s", program, err, out[max(0, len(out)-2000):])
	}
	return string(out)
}
