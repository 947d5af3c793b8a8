package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-project/holdfast/internal/postgrestest"
)

// BenchmarkRotate measures whole rotations, as a token endpoint makes them: the read before the checks, then the
// rotation with a client assertion's id. Each of the callers at a time has a family of its own.
func BenchmarkRotate(b *testing.B) {
	durable, err := postgrestest.Start()
	ok(b, err)
	b.Cleanup(func() { ok(b, durable.Stop()) })
	for _, kind := range []struct {
		name string
		dsn  func(b *testing.B) string
	}{
		{"memory", func(*testing.B) string { return "sqlite::memory:" }},
		{"SQLite/normal", func(b *testing.B) string { return sqliteDSN(b) + "?synchronous=normal" }},
		{"SQLite/full", func(b *testing.B) string { return sqliteDSN(b) }},
		{"PostgreSQL/fsync=off", func(b *testing.B) string { return server.Database(b) }},
		{"PostgreSQL", func(b *testing.B) string { return durable.Database(b) }},
	} {
		for _, callers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind.name, callers), func(b *testing.B) {
				benchRotate(b, open(b, kind.dsn(b)), callers)
			})
		}
	}
}

func benchRotate(b *testing.B, s *Store, callers int) {
	ctx := b.Context()
	name := func(family, generation int) string { return fmt.Sprint("family ", family, " token ", generation) }
	for f := range callers {
		first := aToken(name(f, 0))
		ok(b, s.CreateGrant(ctx, now, aGrant(fmt.Sprint("family ", f)), &first))
	}
	each := (b.N + callers - 1) / callers
	run := func(from, to int) {
		var wg sync.WaitGroup
		for f := range callers {
			wg.Go(func() {
				for i := from; i < to; i++ {
					r := aRotation(name(f, i), name(f, i+1))
					r.Claims = claims(name(f, i))
					_, _, err := s.RefreshToken(ctx, r.Token)
					if err == nil {
						_, _, err = s.Rotate(ctx, now, r)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	run(0, 1) // opens the connections
	b.ReportAllocs()
	b.ResetTimer()
	run(1, each+1)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rotations/s")
}

// BenchmarkTokenRevoked measures what introspection asks for each token.
func BenchmarkTokenRevoked(b *testing.B) {
	for _, kind := range backends {
		b.Run(kind.name, func(b *testing.B) {
			s := open(b, kind.dsn(b))
			populate(b, s)
			b.ReportAllocs()
			for b.Loop() {
				if revoked, err := s.TokenRevoked(b.Context(), "another", "grant"); err != nil || revoked {
					b.Fatal(revoked, err)
				}
			}
		})
	}
}
