package bench

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkGateway measures the gateway beside a bare proxy. The figures that count are the metrics.
func BenchmarkGateway(b *testing.B) {
	for _, connections := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			for b.Loop() {
				results, err := Load(b.Context(), connections, 10, 250*time.Millisecond)
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range results {
					b.Logf("%-28s %8.0f/s %.2fx  p50 %6d us %.2fx  p90 %6d us  p99 %6d us  cpu %.1f us %.2fx", r.Way, r.PerSecond, r.Ratio, r.P50.Microseconds(), r.P50Ratio, r.P90.Microseconds(), r.P99.Microseconds(), float64(r.Processor)/1e3, r.CPURatio)
				}
			}
		})
	}
}
