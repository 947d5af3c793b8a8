package explain

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i, g := range r.Groups {
		if i > 0 {
			fmt.Fprintln(b)
		}
		fmt.Fprintln(b, g.Title)
		for _, s := range g.Shown {
			writeShown(b, s)
		}
		for _, c := range g.Checks {
			writeCheck(b, c)
		}
	}
	fmt.Fprintf(b, "\nresult: %s\n", r.result())
	return b.Flush()
}

// writeShown puts one line beside its name, and several below it, unchanged behind a bar.
func writeShown(w io.Writer, s Shown) {
	if !strings.Contains(s.Text, "\n") {
		fmt.Fprintf(w, "  %-13s %s\n", s.Name+":", Visible(s.Text))
		return
	}
	fmt.Fprintf(w, "  %s:\n", s.Name)
	for line := range strings.Lines(s.Text) {
		fmt.Fprintf(w, "    | %s\n", Visible(strings.TrimSuffix(line, "\n")))
	}
}

func writeCheck(w io.Writer, c Check) {
	mark := map[Outcome]string{Pass: "ok", Fail: "FAIL", NotChecked: "not checked", Unknowable: "can't tell"}[c.Outcome]
	line := fmt.Sprintf("  %-11s  %s", mark, c.Name)
	if c.Section != "" {
		line += " (" + c.Section + ")"
	}
	fmt.Fprintln(w, line)
	for _, d := range []Shown{{"reason", c.Reason}, {"differs", c.Part}, {"expected", c.Expected}, {"got", c.Got}, {"because", c.Why}} {
		if d.Text != "" {
			fmt.Fprintf(w, "                 %-9s %s\n", d.Name+":", Visible(d.Text))
		}
	}
}

// Visible keeps a terminal from acting on bytes that came from a peer.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

func (r *Report) result() string {
	fails, open := r.Count(Fail), r.Count(NotChecked)
	switch r.Result {
	case DoesNotHold:
		return fmt.Sprintf("does not hold: %d of the checks failed, %d not made", fails, open)
	case Undecided:
		return fmt.Sprintf("undecided: nothing failed, but %d checks could not be made", open)
	}
	return "holds, as far as one request can tell"
}
