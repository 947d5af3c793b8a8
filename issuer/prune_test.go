package issuer

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// use is a single-use id that is known for some time from now.
func use(id string, life time.Duration) replay.Claim {
	return replay.Claim{Owner: keys.Thumbprint{1}, ID: id, Until: time.Now().Add(life)}
}

// TestRunPrunes: what is over goes within a minute, more than one transaction takes; what isn't stays.
func TestRunPrunes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(cfg *Config) { cfg.Now = time.Now })
		over, live := use("over", time.Second), use("live", time.Hour)
		claims := []replay.Claim{over, live}
		for i := range pruneBatch {
			claims = append(claims, use(fmt.Sprint(i), time.Second))
		}
		if err := f.useOnce(t.Context(), claims); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go f.Run(ctx)
		time.Sleep(store.PruneMargin + pruneEvery + time.Second)
		synctest.Wait()
		stop()
		synctest.Wait()
		if n, err := f.store.Prune(t.Context(), time.Now(), 1000); n != 0 || err != nil {
			t.Errorf("%d rows were left, %v", n, err)
		}
		if err := f.store.UseOnce(t.Context(), time.Now(), live); storeReason(err) != store.Used {
			t.Errorf("got %v for an id that isn't over, want that it is still known", err)
		}
		if len(f.events) != 0 {
			t.Errorf("got events %+v, want none", f.events)
		}
	})
}

// TestRunTellsFailures: a database that is away is told of each time, and no more once Run has ended.
func TestRunTellsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(cfg *Config) { cfg.Now = time.Now })
		if err := f.store.Close(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go f.Run(ctx)
		time.Sleep(2*pruneEvery + time.Second)
		synctest.Wait()
		stop()
		time.Sleep(2 * pruneEvery)
		synctest.Wait()
		if len(f.events) != 2 {
			t.Fatalf("got %d events, want 2", len(f.events))
		}
		for _, e := range f.events {
			if e.Endpoint != "pruning" || e.Refusal == nil || e.Refusal.Reason != Unavailable {
				t.Errorf("got %+v, want that pruning was refused as %s", e, Unavailable)
			}
		}
	})
}

// TestRowsOfTokens: a client's own tokens leave no row but the id of an assertion, which goes when that is over.
func TestRowsOfTokens(t *testing.T) {
	const tokens = 3
	for _, tc := range []struct {
		name    string
		request func(*fixture) *tokenRequest
		want    int
	}{
		{"by secret", func(*fixture) *tokenRequest { return request("any") }, 0},
		{"by assertion", func(f *fixture) *tokenRequest {
			return f.asserted(t, func(_, claims map[string]any) { claims["jti"] = rand.Text() })
		}, tokens},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, nil)
			for range tokens {
				q := tc.request(f)
				f.addProof(t, q, nil)
				if res := f.send(t, q); res.status != 200 {
					t.Fatalf("got %d %v", res.status, res.body)
				}
			}
			if got, err := f.store.Prune(t.Context(), testNow.Add(time.Hour), 1000); got != tc.want || err != nil {
				t.Errorf("got %d rows that were over an hour later, %v; want %d", got, err, tc.want)
			}
		})
	}
}
