package replay

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkMark measures the next request of a session among so many.
func BenchmarkMark(b *testing.B) {
	for _, live := range []uint64{1, 1_000, 100_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			f := newWindows(b, MemoryWindowsConfig{Sessions: 100_000, Share: 100_000, InsecureAcceptOlder: true})
			n := uint64(0)
			next := func() {
				n++
				if err := f.Mark(context.Background(), mark(n*0x9e3779b97f4a7c15%live, n)); err != nil {
					b.Fatal(err)
				}
			}
			for range live {
				next()
			}
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
}

// BenchmarkMarkParallel marks one session from all processors: the worst case, as they share its lock.
func BenchmarkMarkParallel(b *testing.B) {
	for _, sessions := range []uint64{1, 10_000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			f := newWindows(b, acceptingWindows())
			var workers atomic.Uint64
			var n atomic.Uint64
			b.RunParallel(func(pb *testing.PB) {
				i := workers.Add(1)
				for pb.Next() {
					i++
					m := mark(i%sessions, n.Add(1))
					if err := f.Mark(context.Background(), m); err != nil && !errors.Is(err, ErrBehind) {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkNewSession measures first marks, as many as sessions end.
func BenchmarkNewSession(b *testing.B) {
	f := newWindows(b, MemoryWindowsConfig{Sessions: 100_000, Share: 100_000, InsecureAcceptOlder: true})
	const life, live = time.Minute, 50_000
	n := uint64(0)
	next := func() {
		n++
		m := mark(n, 1)
		m.Until = f.now.Add(life)
		if err := f.Mark(context.Background(), m); err != nil {
			b.Fatal(err)
		}
		f.now = f.now.Add(life / live)
	}
	for range 2 * live {
		next()
	}
	b.ReportAllocs()
	for b.Loop() {
		next()
	}
}

// BenchmarkWindowMemory reports the heap that 100,000 live sessions take, of one owner and of as many.
func BenchmarkWindowMemory(b *testing.B) {
	const live = 100_000
	for _, owners := range []uint64{1, live} {
		b.Run(fmt.Sprintf("owners=%d", owners), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				f := newWindows(b, MemoryWindowsConfig{Sessions: live, Share: live, InsecureAcceptOlder: true})
				for n := range uint64(live) {
					m := mark(n, 1)
					id := session(n%owners + 1)
					copy(m.Owner[:], id[:])
					if err := f.Mark(context.Background(), m); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(heap()-before)/live, "B/session")
				runtime.KeepAlive(f)
			}
		})
	}
}
