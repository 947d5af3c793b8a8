package bench

import (
	"errors"
	"testing"
	"time"
)

// BenchmarkRatio is for profiles of a case: holdfast bench prints the same. The figure that counts is the metric "x".
func BenchmarkRatio(b *testing.B) {
	for _, g := range Groups() {
		b.Run(g.Name, func(b *testing.B) {
			cases, err := g.Build()
			if err != nil {
				b.Fatal(err)
			}
			for _, c := range cases {
				b.Run(c.Name, func(b *testing.B) { ratio(b, c) })
			}
		})
	}
}

func ratio(b *testing.B, c Case) {
	for b.Loop() {
		r, err := Measure(b.Context(), c, 10, 200*time.Millisecond)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(r.Ratio, "x")
		b.ReportMetric(float64(r.Work.Nanoseconds()), "ns/work")
		b.ReportMetric(float64(r.Base.Nanoseconds()), "ns/bare")
		b.ReportMetric(r.Allocs, "allocs/work")
		b.ReportMetric(0, "ns/op") // an op is a whole measurement: its length says nothing
	}
}

// TestCasesWork runs both sides of every case: a case that fails would be measured as fast.
func TestCasesWork(t *testing.T) {
	for _, g := range Groups() {
		t.Run(g.Name, func(t *testing.T) {
			cases, err := g.Build()
			if err != nil {
				t.Fatal(err)
			}
			if len(cases) == 0 {
				t.Fatal("no cases")
			}
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) {
					if _, err := Measure(t.Context(), c, 1, time.Nanosecond); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

func TestMeasureTellsFailures(t *testing.T) {
	failed := errors.New("failed")
	for _, c := range []Case{
		{Name: "work", Work: func() error { return failed }, Base: func() error { return nil }},
		{Name: "base", Work: func() error { return nil }, Base: func() error { return failed }},
	} {
		if _, err := Measure(t.Context(), c, 1, time.Millisecond); !errors.Is(err, failed) {
			t.Errorf("%s: got %v, want its failure", c.Name, err)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(tc.values); got != tc.want {
			t.Errorf("median of %v: got %v, want %v", tc.values, got, tc.want)
		}
	}
}
