package explain

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClimb(t *testing.T) {
	steps := []step{{"a", "1", []string{"a"}}, {"b", "2", []string{"b", "b2"}}, {"c", "3", []string{"c"}}}
	for _, tc := range []struct {
		name  string
		fails []string // what the verifier refuses for, until it is relaxed
		stuck string   // the reason that nothing gets past
		want  []Outcome
	}{
		{"all hold", nil, "", []Outcome{Pass, Pass, Pass}},
		{"first fails", []string{"a"}, "", []Outcome{Fail, Pass, Pass}},
		{"two fail", []string{"a", "c"}, "", []Outcome{Fail, Pass, Fail}},
		{"one fails twice", []string{"b", "b2"}, "", []Outcome{Pass, Fail, Fail, Pass}},
		{"no way past", []string{"b", "c"}, "b", []Outcome{Pass, Fail, NotChecked}},
		{"reason of no step", []string{"x"}, "", []Outcome{NotChecked, NotChecked, NotChecked, Fail}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			left := tc.fails
			l := ladder{steps: steps, verify: func() error {
				if len(left) == 0 {
					return nil
				}
				return errors.New(left[0])
			}, describe: func(err error) Check {
				return Check{Reason: err.Error()}
			}, relax: func(c Check) bool {
				left = left[1:]
				return c.Reason != tc.stuck
			}}
			var got []Outcome
			for _, c := range l.climb() {
				got = append(got, c.Outcome)
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

// A verifier that refuses for the same thing again after it was relaxed must not be asked for ever.
func TestClimbEnds(t *testing.T) {
	l := ladder{steps: []step{{"a", "1", []string{"a"}}, {"b", "2", []string{"b"}}},
		verify: func() error { return errors.New("a") }, describe: func(err error) Check { return Check{Reason: err.Error()} },
		relax: func(Check) bool { return true }}
	var got []Outcome
	for _, c := range l.climb() {
		got = append(got, c.Outcome)
	}
	if diff := cmp.Diff(got, []Outcome{Fail, NotChecked}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}
