package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// WriteText writes the report as tables for people.
func (r *Report) WriteText(w io.Writer) error {
	how := ""
	if r.Short {
		how = " (a quick look: rounds are few and short)"
	}
	if _, err := fmt.Fprintf(w, "%s\n%s%s\ntimes by the %s clock\n", r.Machine, r.Began.Format(time.RFC3339), how, r.Clock); err != nil {
		return err
	}
	for _, g := range r.Groups {
		if err := g.writeText(w); err != nil {
			return err
		}
	}
	if len(r.Gateway) == 0 {
		return nil
	}
	return r.writeGateway(w)
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func (g *GroupResult) writeText(w io.Writer) error {
	t := newTable(w)
	fmt.Fprintf(w, "\n%s: %s\n\n", g.Name, g.About)
	fmt.Fprintln(t, "work\ttime\tbeside\tratio\tallocations\tthroughput")
	for _, r := range g.Results {
		beside, ratio, throughput := "-", "-", "-"
		if r.Bare != "" {
			beside, ratio = r.Bare+" "+significant(r.Base), fmt.Sprintf("%.2f", r.Ratio)
		}
		if r.Bytes > 0 {
			throughput = fmt.Sprintf("%.2f GB/s", r.throughput())
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.0f\t%s\n", r.Name, significant(r.Work), beside, ratio, r.Allocs, throughput)
	}
	return t.Flush()
}

// throughput is in GB, 10^9 bytes, a second.
func (r *Result) throughput() float64 { return float64(r.Bytes) / float64(max(r.Work, 1)) }

func (r *Report) writeGateway(w io.Writer) error {
	fmt.Fprintf(w, `
%s: GET over kept connections on loopback, one request under way on each. The client, the API and what is between them
share this machine. Requests are signed before the clock runs: the server's work is in the figures, the client's proofs aren't.
Ratios are to the bare proxy.

`, GatewayGroup)
	t := newTable(w)
	fmt.Fprint(t, "connections\tway\trequests/s\tratio\tp50\tratio\tp90\tp99")
	if r.Clock == clockProcessor {
		fmt.Fprint(t, "\tprocessor\tratio")
	}
	fmt.Fprintln(t)
	for _, l := range r.Gateway {
		fmt.Fprintf(t, "%d\t%s\t%.0f\t%.2f\t%s\t%.2f\t%s\t%s", l.Connections, l.Way, l.PerSecond, l.Ratio,
			significant(l.P50), l.P50Ratio, significant(l.P90), significant(l.P99))
		if r.Clock == clockProcessor {
			fmt.Fprintf(t, "\t%s\t%.2f", significant(l.Processor), l.ProcessorRatio)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// significant writes a duration with three digits.
func significant(d time.Duration) string {
	unit, name := time.Nanosecond, "ns"
	switch {
	case d >= time.Second:
		unit, name = time.Second, "s"
	case d >= time.Millisecond:
		unit, name = time.Millisecond, "ms"
	case d >= time.Microsecond:
		unit, name = time.Microsecond, "µs"
	}
	v := float64(d) / float64(unit)
	switch {
	case unit == time.Nanosecond || v >= 99.95:
		return fmt.Sprintf("%.0f %s", v, name)
	case v >= 9.995:
		return fmt.Sprintf("%.1f %s", v, name)
	}
	return fmt.Sprintf("%.2f %s", v, name)
}
