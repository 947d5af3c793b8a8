package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// table is what happened.
type table struct {
	lanes    []*lane
	p50, p99 []time.Duration
	rows     []row
}

type row struct {
	attack attack
	cells  []cell
}

// cell is one attack on one scheme.
type cell struct {
	answer
	promised bool // to get in
	none     bool // the attack doesn't apply to the scheme
}

// text is what the table has. Reasons are long, and few: they stand below it, by number.
func (c cell) text(reasons *reasons) string {
	if c.none {
		return "-"
	}
	text := "GOT IN"
	if !c.in {
		text = fmt.Sprintf("blocked (%d)", reasons.number(c.reason))
	}
	if c.in != c.promised {
		text += " (NOT AS PROMISED)"
	}
	return text
}

// reasons are those of refusals, in the order in which they come.
type reasons []string

// number returns a reason's place, from 1.
func (r *reasons) number(reason string) int {
	i := slices.Index(*r, reason)
	if i < 0 {
		i = len(*r)
		*r = append(*r, reason)
	}
	return i + 1
}

// print writes the reasons in lines of at most a width that terminals have.
func (r reasons) print(out io.Writer) {
	const width = 120
	line := ""
	for i, reason := range r {
		item := fmt.Sprintf("(%d) %s", i+1, reason)
		if line != "" && len(line)+2+len(item) > width {
			fmt.Fprintln(out, line)
			line = ""
		}
		if line != "" {
			line += "  "
		}
		line += item
	}
	fmt.Fprintln(out, line)
}

func (t *table) print(out io.Writer) {
	var why reasons
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "attack")
	for _, l := range t.lanes {
		fmt.Fprintf(w, "\t%s", l.name)
	}
	fmt.Fprintln(w)
	for _, r := range t.rows {
		fmt.Fprint(w, r.attack.name)
		for _, c := range r.cells {
			fmt.Fprintf(w, "\t%s", c.text(&why))
		}
		fmt.Fprintln(w)
	}
	printTimes(w, "honest call, median", t.p50)
	printTimes(w, "honest call, 99th percentile", t.p99)
	w.Flush()
	fmt.Fprintln(out)
	why.print(out)
}

func printTimes(w io.Writer, name string, times []time.Duration) {
	fmt.Fprint(w, name)
	for _, d := range times {
		fmt.Fprintf(w, "\t%.2f ms", float64(d.Microseconds())/1000)
	}
	fmt.Fprintln(w)
}

// wrong lists the cells that aren't as promised.
func (t *table) wrong() []string {
	var out []string
	for _, r := range t.rows {
		for i, c := range r.cells {
			if !c.none && c.in != c.promised {
				out = append(out, r.attack.name+" / "+t.lanes[i].name)
			}
		}
	}
	return out
}

// invite prints what to try while everything stays up.
func (s *stage) invite(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "\nStill up until you interrupt. Issuer %s, gateway http://%s.\nA stolen bearer token works, a stolen bound token doesn't:\n", s.issuerURL, s.gateway)
	for _, l := range s.lanes {
		if l.kind == onURLs {
			continue // its tokens are like those of sessions
		}
		token, err := l.tokens.Token()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "\n# %s\ncurl -i -X POST -H 'Authorization: %s %s' -d '{}' '%s%s/transfers?account=7'\n", l.name, l.scheme, token.AccessToken, l.origin, l.prefix)
	}
	return nil
}
