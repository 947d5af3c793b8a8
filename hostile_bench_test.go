//go:build unix

package holdfast_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
)

// BenchmarkHonest is what the promise about BenchmarkHostile is relative to.
func BenchmarkHonest(b *testing.B) {
	v := newVictim(b)
	for _, tc := range v.honest() {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.usual.Check(tc.r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHostile reports what refusing each request costs above checking an honest one, in milliseconds of CPU.
func BenchmarkHostile(b *testing.B) {
	v := newVictim(b)
	honest := cpuPerCheck(b, v.usual, v.honest()[0].r)
	for _, tc := range hostileCases() {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			r, by := tc.make(v), tc.verifier(v)
			before, n := cpu(b), 0
			for b.Loop() {
				if _, err := by.Check(r); err == nil {
					b.Fatal("accepted")
				}
				n++
			}
			above := (cpu(b)-before)/time.Duration(n) - honest
			b.ReportMetric(float64(above)/float64(time.Millisecond), "ms-above-honest")
		})
	}
}

func cpuPerCheck(b *testing.B, by *holdfast.Verifier, r *http.Request) time.Duration {
	const runs = 500
	before := cpu(b)
	for range runs {
		if _, err := by.Check(r); err != nil {
			b.Fatal(err)
		}
	}
	return (cpu(b) - before) / runs
}

// cpu is the time that this process has spent on all cores, so that other processes don't count and the collector does.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
