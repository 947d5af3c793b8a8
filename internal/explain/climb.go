package explain

import "slices"

// step is one check of a verifier, with the reasons that it refuses for.
type step struct {
	name    string
	section string
	reasons []string
}

// A ladder runs a verifier over and over to learn the outcome of every step.
type ladder struct {
	steps  []step
	verify func() error
	// describe turns an error of verify into a failed check.
	describe func(error) Check
	// relax sets the expectation that failed to what the request claims, and reports whether there is such a thing.
	relax func(Check) bool
}

// climb returns the steps' outcomes in order. A step fails as often as there is something wrong in it.
func (l *ladder) climb() []Check {
	failed := make([][]Check, len(l.steps))
	end := len(l.steps) // the first step that wasn't reached
	for {
		err := l.verify()
		if err == nil {
			break
		}
		c := l.describe(err)
		i := slices.IndexFunc(l.steps, func(s step) bool { return slices.Contains(s.reasons, c.Reason) })
		if i < 0 {
			c.Name, c.Outcome = "verification", Fail // a reason of no step: nothing is known about them
			return append(l.outcomes(failed, 0), c)
		}
		again := slices.ContainsFunc(failed[i], func(o Check) bool { return o.Reason == c.Reason && o.Part == c.Part })
		if again {
			end = i + 1 // relaxing didn't help
			break
		}
		failed[i] = append(failed[i], c)
		if !l.relax(c) {
			end = i + 1
			break
		}
	}
	return l.outcomes(failed, end)
}

func (l *ladder) outcomes(failed [][]Check, end int) []Check {
	var out []Check
	for i, s := range l.steps {
		switch {
		case len(failed[i]) > 0:
			for _, c := range failed[i] {
				c.Name, c.Outcome = s.name, Fail
				if c.Section == "" {
					c.Section = s.section
				}
				out = append(out, c)
			}
		case i < end:
			out = append(out, Check{Name: s.name, Section: s.section, Outcome: Pass})
		default:
			out = append(out, Check{Name: s.name, Section: s.section, Outcome: NotChecked, Why: "an earlier check failed"})
		}
	}
	return out
}

// set replaces the outcome of a step that passed only for lack of an expectation.
func set(checks []Check, name string, o Outcome, why string) {
	for i := range checks {
		if checks[i].Name == name && checks[i].Outcome == Pass {
			checks[i].Outcome, checks[i].Why = o, why
		}
	}
}
