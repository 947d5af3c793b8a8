package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/internal/bench"
	"github.com/holdfast-project/holdfast/internal/benchplot"
)

type benchCommand struct {
	Only  []string `placeholder:"GROUP" help:"Measure these groups: ${groups}. Default: all."`
	Short bool     `help:"A quick look, of less than half a minute: rounds are few and short."`
	JSON  bool     `name:"json" help:"Print the report as JSON; docs/performance.md describes it."`
	Plot  string   `placeholder:"FILE" help:"Draw gateway, pass, session and stream; the format is the file's extension, svg or png."`
}

// Help implements kong.HelpProvider.
func (*benchCommand) Help() string {
	return "Measures what proofs cost on this machine. Work and what it is compared with take turns, and ratios are medians over rounds, so that another load on the machine spoils the times more than the ratios. All traffic is on loopback."
}

// Run prints the report.
func (c *benchCommand) Run(ctx context.Context, std streams) error {
	for _, name := range c.Only {
		if !slices.Contains(bench.GroupNames(), name) {
			return usagef("--only: no group %q; there are %s", name, strings.Join(bench.GroupNames(), ", "))
		}
	}
	format := strings.ToLower(strings.TrimPrefix(filepath.Ext(c.Plot), "."))
	if c.Plot != "" && !slices.Contains(benchplot.Formats, format) {
		return usagef("--plot: the file's extension must be one of %s", strings.Join(benchplot.Formats, ", "))
	}
	if c.Plot != "" && len(c.Only) > 0 && !slices.ContainsFunc(c.Only, benchplot.Draws) {
		return usagef("--plot: none of the groups that --only names is drawn")
	}
	progress, done := progressLine(std.err)
	report, err := bench.Run(ctx, bench.Plan{Only: c.Only, Short: c.Short, Progress: progress})
	done()
	if err != nil {
		return err
	}
	if err := c.print(std.out, report); err != nil || c.Plot == "" {
		return err
	}
	picture, err := benchplot.Render(report, format)
	if err != nil {
		return err
	}
	return os.WriteFile(c.Plot, picture, 0o666)
}

func (c *benchCommand) print(out io.Writer, r *bench.Report) error {
	if !c.JSON {
		return r.WriteText(out)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// progressLine returns what shows progress on a terminal, and what takes it away again. Elsewhere it shows nothing.
func progressLine(w io.Writer) (show func(group string, done, total int), end func()) {
	f, ok := w.(*os.File)
	if !ok {
		return nil, func() {}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil, func() {}
	}
	const width = 40
	show = func(group string, done, total int) {
		filled := width * done / max(total, 1)
		fmt.Fprintf(f, "\r\x1b[K%-10s[%s%s]", group, strings.Repeat("#", filled), strings.Repeat(".", width-filled))
	}
	return show, func() { fmt.Fprint(f, "\r\x1b[K") }
}
