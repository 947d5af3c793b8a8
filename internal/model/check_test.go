package model

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the tables of docs/model/README.md")

const twoQueries = `
query r: bitstring;
  (* property request: only what was
     sent *)
  event(Accepts(r)) ==> event(Sends(r));
  (* reach accepted *)
  event(Accepts(r)).
`

func TestCheckProVerif(t *testing.T) {
	const (
		holds   = "RESULT event(Accepts(r_1)) ==> event(Sends(r_1)) is true.\n"
		fails   = "RESULT event(Accepts(r_1)) ==> event(Sends(r_1)) is false.\n"
		unclear = "RESULT event(Accepts(r_1)) ==> event(Sends(r_1)) cannot be proved.\n"
		reached = "RESULT not event(Accepts(r_1)) is false.\n"
		never   = "RESULT not event(Accepts(r_1)) is true.\n"
	)
	queries, err := queriesOf(twoQueries)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, want, output string
		wrong              []string
	}{
		{"as expected", "", holds + reached, nil},
		{"attack", "", fails + reached, []string{"request is false, want true"}},
		{"attack, as expected", "request false", fails + reached, nil},
		{"no attack where one is expected", "request false", holds + reached, []string{"request is true, want false"}},
		{"undecided", "", unclear + reached, []string{"request is unproved, want true"}},
		{"undecided, as expected", "request unproved", unclear + reached, nil},
		{"never reached", "", holds + never, []string{"accepted is true, want false"}},
		{"a result missing", "", holds, []string{"1 results, want 2"}},
		{"a result too many", "", holds + reached + reached, []string{"3 results, want 2"}},
		{"none", "", "Error: Syntax error.\n", []string{"0 results, want 2"}},
		{"in another order", "", reached + holds, []string{
			"result 0 speaks of [Accepts], want request: [Accepts Sends]",
			"result 1 speaks of [Accepts Sends], want accepted: [Accepts]"}},
		{"exception to no property", "requests false", holds + reached, []string{`run as-built: "requests false" is no exception`}},
		{"an event in doubt, as expected", "accepted unproved", holds + "RESULT not event(Accepts(r_1)) cannot be proved.\n", nil},
		{"exception that is none", "request true", holds + reached, []string{`run as-built: "request true" is no exception`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := checkProVerif(run{name: "as-built", want: tc.want}, queries, tc.output)
			if d := cmp.Diff(got, tc.wrong); d != "" {
				t.Errorf("got -, want +:\n%s", d)
			}
		})
	}
}

func TestCheckSpin(t *testing.T) {
	const (
		holds = "State-vector 96 byte, depth reached 1028, errors: 0\n"
		fails = "pan:1: assertion violated  !(twice) (at depth 9)\nState-vector 96 byte, depth reached 10, errors: 1\n"
	)
	for _, tc := range []struct {
		name, want, output string
		wrong              []string
	}{
		{"holds", "holds", holds, nil},
		{"fails", "fails twice", fails, nil},
		{"fails where it should hold", "holds", fails, []string{"it fails twice, want holds"}},
		{"holds where it should fail", "fails twice", holds, []string{"it holds, want fails twice"}},
		{"fails in another way", "fails late", fails, []string{"it fails twice, want fails late"}},
		{"in part", "holds", "error: max search depth too small\n" + holds, []string{"it searched in part, want holds"}},
		{"stuck", "holds", "pan:1: invalid end state (at depth 3)\n, errors: 1\n", []string{"it nothing, want holds"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(checkSpin(run{want: tc.want}, tc.output), tc.wrong); d != "" {
				t.Errorf("got -, want +:\n%s", d)
			}
		})
	}
}

func TestQueriesNeedLabels(t *testing.T) {
	for _, tc := range []struct{ name, source string }{
		{"none", ""},
		{"one without", twoQueries + "query r: bitstring; event(Sends(r)).\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := queriesOf(tc.source); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// Each model has a run as it was built and runs with something taken away, and what they name exists.
func TestRuns(t *testing.T) {
	core, err := os.ReadFile(filepath.Join(dir, "core.pvl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models(t) {
		t.Run(m.file, func(t *testing.T) {
			if listed := strings.Count(m.source, "\n   run "); len(m.runs) != listed || listed < 2 {
				t.Errorf("%d runs are read, %d listed", len(m.runs), listed)
			}
			var names, flags []string
			for _, r := range m.runs {
				names = append(names, r.name)
				flags = append(flags, strings.Join(r.flags, " "))
				for _, f := range r.flags {
					name, _, _ := strings.Cut(strings.TrimPrefix(f, "-D"), "=")
					directives := directivesOf(m.source + string(core))
					if !strings.Contains(directives, name) {
						t.Errorf("run %s: nothing depends on %s", r.name, name)
					}
				}
				if _, err := r.verdicts(m.queries); m.queries != nil && err != nil {
					t.Error(err)
				}
			}
			for _, list := range [][]string{names, flags} {
				slices.Sort(list)
				if d := len(list) - len(slices.Compact(list)); d != 0 {
					t.Errorf("%d of these are there twice: %q", d, list)
				}
			}
			if flags[0] != "" {
				t.Error("no run is as built")
			}
		})
	}
}

// directivesOf returns the lines on which something depends.
func directivesOf(source string) string {
	var b strings.Builder
	for line := range strings.Lines(source) {
		if strings.HasPrefix(line, "#") || strings.Contains(line, "REACH") {
			b.WriteString(line)
		}
	}
	return b.String()
}

const (
	tablesBegin = "<!-- tables: go test ./internal/model -update -->\n"
	tablesEnd   = "<!-- end of tables -->\n"
)

// The page shows the verdicts that the models' comments state.
func TestReadme(t *testing.T) {
	path := filepath.Join(dir, "README.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(raw), tablesBegin)
	got, after, ok2 := strings.Cut(rest, tablesEnd)
	if !ok1 || !ok2 {
		t.Fatal("README.md has no place for the tables")
	}
	want := tables(models(t))
	if *update {
		if err := os.WriteFile(path, []byte(before+tablesBegin+want+tablesEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("README.md differs (-update writes it); got -, want +:\n%s", d)
	}
}

func tables(all []model) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "\n### %s\n", m.file)
		if m.queries != nil {
			b.WriteString("\n| property | holds as built | lost in the runs |\n| --- | --- | --- |\n")
		}
		for _, q := range m.queries {
			if !q.reach {
				fmt.Fprintf(&b, "| **%s**: %s | %s |\n", q.name, q.text, verdictCells(m, q))
			}
		}
		b.WriteString("\n| run | flags | verdict |\n| --- | --- | --- |\n")
		for _, r := range m.runs {
			want := r.want
			if want == "" {
				want = "all hold"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, strings.ReplaceAll(strings.Join(r.flags, " "), "-D", ""), want)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// verdictCells tells whether q holds in the runs without flags, and names the runs in which it doesn't.
func verdictCells(m model, q query) string {
	built, lost := "yes", []string{}
	for _, r := range m.runs {
		want, err := r.verdicts(m.queries)
		if err != nil || want[q.name] == "true" {
			continue
		}
		if lost = append(lost, r.name); len(r.flags) == 0 {
			built = "no"
		}
	}
	return built + " | " + strings.Join(lost, ", ")
}
