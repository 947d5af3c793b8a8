package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	body   = `{"to":"bob","amount":10}`
	target = "/transfers?account=7"
)

func TestAccepted(t *testing.T) {
	covering := holdfast.Policy{Cover: []string{"@query", "content-type"}, CoverBody: true}
	tests := []struct {
		name   string
		policy holdfast.Policy
		make   func(w *world) *http.Request
		want   holdfast.Scheme
		body   bool // its digest is covered
	}{
		{name: "dpop", want: holdfast.SchemeDPoP, make: func(w *world) *http.Request {
			return w.prove(request("GET", target, ""), boundToken)
		}},
		{name: "dpop, scheme in other letters", want: holdfast.SchemeDPoP, make: func(w *world) *http.Request {
			r := w.prove(request("GET", target, ""), boundToken)
			r.Header.Set("Authorization", "dpop  "+boundToken)
			return r
		}},
		{name: "dpop with a signature", policy: covering, want: holdfast.SchemeDPoP, body: true, make: func(w *world) *http.Request {
			r := digested(request("POST", target, body), body)
			r.Header.Set("Content-Type", "application/json")
			return w.beside(w.prove(r, boundToken), "content-type", "content-digest")
		}},
		{name: "dpop with somebody else's signature", want: holdfast.SchemeDPoP, make: func(w *world) *http.Request {
			other, _ := keys.Generate(keys.Ed25519)
			r := w.prove(request("GET", target, ""), boundToken)
			return w.signWith(r, httpsig.SignerConfig{Key: other, Tag: "edge", Components: httpsig.Components("@method")})
		}},
		{name: "dpop, policy within what it covers", policy: holdfast.Policy{Cover: []string{"@method", "@path"}}, want: holdfast.SchemeDPoP, make: func(w *world) *http.Request {
			return w.prove(request("GET", target, ""), boundToken)
		}},
		{name: "dpop, demanded field not there", policy: holdfast.Policy{Cover: []string{"content-type"}}, want: holdfast.SchemeDPoP, make: func(w *world) *http.Request {
			return w.prove(request("GET", target, ""), boundToken)
		}},
		{name: "httpsig with a run-time key", want: holdfast.SchemeHTTPSig, make: func(w *world) *http.Request {
			return w.httpsigRequest(request("GET", target, ""))
		}},
		{name: "httpsig with a pre-registered key", want: holdfast.SchemeHTTPSig, make: func(w *world) *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Authorization", "HTTPSig "+jwkToken)
			return w.sign(r, holdfast.TagHTTPSig, "@method", "@target-uri", "authorization")
		}},
		{name: "httpsig, body covered", policy: covering, want: holdfast.SchemeHTTPSig, body: true, make: func(w *world) *http.Request {
			return w.httpsigRequest(digested(request("POST", target, body), body), "content-digest")
		}},
		{name: "bearer observed", policy: holdfast.Policy{Bearer: holdfast.InsecureBearerObserved}, want: holdfast.SchemeBearer, make: func(w *world) *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Authorization", "Bearer "+bearerToken)
			return r
		}},
		{name: "scope", policy: holdfast.Policy{Scope: []string{"read"}}, want: holdfast.SchemeDPoP, make: func(w *world) *http.Request {
			return w.prove(request("GET", target, ""), boundToken)
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			v, err := w.verifier(tc.policy).Check(tc.make(w))
			if err != nil {
				t.Fatal(err)
			}
			if v.Scheme != tc.want || v.BodyCovered != tc.body || v.TargetURI != origin+target {
				t.Errorf("got scheme %s, body covered %t, target %s; want %s, %t, %s", v.Scheme, v.BodyCovered, v.TargetURI, tc.want, tc.body, origin+target)
			}
			if v.Scheme != holdfast.SchemeBearer && v.Key != w.signer.Public().Thumbprint() {
				t.Errorf("got key %s, want the signer's", v.Key)
			}
		})
	}
}

// TestRefused has one row per rule. Each request differs from an accepted one in one thing.
func TestRefused(t *testing.T) {
	get := func(w *world) *http.Request { return w.prove(request("GET", target, ""), boundToken) }
	post := func(w *world) *http.Request {
		return w.httpsigRequest(digested(request("POST", target, body), body), "content-digest")
	}
	edit := func(make func(*world) *http.Request, f func(*http.Request)) func(*world) *http.Request {
		return func(w *world) *http.Request {
			r := make(w)
			f(r)
			return r
		}
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tests := []struct {
		name   string
		policy holdfast.Policy
		make   func(w *world) *http.Request
		reason string
		status int
	}{
		{name: "no credential", make: edit(get, func(r *http.Request) { r.Header.Del("Authorization") }), reason: holdfast.ReasonCredentialMissing, status: 401},
		{name: "two Authorization fields", make: edit(get, func(r *http.Request) { r.Header.Add("Authorization", "DPoP "+boundToken) }), reason: holdfast.ReasonCredentialAmbiguous, status: 400},
		{name: "token in the query too", make: func(w *world) *http.Request {
			return w.prove(request("GET", target+"&access_token=x", ""), boundToken)
		}, reason: holdfast.ReasonCredentialAmbiguous, status: 400},
		{name: "token in the query, spelt otherwise", make: func(w *world) *http.Request {
			return w.prove(request("GET", target+"&access%5Ftoken=x", ""), boundToken)
		}, reason: holdfast.ReasonCredentialAmbiguous, status: 400},
		{name: "scheme alone", make: edit(get, set("Authorization", "DPoP")), reason: holdfast.ReasonCredentialMalformed, status: 401},
		{name: "quoted token", make: edit(get, set("Authorization", `DPoP "`+boundToken+`"`)), reason: holdfast.ReasonCredentialMalformed, status: 401},
		{name: "another scheme", make: edit(get, set("Authorization", "Basic "+boundToken)), reason: holdfast.ReasonSchemeRefused, status: 401},
		{name: "unknown token", make: func(w *world) *http.Request { return w.prove(request("GET", target, ""), "another") }, reason: "token-signature", status: 401},
		{name: "bound token as Bearer", make: edit(get, set("Authorization", "Bearer "+boundToken)), reason: holdfast.ReasonDowngrade, status: 401},
		{name: "bound token as Bearer where bearers are observed", policy: holdfast.Policy{Bearer: holdfast.InsecureBearerObserved}, make: edit(get, set("Authorization", "bearer "+boundToken)), reason: holdfast.ReasonDowngrade, status: 401},
		{name: "jkt-bound token as HTTPSig", make: edit(get, set("Authorization", "HTTPSig "+boundToken)), reason: holdfast.ReasonDowngrade, status: 401},
		{name: "htsk-bound token as DPoP", make: func(w *world) *http.Request { return w.prove(request("GET", target, ""), runtimeToken) }, reason: holdfast.ReasonDowngrade, status: 401},
		{name: "certificate-bound token as DPoP", make: func(w *world) *http.Request { return w.prove(request("GET", target, ""), certToken) }, reason: holdfast.ReasonDowngrade, status: 401},
		{name: "token with an unknown confirmation", make: func(w *world) *http.Request {
			w.config.Tokens.(tokenTable)[boundToken].Confirmation.Binding = "osc"
			return w.prove(request("GET", target, ""), boundToken)
		}, reason: holdfast.ReasonBindingUnsupported, status: 401},
		{name: "unbound token as DPoP", policy: holdfast.Policy{Bearer: holdfast.InsecureBearerObserved}, make: func(w *world) *http.Request { return w.prove(request("GET", target, ""), bearerToken) }, reason: holdfast.ReasonUnbound, status: 401},
		{name: "unbound token as Bearer", make: edit(get, set("Authorization", "Bearer "+bearerToken)), reason: holdfast.ReasonUnbound, status: 401},
		{name: "scheme not in the policy", policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeHTTPSig}}, make: get, reason: holdfast.ReasonSchemeRefused, status: 401},
		{name: "no proof", make: edit(get, func(r *http.Request) { r.Header.Del("DPoP") }), reason: string(dpop.FieldCount), status: 401},
		{name: "proof for another path", make: edit(get, func(r *http.Request) { r.RequestURI = "/accounts?account=7" }), reason: string(dpop.TargetMismatch), status: 401},
		{name: "proof for another token", make: func(w *world) *http.Request {
			return w.prove(request("GET", target, ""), boundToken, func(p *dpop.Params) { p.Token = "another" })
		}, reason: string(dpop.TokenMismatch), status: 401},
		{name: "proof by another key", make: func(w *world) *http.Request {
			w.signer, _ = keys.Generate(keys.ES256)
			return w.prove(request("GET", target, ""), boundToken)
		}, reason: string(dpop.KeyMismatch), status: 401},
		{name: "proof too old", make: func(w *world) *http.Request {
			return w.prove(request("GET", target, ""), boundToken, func(p *dpop.Params) { p.Now = w.now.Add(-66 * time.Second) })
		}, reason: string(dpop.TooOld), status: 401},
		{name: "no signature", make: edit(post, func(r *http.Request) { r.Header.Del("Signature-Input") }), reason: string(httpsig.Missing), status: 401},
		{name: "httpsig without authorization covered", make: func(w *world) *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Authorization", "HTTPSig "+runtimeToken)
			return w.sign(r, holdfast.TagHTTPSig, "@method", "@target-uri")
		}, reason: string(httpsig.CoverageMissing), status: 401},
		{name: "httpsig without nonce", make: func(w *world) *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Authorization", "HTTPSig "+runtimeToken)
			return w.signWith(r, httpsig.SignerConfig{Key: w.signer, Tag: holdfast.TagHTTPSig, Nonce: httpsig.NoNonce, Components: httpsig.Components("@method", "@target-uri", "authorization")})
		}, reason: string(httpsig.ParamRefused), status: 401},
		{name: "httpsig with alg", make: func(w *world) *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Authorization", "HTTPSig "+runtimeToken)
			return w.signWith(r, httpsig.SignerConfig{Key: w.signer, Tag: holdfast.TagHTTPSig, Alg: true, Components: httpsig.Components("@method", "@target-uri", "authorization")})
		}, reason: string(httpsig.ParamRefused), status: 401},
		{name: "httpsig under another query", make: edit(post, func(r *http.Request) { r.RequestURI = "/transfers?account=8" }), reason: string(httpsig.BadSignature), status: 401},
		{name: "query demanded of plain dpop", policy: holdfast.Policy{Cover: []string{"@query"}}, make: get, reason: holdfast.ReasonCoverage, status: 401},
		{name: "field demanded of plain dpop", policy: holdfast.Policy{Cover: []string{"content-type"}}, make: edit(get, set("Content-Type", "text/plain")), reason: holdfast.ReasonCoverage, status: 401},
		{name: "body demanded of plain dpop", policy: holdfast.Policy{CoverBody: true}, make: func(w *world) *http.Request { return w.prove(request("POST", target, body), boundToken) }, reason: holdfast.ReasonCoverage, status: 401},
		{name: "body added to a request without", policy: holdfast.Policy{CoverBody: true}, make: edit(func(w *world) *http.Request { return w.httpsigRequest(request("POST", target, "")) }, func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}), reason: holdfast.ReasonCoverage, status: 401},
		{name: "field added after signing", policy: holdfast.Policy{Cover: []string{"idempotency-key"}}, make: edit(post, set("Idempotency-Key", "x")), reason: holdfast.ReasonCoverage, status: 401},
		{name: "signature beside the proof by another key", make: func(w *world) *http.Request {
			r := w.prove(request("GET", target, ""), boundToken)
			other, _ := keys.Generate(keys.ES256)
			return w.signWith(r, httpsig.SignerConfig{Key: other, Tag: holdfast.TagProof, Components: httpsig.Components("@method", "@target-uri", "authorization", "dpop")})
		}, reason: string(httpsig.BadSignature), status: 401},
		{name: "signature beside another proof", make: func(w *world) *http.Request {
			r := w.beside(w.prove(request("GET", target, ""), boundToken))
			return w.prove(r, boundToken)
		}, reason: string(httpsig.BadSignature), status: 401},
		{name: "body removed", make: edit(post, func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 }), reason: string(contentdigest.Mismatch), status: 400},
		{name: "buffered body changed", policy: holdfast.Policy{Body: holdfast.BodyBuffered}, make: edit(post, func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "bob", "eve", 1)))
		}), reason: string(contentdigest.Mismatch), status: 400},
		{name: "buffered body too large", policy: holdfast.Policy{Body: holdfast.BodyBuffered, BodyLimit: 4}, make: post, reason: string(contentdigest.TooLarge), status: 413},
		{name: "scope", policy: holdfast.Policy{Scope: []string{"write"}}, make: get, reason: holdfast.ReasonScope, status: 403},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.verifier(tc.policy).Check(tc.make(w))
			if got := refusal(t, err, tc.reason); got.Status != tc.status {
				t.Errorf("got status %d, want %d", got.Status, tc.status)
			}
			if n := w.config.Replay.(*replay.Memory).Len(); n != 0 {
				t.Errorf("a refused request left %d ids in the guard", n)
			}
		})
	}
}

func TestConcurrentReplayHasOneWinner(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(holdfast.Policy{})
	if passed, replayed := contest(v, w.prove(request("GET", target, ""), boundToken), 200); passed != 1 || replayed != 199 {
		t.Errorf("got %d passed and %d replayed, want 1 and 199", passed, replayed)
	}
}

func TestHTTPSigNonceWorksOnce(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(holdfast.Policy{})
	r := w.httpsigRequest(request("GET", target, ""))
	if _, err := v.Check(r); err != nil {
		t.Fatal(err)
	}
	_, err := v.Check(r)
	refusal(t, err, holdfast.ReasonReplayed)
}

func TestRestartedNodeRefusesOlderProofs(t *testing.T) {
	w := newWorld(t)
	r := w.prove(request("GET", target, ""), boundToken)
	w.now = w.now.Add(10 * time.Second)
	w.config.Replay = w.newGuard(replay.MemoryConfig{})
	_, err := w.verifier(holdfast.Policy{}).Check(r)
	got := refusal(t, err, holdfast.ReasonRestarted)
	if got.Status != 401 || !strings.Contains(got.Header.Get("WWW-Authenticate"), `reason="restarted"`) {
		t.Errorf("got status %d, challenge %q; want 401 with the reason", got.Status, got.Header.Get("WWW-Authenticate"))
	}
}

// failingGuard is a store that is away.
type failingGuard struct{}

func (failingGuard) Claim(context.Context, replay.Claim) error {
	return errors.New("connection refused")
}

func TestUnavailableGuardFailsClosed(t *testing.T) {
	w := newWorld(t)
	w.config.Replay = failingGuard{}
	_, err := w.verifier(holdfast.Policy{}).Check(w.prove(request("GET", target, ""), boundToken))
	got := refusal(t, err, holdfast.ReasonReplayUnavailable)
	if got.Status != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("got status %d, Retry-After %q; want 503 with one", got.Status, got.Header.Get("Retry-After"))
	}
}

func TestStreamedBodyNeverEndsCleanlyOnMismatch(t *testing.T) {
	w := newWorld(t)
	r := w.httpsigRequest(digested(request("POST", target, body), body), "content-digest")
	r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "bob", "eve", 1)))
	if _, err := w.verifier(holdfast.Policy{}).Check(r); err != nil {
		t.Fatal(err)
	}
	_, err := io.ReadAll(r.Body)
	var de *contentdigest.Error
	if !errors.As(err, &de) || de.Reason != contentdigest.Mismatch {
		t.Errorf("got %v, want a digest mismatch", err)
	}
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read before the proof held")
	return 0, io.EOF
}
func (unread) Close() error { return nil }

func TestHazardBodyReadBeforeProof(t *testing.T) {
	w := newWorld(t)
	r := w.httpsigRequest(digested(request("POST", target, body), body), "content-digest")
	r.Header.Set("Signature", "sig1=:"+strings.Repeat("A", 86)+"==:")
	r.Body = unread{t}
	_, err := w.verifier(holdfast.Policy{CoverBody: true, Body: holdfast.BodyBuffered}).Check(r)
	refusal(t, err, string(httpsig.BadSignature))
}

func TestHazardBoundTokenAsBearer(t *testing.T) {
	for _, scheme := range []string{"Bearer", "bearer", "BEARER", "HTTPSig"} {
		for _, mode := range []holdfast.BearerMode{holdfast.BearerRefused, holdfast.InsecureBearerObserved} {
			t.Run(fmt.Sprint(scheme, mode), func(t *testing.T) {
				w := newWorld(t)
				r := w.prove(request("GET", target, ""), boundToken)
				r.Header.Set("Authorization", scheme+" "+boundToken)
				_, err := w.verifier(holdfast.Policy{Bearer: mode}).Check(r)
				refusal(t, err, holdfast.ReasonDowngrade)
			})
		}
	}
}

func TestHazardReplayKeyedByIDAlone(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(holdfast.Policy{})
	same := func(p *dpop.Params) { p.ID = "the-same-id" }
	if _, err := v.Check(w.prove(request("GET", target, ""), boundToken, same)); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t)
	other.config.Replay = w.config.Replay
	if _, err := other.verifier(holdfast.Policy{}).Check(other.prove(request("GET", target, ""), boundToken, same)); err != nil {
		t.Errorf("another client's use of the id was refused: %v", err)
	}
}

func TestHazardReplayEntryExpiresBeforeFutureDatedProof(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(holdfast.Policy{})
	r := w.prove(request("GET", target, ""), boundToken, func(p *dpop.Params) { p.Now = w.now.Add(5 * time.Second) })
	if _, err := v.Check(r); err != nil {
		t.Fatal(err)
	}
	for range 80 {
		w.now = w.now.Add(time.Second)
		if _, err := v.Check(r); err == nil {
			t.Fatalf("accepted again after %s", w.now.Sub(start))
		}
	}
}

func TestHazardForwardedHostFromClient(t *testing.T) {
	w := newWorld(t)
	w.config.External = holdfast.External{Hosts: []string{"api.example"}}
	r := request("GET", target, "")
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("X-Forwarded-Proto", "https")
	proof, err := dpop.Sign(w.signer, dpop.Params{Method: "GET", TargetURI: "https://evil.example" + target, Token: boundToken, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "DPoP "+boundToken)
	r.Header.Set("DPoP", proof)
	_, err = w.verifier(holdfast.Policy{}).Check(r)
	refusal(t, err, string(dpop.TargetMismatch))
}

func TestCoverageChallenge(t *testing.T) {
	w := newWorld(t)
	r := w.prove(request("POST", target, body), boundToken)
	r.Header.Set("Content-Type", "application/json")
	_, err := w.verifier(holdfast.Policy{Cover: []string{"content-type", "if-match"}, CoverBody: true}).Check(r)
	got := refusal(t, err, holdfast.ReasonCoverage)
	want := `sig1=("@method" "@target-uri" "authorization" "dpop" "content-type" "content-digest");created;nonce;tag="holdfast-proof"`
	if diff := cmp.Diff(want, got.Header.Get("Accept-Signature")); diff != "" {
		t.Errorf("Accept-Signature (-want +got):\n%s", diff)
	}
}

func TestChallenges(t *testing.T) {
	w := newWorld(t)
	w.config.Realm = `a "b"`
	v := w.verifier(holdfast.Policy{})
	tests := []struct {
		name string
		r    *http.Request
		want []string
	}{
		{"no credential", request("GET", target, ""), []string{`DPoP realm="a \"b\"", algs="ES256 ES384 ES512 Ed25519 EdDSA"`, `HTTPSig realm="a \"b\""`}},
		{"no proof", func() *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Authorization", "DPoP "+boundToken)
			return r
		}(), []string{`DPoP realm="a \"b\"", error="invalid_dpop_proof", reason="dpop-field-count", algs="ES256 ES384 ES512 Ed25519 EdDSA"`, `HTTPSig realm="a \"b\""`}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			v.Handler(http.NotFoundHandler()).ServeHTTP(rec, tc.r)
			if diff := cmp.Diff(tc.want, rec.Header()["Www-Authenticate"]); diff != "" {
				t.Errorf("WWW-Authenticate (-want +got):\n%s", diff)
			}
			if rec.Code != 401 || rec.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("got %d, Cache-Control %q; want 401, no-store", rec.Code, rec.Header().Get("Cache-Control"))
			}
		})
	}
}

func TestNonceChallengeAndRotation(t *testing.T) {
	w := newWorld(t)
	nonces, err := dpop.NewNonces(dpop.NoncesConfig{Secret: make([]byte, 32), Scope: "test", Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	w.config.Nonces = nonces
	var served int
	h := w.verifier(holdfast.Policy{}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		served++
		if _, ok := holdfast.FromContext(r.Context()); !ok {
			t.Error("no verdict in the context")
		}
	}))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, w.prove(request("GET", target, ""), boundToken))
	nonce := rec.Header().Get("DPoP-Nonce")
	if rec.Code != 401 || nonce == "" || !strings.Contains(rec.Header().Get("WWW-Authenticate"), `error="use_dpop_nonce"`) {
		t.Fatalf("got %d %v, want a nonce challenge", rec.Code, rec.Header())
	}
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, w.prove(request("GET", target, ""), boundToken, func(p *dpop.Params) { p.Nonce = nonce }))
	if rec.Code != 200 || rec.Header().Get("DPoP-Nonce") == "" || served != 1 {
		t.Errorf("got %d, served %d times, nonce %q; want 200, once, and the next nonce", rec.Code, served, rec.Header().Get("DPoP-Nonce"))
	}
}

// observed records what observers are told.
type observed struct {
	verdicts []*holdfast.Verdict
	reasons  []string
}

func (o *observed) Observe(_ context.Context, _ *http.Request, v *holdfast.Verdict, r *holdfast.Refusal) {
	if v != nil {
		o.verdicts = append(o.verdicts, v)
	}
	if r != nil {
		o.reasons = append(o.reasons, r.Reason)
	}
}

func TestObserversSeeEverything(t *testing.T) {
	w := newWorld(t)
	o := &observed{}
	w.config.Observers = []holdfast.Observer{o}
	v := w.verifier(holdfast.Policy{Bearer: holdfast.InsecureBearerObserved})
	bearer := request("GET", target, "")
	bearer.Header.Set("Authorization", "Bearer "+bearerToken)
	for _, r := range []*http.Request{bearer, request("GET", target, "")} {
		_, _ = v.Check(r) // both outcomes are looked at below
	}
	if len(o.verdicts) != 1 || o.verdicts[0].Scheme != holdfast.SchemeBearer {
		t.Errorf("got verdicts %v, want the bearer's", o.verdicts)
	}
	if diff := cmp.Diff([]string{holdfast.ReasonCredentialMissing}, o.reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestRefusalTellsThePeerLess(t *testing.T) {
	w := newWorld(t)
	r := w.prove(request("GET", target, ""), boundToken)
	r.RequestURI = "/secret-internal-path"
	_, err := w.verifier(holdfast.Policy{}).Check(r)
	got := refusal(t, err, string(dpop.TargetMismatch))
	if !strings.Contains(got.Error(), "secret-internal-path") {
		t.Errorf("the log isn't told what was expected: %v", got)
	}
	rec := httptest.NewRecorder()
	got.ServeHTTP(rec, r)
	if answer := fmt.Sprint(rec.Header()) + rec.Body.String(); strings.Contains(answer, "secret-internal-path") || strings.Contains(answer, boundToken) {
		t.Errorf("the peer is told too much: %s", answer)
	}
	if strings.Contains(got.Error(), boundToken) {
		t.Errorf("the log holds a token: %v", got)
	}
}
