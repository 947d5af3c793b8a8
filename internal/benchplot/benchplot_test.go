package benchplot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/bench"
)

// full has a case of every panel.
func full() *bench.Report {
	result := bench.Result{Name: "case of a group", Work: 2 * time.Microsecond, Base: time.Microsecond, Bytes: 4096}
	return &bench.Report{
		Groups: []bench.GroupResult{{Name: "pass", Results: []bench.Result{result}}, {Name: "stream", Results: []bench.Result{result}}},
		Gateway: []bench.LoadResult{
			{Way: bench.WayDirect, Connections: 1, Ratio: 3}, {Way: "bare proxy", Connections: 1, Ratio: 1}, {Way: "gateway", Connections: 1, Ratio: 0.9},
		},
	}
}

func TestSVG(t *testing.T) {
	got, err := Render(full(), "svg")
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"Requests per second", "A whole request", "A body verified", "bare proxy", "case of a group", "0.90"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the picture doesn't say %q", want)
		}
	}
	if strings.Contains(string(got), bench.WayDirect) {
		t.Error("the way without a proxy is drawn")
	}
}

func TestPNG(t *testing.T) {
	got, err := Render(full(), "png")
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds().Size(); size.X != width || size.Y <= 2*panelHeight {
		t.Errorf("got a picture of %v", size)
	}
}

func TestNothingToDraw(t *testing.T) {
	r := full()
	r.Groups, r.Gateway = []bench.GroupResult{{Name: "primitive", Results: r.Groups[0].Results}}, nil
	if _, err := Render(r, "svg"); err == nil {
		t.Error("a report without any drawn group made a picture")
	}
}
