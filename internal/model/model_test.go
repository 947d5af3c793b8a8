// Package model checks the formal models in docs/model: each run of each model has the verdicts that the model's comments
// state. The tests here are of the checking itself and of the page that shows the verdicts; with the build tag `model`,
// ProVerif and spin are run.
package model

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dir = "../../docs/model"

// run is one way to run a model: as it is, or with protections taken away.
type run struct {
	name  string
	flags []string
	want  string // what is expected beyond the rule, as the comment says it
}

// query is one of a ProVerif model.
type query struct {
	name, text string
	reach      bool     // an event that must be reached; else a property that must hold
	facts      []string // what it speaks of, in order: by this its result is known
}

var (
	runLine  = regexp.MustCompile(`(?m)^ +run ([\w-]+) *((?:-D[\w=]+ *)*)(?:: (.*?))?(?: \*[)/])?$`)
	labelled = regexp.MustCompile(`\(\* (property|reach) ([\w-]+)(?:: ([^*]*))? \*\)([^;.]*)[;.]`)
	asking   = regexp.MustCompile(`(?m)^query [^.]*\.`)
	fact     = regexp.MustCompile(`event\((\w+)|(attacker)`)
	result   = regexp.MustCompile(`(?m)^RESULT (.*) (is true|is false|cannot be proved)\.$`)
	asserted = regexp.MustCompile(`assertion violated\s+!\((\w+)\)`)
	searched = regexp.MustCompile(`(?m), errors: (\d+)$`)
)

// runsOf reads the runs that the comments of a model list.
func runsOf(source string) []run {
	var runs []run
	for _, m := range runLine.FindAllStringSubmatch(source, -1) {
		runs = append(runs, run{name: m[1], flags: strings.Fields(m[2]), want: m[3]})
	}
	return runs
}

// queriesOf reads the queries of a ProVerif model. Each must have its label.
func queriesOf(source string) ([]query, error) {
	var queries []query
	for _, m := range labelled.FindAllStringSubmatch(source, -1) {
		queries = append(queries, query{name: m[2], text: strings.Join(strings.Fields(m[3]), " "), reach: m[1] == "reach", facts: factsOf(m[4])})
	}
	n := 0
	for _, declaration := range asking.FindAllString(source, -1) {
		n += strings.Count(declaration, ";") // behind the variables, and between the queries
	}
	if n != len(queries) || n == 0 {
		return nil, fmt.Errorf("%d queries, %d of them labelled", n, len(queries))
	}
	return queries, nil
}

func factsOf(text string) []string {
	var facts []string
	for _, m := range fact.FindAllStringSubmatch(text, -1) {
		facts = append(facts, m[1]+m[2])
	}
	return facts
}

// verdicts returns what a run must find: query → "true", "false" or "unproved". Without a word about it, a property holds
// and an event is reached, which ProVerif shows by finding its negation false.
func (r run) verdicts(queries []query) (map[string]string, error) {
	want := map[string]string{}
	for _, q := range queries {
		want[q.name] = "true"
		if q.reach {
			want[q.name] = "false"
		}
	}
	if r.want == "" {
		return want, nil
	}
	for exception := range strings.SplitSeq(r.want, ", ") {
		name, verdict, _ := strings.Cut(exception, " ")
		if want[name] == "" || verdict != "unproved" && (verdict != "false" || want[name] == "false") {
			return nil, fmt.Errorf("run %s: %q is no exception", r.name, exception)
		}
		want[name] = verdict
	}
	return want, nil
}

// checkProVerif compares what ProVerif printed with what is expected, and returns each difference.
func checkProVerif(r run, queries []query, output string) []string {
	want, err := r.verdicts(queries)
	if err != nil {
		return []string{err.Error()}
	}
	results := result.FindAllStringSubmatch(output, -1)
	if len(results) != len(queries) {
		return []string{fmt.Sprintf("%d results, want %d", len(results), len(queries))}
	}
	words := map[string]string{"is true": "true", "is false": "false", "cannot be proved": "unproved"}
	var wrong []string
	for i, q := range queries {
		if got := factsOf(results[i][1]); !slices.Equal(got, q.facts) {
			wrong = append(wrong, fmt.Sprintf("result %d speaks of %v, want %s: %v", i, got, q.name, q.facts))
		} else if got := words[results[i][2]]; got != want[q.name] {
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", q.name, got, want[q.name]))
		}
	}
	return wrong
}

// checkSpin does the same for a search by spin's verifier: "holds", or "fails" and the assertion.
func checkSpin(r run, output string) []string {
	got := "nothing"
	if m := searched.FindStringSubmatch(output); m != nil && m[1] == "0" {
		got = "holds"
	} else if m := asserted.FindStringSubmatch(output); m != nil {
		got = "fails " + m[1]
	}
	if strings.Contains(output, "max search depth too small") || strings.Contains(output, "out of memory") {
		got = "searched in part"
	}
	if got != r.want {
		return []string{fmt.Sprintf("it %s, want %s", got, r.want)}
	}
	return nil
}

// model is one file of docs/model.
type model struct {
	file, source string
	runs         []run
	queries      []query // of ProVerif
}

func models(t *testing.T) []model {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.p[vm]*"))
	if err != nil {
		t.Fatal(err)
	}
	var found []model
	for _, path := range files {
		if filepath.Ext(path) == ".pvl" {
			continue // included by the others
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := model{file: filepath.Base(path), source: string(raw), runs: runsOf(string(raw))}
		if filepath.Ext(path) == ".pv" {
			if m.queries, err = queriesOf(m.source); err != nil {
				t.Fatalf("%s: %v", m.file, err)
			}
		}
		found = append(found, m)
	}
	if len(found) == 0 {
		t.Fatal("no model was found")
	}
	return found
}
