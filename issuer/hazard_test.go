package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/replay"
)

// A nonce challenge must leave everything that the retry needs: the same assertion, with a proof that bears the nonce,
// gets the token.
func TestHazardNonceChallengeBurnsNothing(t *testing.T) {
	f := newFixture(t, func(cfg *Config) { cfg.RequireNonce = true })
	q := f.asserted(t, nil)
	f.addProof(t, q, nil)
	got := f.send(t, q)
	checkRefused(t, got, http.StatusBadRequest, "use_dpop_nonce", NonceNeeded)
	nonces := got.header.Values("DPoP-Nonce")
	if len(nonces) != 1 {
		t.Fatalf("got DPoP-Nonce %q, want one", nonces)
	}

	q.header.Del("DPoP")
	f.addProof(t, q, func(p *dpop.Params) { p.Nonce = nonces[0] })
	got = f.send(t, q)
	checkGranted(t, got)
	if got.header.Get("DPoP-Nonce") == "" {
		t.Error("no fresh nonce with the token")
	}

	q.header.Del("DPoP")
	f.addProof(t, q, func(p *dpop.Params) { p.Nonce = got.header.Get("DPoP-Nonce") })
	checkRefused(t, f.send(t, q), http.StatusUnauthorized, "invalid_client", AssertionUsed)
}

func TestNonceRefused(t *testing.T) {
	f := newFixture(t, func(cfg *Config) { cfg.RequireNonce = true })
	other := newFixture(t, func(cfg *Config) { cfg.RequireNonce, cfg.Issuer = true, "https://other.example" })
	for _, tc := range []struct{ name, nonce string }{
		{"not one of ours", "eyJ7S_zG.eyJH0-Z.HX4w-7v"},
		{"of another issuer with the same secret", other.nonces.Issue()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := request("any")
			f.addProof(t, q, func(p *dpop.Params) { p.Nonce = tc.nonce })
			checkRefused(t, f.send(t, q), http.StatusBadRequest, "use_dpop_nonce", NonceNeeded)
		})
	}
	q := request("any")
	f.addSignature(t, q, nil)
	checkGranted(t, f.send(t, q)) // the nonce of a signature is its own
}

// No refusal, for whatever reason, takes the assertion along; and a proof that was used takes it along neither.
func TestHazardRefusalBurnsNothing(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*testing.T, *fixture, *tokenRequest)
	}{
		{"no proof", func(*testing.T, *fixture, *tokenRequest) {}},
		{"proof for another URL", func(t *testing.T, f *fixture, q *tokenRequest) {
			f.addProof(t, q, func(p *dpop.Params) { p.TargetURI = testIssuer })
		}},
		{"proof that was used", func(t *testing.T, f *fixture, q *tokenRequest) {
			first := request("any")
			f.addProof(t, first, nil)
			checkGranted(t, f.send(t, first))
			q.header["Dpop"] = first.header["Dpop"]
		}},
		{"scope", func(t *testing.T, f *fixture, q *tokenRequest) {
			f.addProof(t, q, nil)
			q.form.Set("scope", "admin")
		}},
		{"resource", func(t *testing.T, f *fixture, q *tokenRequest) {
			f.addProof(t, q, nil)
			q.form.Set("resource", "https://evil.example")
		}},
		{"grant type", func(t *testing.T, f *fixture, q *tokenRequest) {
			f.addProof(t, q, nil)
			q.form.Set("grant_type", "password")
		}},
		{"DPoP and signature", func(t *testing.T, f *fixture, q *tokenRequest) {
			f.addProof(t, q, nil)
			f.addSignature(t, q, nil)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, nil)
			q := f.asserted(t, nil)
			assertion := q.form.Get("client_assertion")
			tc.change(t, f, q)
			if got := f.send(t, q); got.event.Refusal == nil {
				t.Fatalf("got %d %v, want a refusal", got.status, got.body)
			}
			q = f.asserted(t, nil)
			q.form.Set("client_assertion", assertion)
			f.addProof(t, q, nil)
			checkGranted(t, f.send(t, q))
		})
	}
}

// brokenGuard fails to answer about proofs.
type brokenGuard struct {
	replay.Guard
	err atomic.Pointer[error]
}

func (g *brokenGuard) Claim(ctx context.Context, c replay.Claim) error {
	if err := g.err.Load(); err != nil {
		return *err
	}
	return g.Guard.Claim(ctx, c)
}

// A guard that can't answer refuses, and the same assertion works when it can again.
func TestGuardUnavailable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		reason Reason
	}{
		{"store away", errors.New("connection refused"), Unavailable},
		{"full", replay.ErrFull, Unavailable},
		{"restarted", replay.ErrRestarted, Restarted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			guard := &brokenGuard{}
			f := newFixture(t, func(cfg *Config) {
				guard.Guard = newGuard(t, cfg.Now)
				cfg.Replay = guard
			})
			guard.err.Store(&tc.err)
			q := f.asserted(t, nil)
			f.addProof(t, q, nil)
			got := f.send(t, q)
			checkRefused(t, got, http.StatusServiceUnavailable, "temporarily_unavailable", tc.reason)
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			guard.err.Store(nil)
			checkGranted(t, f.send(t, q))
		})
	}
}

// With a guard whose memory begins now, an assertion that may have been used before is refused, however it is dated.
func TestAssertionAfterRestart(t *testing.T) {
	var now atomic.Pointer[time.Time]
	set := func(d time.Duration) {
		at := testNow.Add(d)
		now.Store(&at)
	}
	set(0)
	clock := func() time.Time { return *now.Load() }
	memory, err := replay.NewMemory(replay.MemoryConfig{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(cfg *Config) { cfg.Replay, cfg.Now = memory, clock })
	for _, tc := range []struct {
		name string
		at   time.Duration // after the guard's start
		iat  any           // seconds after the guard's start
		want Reason        // "" to be granted
	}{
		{"made before", 20 * time.Second, -1, Restarted},
		{"dated ahead, perhaps used before", 8 * time.Second, 10, Restarted},
		{"of unknown age", 20 * time.Second, nil, Restarted},
		{"made after", 20 * time.Second, 20, ""},
		{"made after by a fast clock", 20 * time.Second, 30, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set(tc.at)
			q := f.asserted(t, func(_, claims map[string]any) {
				claims["jti"] = tc.name
				delete(claims, "iat")
				if seconds, ok := tc.iat.(int); ok {
					claims["iat"] = testNow.Unix() + int64(seconds)
				}
			})
			f.addProof(t, q, func(p *dpop.Params) { p.Now = testNow.Add(tc.at) })
			got := f.send(t, q)
			if tc.want == "" {
				checkGranted(t, got)
				return
			}
			checkRefused(t, got, http.StatusServiceUnavailable, "temporarily_unavailable", tc.want)
		})
	}
}

// However many send one proof, or one assertion, at once: one gets a token.
func TestOneTokenPerUse(t *testing.T) {
	const senders = 32
	for _, tc := range []struct {
		name    string
		request func(*testing.T, *fixture, *tokenRequest) *tokenRequest
	}{
		{"one request", func(_ *testing.T, _ *fixture, first *tokenRequest) *tokenRequest { return first }},
		{"one assertion, other proofs", func(t *testing.T, f *fixture, first *tokenRequest) *tokenRequest {
			q := f.asserted(t, nil)
			q.form.Set("client_assertion", first.form.Get("client_assertion"))
			f.addProof(t, q, nil)
			return q
		}},
		{"one proof, other assertions", func(t *testing.T, f *fixture, first *tokenRequest) *tokenRequest {
			q := f.asserted(t, func(_, claims map[string]any) { claims["jti"] = rand.Text() })
			q.header["Dpop"] = first.header["Dpop"]
			return q
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, nil)
			first := f.asserted(t, nil)
			f.addProof(t, first, nil)
			requests := make([]*http.Request, senders)
			for i := range requests {
				requests[i] = tc.request(t, f, first).http()
			}
			var granted atomic.Int32
			var wg sync.WaitGroup
			for _, r := range requests {
				wg.Go(func() {
					w := httptest.NewRecorder()
					f.Handler().ServeHTTP(w, r)
					if w.Code == http.StatusOK {
						granted.Add(1)
					}
				})
			}
			wg.Wait()
			if got := granted.Load(); got != 1 {
				t.Errorf("got %d tokens, want 1", got)
			}
		})
	}
}
