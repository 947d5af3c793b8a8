package replay

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// benchGuard is a guard with a clock of its own, and a supply of claims.
type benchGuard struct {
	*Memory
	now    time.Time
	owners int
	n      uint64
}

func newBenchGuard(tb testing.TB, cfg MemoryConfig, owners int) *benchGuard {
	g := &benchGuard{now: epoch, owners: owners}
	cfg.Now = func() time.Time { return g.now }
	cfg.InsecureAcceptOlder = true
	m, err := NewMemory(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	g.Memory = m
	return g
}

// claim makes the next fresh claim, with an id of 128 bits in base64 as clients send it.
func (g *benchGuard) claim(tb testing.TB, life time.Duration) {
	if err := g.Claim(context.Background(), claimNumber(g.n, g.owners, g.now.Add(life))); err != nil {
		tb.Fatal(err)
	}
	g.n++
}

func claimNumber(n uint64, owners int, until time.Time) Claim {
	c := Claim{Until: until}
	binary.BigEndian.PutUint64(c.Owner[:], 1+n*0x9e3779b97f4a7c15%uint64(owners))
	var raw [16]byte
	var text [22]byte
	binary.BigEndian.PutUint64(raw[:], n)
	base64.RawURLEncoding.Encode(text[:], raw[:])
	c.ID = string(text[:])
	return c
}

// BenchmarkClaim measures fresh claims in the steady state: as many ids expire as are claimed.
func BenchmarkClaim(b *testing.B) {
	const life = 65 * time.Second // 60 s of age and 5 s of skew
	for _, live := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			g := newBenchGuard(b, MemoryConfig{Capacity: 1_250_000, Share: 1_250_000}, 1_000)
			step := life / time.Duration(live)
			next := func() { g.claim(b, life); g.now = g.now.Add(step) }
			for range live + live/2 {
				next()
			}
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
			b.ReportMetric(float64(g.Len()), "live")
		})
	}
}

// BenchmarkClaimParallel claims from all processors at once, without expiry.
func BenchmarkClaimParallel(b *testing.B) {
	g := newBenchGuard(b, MemoryConfig{Capacity: 1 << 26, Share: 1 << 26}, 1)
	until := g.now.Add(time.Minute)
	var n atomic.Uint64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := g.Claim(context.Background(), claimNumber(n.Add(1), 1_000, until)); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkExpiryPause turns over 1,000,000 live ids, period by period, while claims come in, and reports the slowest
// claim. Each op makes the same claims five times with the same secret, so that the n-th does the same work each time,
// and keeps the fastest of the five: that leaves out what the scheduler adds, and nothing of the guard's own.
func BenchmarkExpiryPause(b *testing.B) {
	const live, life, rounds = 1_000_000, 5 * time.Minute, 5
	best := make([]time.Duration, live)
	for b.Loop() {
		for round := range rounds {
			g := newBenchGuard(b, MemoryConfig{Capacity: 1_250_000, Share: 1_250_000}, 1_000)
			g.secret = [16]byte{}
			for range live {
				g.claim(b, life)
				g.now = g.now.Add(life / live)
			}
			for i := range best {
				start := time.Now()
				g.claim(b, life)
				if took := time.Since(start); round == 0 || took < best[i] {
					best[i] = took
				}
				g.now = g.now.Add(life / live)
			}
		}
	}
	slices.Sort(best)
	b.ReportMetric(float64(best[live-1].Nanoseconds())/1e3, "max-us")
	b.ReportMetric(float64(best[live*999/1000].Nanoseconds())/1e3, "p99.9-us")
	b.ReportMetric(float64(best[live/2].Nanoseconds())/1e3, "p50-us")
}

// BenchmarkMemory reports the heap that 1,000,000 live ids take: of one owner, and of as many owners.
func BenchmarkMemory(b *testing.B) {
	const live = 1_000_000
	for _, owners := range []int{1, 1_000, live} {
		b.Run(fmt.Sprintf("owners=%d", owners), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				g := newBenchGuard(b, MemoryConfig{Capacity: live, Share: live}, owners)
				for g.Len() < live {
					g.claim(b, time.Minute)
				}
				b.ReportMetric(float64(heap()-before)/(1<<20), "MiB/million")
				runtime.KeepAlive(g)
			}
		})
	}
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
