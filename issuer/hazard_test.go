package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
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

// restarted is a server whose replay memory begins at testNow. Its time is that plus what set says.
func restarted(t *testing.T) (f *fixture, set func(time.Duration)) {
	t.Helper()
	now := testNow
	clock := func() time.Time { return now }
	memory, err := replay.NewMemory(replay.MemoryConfig{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	f = newFixture(t, func(cfg *Config) { cfg.Replay, cfg.Now = memory, clock })
	return f, func(d time.Duration) { now = testNow.Add(d) }
}

// What may have been used before the guard's memory began is refused, however it is dated.
func TestHazardRestart(t *testing.T) {
	const none = -1 << 20
	f, set := restarted(t)
	for _, tc := range []struct {
		name       string
		at         time.Duration // since the restart
		proof, iat int           // in seconds since the restart
		want       Reason        // "" to be granted
		part       string
	}{
		{"proof made before", 20 * time.Second, -1, 20, Restarted, partDPoP},
		{"proof perhaps dated ahead", 11 * time.Second, 10, 11, Restarted, partDPoP},
		{"assertion made before, which the store would know", 20 * time.Second, 20, -1, "", ""},
		{"assertion of unknown age", 20 * time.Second, 20, none, "", ""},
		{"both made after", 11 * time.Second, 11, 11, "", ""},
		{"both by a fast clock", 20 * time.Second, 30, 30, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set(tc.at)
			q := f.asserted(t, func(_, claims map[string]any) {
				claims["jti"] = tc.name
				claims["iat"] = testNow.Unix() + int64(tc.iat)
				if tc.iat == none {
					delete(claims, "iat")
				}
			})
			f.addProof(t, q, func(p *dpop.Params) { p.Now = testNow.Add(time.Duration(tc.proof) * time.Second) })
			got := f.send(t, q)
			if tc.want == "" {
				checkGranted(t, got)
				return
			}
			checkRefused(t, got, http.StatusServiceUnavailable, "temporarily_unavailable", tc.want)
			if got.event.Refusal.Part != tc.part {
				t.Errorf("got part %q, want %q", got.event.Refusal.Part, tc.part)
			}
		})
	}
}

// Clocks that differ by 10 s are none of a client's fault, and a guard that grants less must not get in the way.
func TestClockOffsets(t *testing.T) {
	f, set := restarted(t)
	set(time.Minute)
	for _, offset := range []time.Duration{-10 * time.Second, 0, 10 * time.Second} {
		t.Run(offset.String(), func(t *testing.T) {
			made := testNow.Add(time.Minute + offset)
			q := request("any")
			f.addProof(t, q, func(p *dpop.Params) { p.Now = made })
			checkGranted(t, f.send(t, q))
			q = request("any")
			f.addSignature(t, q, func(cfg *httpsig.SignerConfig) { cfg.Now = func() time.Time { return made } })
			checkGranted(t, f.send(t, q))
		})
	}
}

// An assertion that was used before a restart stays used: the database knows it.
func TestAssertionStaysUsed(t *testing.T) {
	f := newFixture(t, nil)
	q := f.asserted(t, nil)
	f.addProof(t, q, nil)
	checkGranted(t, f.send(t, q))
	again := newFixture(t, func(cfg *Config) {
		cfg.Store, cfg.Keys = f.cfg.Store, f.cfg.Keys
		cfg.Clients = f.cfg.Clients
	})
	q.header.Del("DPoP")
	again.addProof(t, q, nil)
	checkRefused(t, again.send(t, q), http.StatusUnauthorized, "invalid_client", AssertionUsed)
}

// A token that can't be signed costs its client nothing.
func TestNoSigningKey(t *testing.T) {
	now := testNow
	f := newFixture(t, func(cfg *Config) { cfg.Store, cfg.Keys = openStore(t, func() time.Time { return now }) })
	now = now.Add(365 * 24 * time.Hour) // for the ring, which knows no key of then
	q := f.asserted(t, nil)
	f.addProof(t, q, nil)
	got := f.send(t, q)
	checkRefused(t, got, http.StatusServiceUnavailable, "temporarily_unavailable", Unavailable)
	if len(f.guard.claims) != 0 || got.event.TokenID != "" {
		t.Errorf("got %d claims, token id %q", len(f.guard.claims), got.event.TokenID)
	}
	if text := got.event.Refusal.Error(); !strings.HasPrefix(text, "issuer: unavailable, token: ") {
		t.Errorf("got %q", text)
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
