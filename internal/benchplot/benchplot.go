// Package benchplot draws the reports of package bench: a panel for each group that says more as a picture. It is a package
// of its own so that only the command links a plotting library.
package benchplot

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-analyze/charts"

	"github.com/holdfast-project/holdfast/internal/bench"
)

// Formats are what Render can write, by their usual file extensions.
var Formats = []string{"svg", "png"}

// Draws tells whether a group of a report is drawn.
func Draws(group string) bool {
	switch group {
	case bench.GatewayGroup, "pass", "session", "stream":
		return true
	}
	return false
}

// The size of the picture, in pixels.
const (
	width       = 900
	panelHeight = 300
	barHeight   = 26 // of a panel with a bar for each line
)

// Render draws a report. One without any group that is drawn is refused.
func Render(r *bench.Report, format string) ([]byte, error) {
	var panels []panel
	for _, p := range []panel{gatewayPanel(r), passPanel(r), streamPanel(r)} {
		if len(p.categories) > 0 {
			panels = append(panels, p)
		}
	}
	if len(panels) == 0 {
		return nil, errors.New("benchplot: none of the groups that are drawn was measured")
	}
	height := 0
	for i := range panels {
		height += panels[i].height
	}
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: format, Width: width, Height: height})
	painter.FilledRect(0, 0, width, height, charts.ColorWhite, charts.ColorWhite, 0)
	top := 0
	for i := range panels {
		box := charts.NewBox(0, top, width, top+panels[i].height)
		if err := painter.Child(charts.PainterBoxOption(box)).BarChart(panels[i].option()); err != nil {
			return nil, fmt.Errorf("benchplot: %s: %w", panels[i].title, err)
		}
		top += panels[i].height
	}
	return painter.Bytes()
}

// panel is one bar chart.
type panel struct {
	title      string
	height     int
	lines      bool // bars lie, one a line, and are named at their left
	categories []string
	series     []string
	values     [][]float64 // by series, then by category
	format     string      // of values
}

func (p *panel) option() charts.BarChartOption {
	o := charts.NewBarChartOptionWithData(p.values)
	o.Horizontal = p.lines
	o.Padding = charts.NewBox(16, 16, 48, 16) // labels go beyond the longest bar
	o.Title = charts.TitleOption{Text: p.title, FontStyle: charts.NewFontStyleWithSize(13)}
	o.CategoryAxis.Labels, o.CategoryAxis.LabelCount = p.categories, len(p.categories)
	o.CategoryAxis.LabelFontStyle = charts.NewFontStyleWithSize(10)
	o.ValueAxis = []charts.ValueAxisOption{{Min: charts.Ptr(0.0)}}
	o.Legend = charts.LegendOption{Show: charts.Ptr(false)}
	if len(p.series) > 1 {
		o.Legend = charts.LegendOption{SeriesNames: p.series, Offset: charts.OffsetStr{Top: "24"}}
	}
	for i := range o.SeriesList {
		o.SeriesList[i].Label = charts.SeriesLabel{
			Show: charts.Ptr(true), FontStyle: charts.NewFontStyleWithSize(9),
			ValueFormatter: func(v float64) string { return fmt.Sprintf(p.format, v) },
		}
	}
	return o
}

// gatewayPanel leaves out the way without any proxy, beside which the others couldn't be told apart.
func gatewayPanel(r *bench.Report) panel {
	p := panel{title: "Requests per second, beside those of a bare proxy", height: panelHeight, format: "%.2f"}
	for _, l := range r.Gateway {
		if l.Way == bench.WayDirect {
			continue
		}
		category := fmt.Sprintf("connections: %d", l.Connections)
		if !slices.Contains(p.categories, category) {
			p.categories = append(p.categories, category)
		}
		i := slices.Index(p.series, l.Way)
		if i < 0 {
			i = len(p.series)
			p.series, p.values = append(p.series, l.Way), append(p.values, nil)
		}
		p.values[i] = append(p.values[i], l.Ratio)
	}
	return p
}

func passPanel(r *bench.Report) panel {
	p := panel{title: "A whole request at the verifier, µs", lines: true, format: "%.1f", values: [][]float64{nil}}
	for _, g := range r.Groups {
		if g.Name != "pass" && g.Name != "session" {
			continue
		}
		for _, c := range g.Results {
			p.categories = append(p.categories, c.Name)
			p.values[0] = append(p.values[0], float64(c.Work.Nanoseconds())/1e3)
		}
	}
	// The first line is the lowest.
	slices.Reverse(p.categories)
	slices.Reverse(p.values[0])
	p.height = 100 + barHeight*len(p.categories)
	return p
}

func streamPanel(r *bench.Report) panel {
	p := panel{
		title: "A body verified in memory, GB/s", height: panelHeight, format: "%.2f",
		series: []string{"verified", "hash alone"}, values: [][]float64{nil, nil},
	}
	for _, g := range r.Groups {
		if g.Name != "stream" {
			continue
		}
		for _, c := range g.Results {
			p.categories = append(p.categories, strings.NewReplacer("stream verify, chunks of ", "chunks of ", " verify, read by 64 KiB", "").Replace(c.Name))
			for i, took := range []int64{c.Work.Nanoseconds(), c.Base.Nanoseconds()} {
				p.values[i] = append(p.values[i], float64(c.Bytes)/float64(max(took, 1)))
			}
		}
	}
	return p
}
