package holdfast_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/popstream"
	"github.com/holdfast-project/holdfast/replay"
)

// withSessions lets the world's verifiers begin sessions.
func (w *world) withSessions() *world {
	w.t.Helper()
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		w.t.Fatal(err)
	}
	w.config.Signer = signer
	w.config.Sessions = &holdfast.Sessions{
		Secrets: []popsession.Secret{{ID: "one", Key: bytes.Repeat([]byte{1}, 32)}}, Windows: w.newWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true}),
	}
	tokens := w.config.Tokens.(tokenTable)
	for text, token := range tokens {
		token.Hash, token.Expires = sha256.Sum256([]byte(text)), w.now.Add(time.Hour)
	}
	return w
}

func (w *world) newWindows(cfg replay.MemoryWindowsConfig) *replay.MemoryWindows {
	w.t.Helper()
	cfg.Now = func() time.Time { return w.now }
	windows, err := replay.NewMemoryWindows(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return windows
}

// offered is a request that offers a session by DPoP.
func (w *world) offered(offer *popsession.Offer) *http.Request {
	field := offer.Field()
	sum := sha256.Sum256([]byte(field))
	r := w.prove(request("GET", target, ""), boundToken, func(p *dpop.Params) {
		p.Claims = map[string]any{"pso": base64.RawURLEncoding.EncodeToString(sum[:])}
	})
	r.Header.Set("PoP-Session-Offer", field)
	return r
}

func newOffer(t testing.TB, curves ...popsession.Curve) *popsession.Offer {
	t.Helper()
	offer, err := popsession.NewOffer(curves...)
	if err != nil {
		t.Fatal(err)
	}
	return offer
}

// answered serves r and returns the answer's header.
func answered(v *holdfast.Verifier, r *http.Request) (int, http.Header) {
	rec := httptest.NewRecorder()
	v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })).ServeHTTP(rec, r)
	return rec.Code, rec.Header()
}

// session begins one.
func (w *world) session(v *holdfast.Verifier) *popsession.Session {
	w.t.Helper()
	offer := newOffer(w.t)
	code, h := answered(v, w.offered(offer))
	if code != http.StatusOK || h.Get("PoP-Session") == "" || h.Get("Cache-Control") != "no-store" {
		w.t.Fatalf("got %d %v, want an answer to the offer", code, h)
	}
	return w.accept(offer, h, boundToken)
}

func (w *world) accept(offer *popsession.Offer, h http.Header, token string) *popsession.Session {
	w.t.Helper()
	s, err := offer.Accept(h["Pop-Session"], popsession.Binding{
		Thumbprint: w.signer.Public().Thumbprint(), TokenHash: sha256.Sum256([]byte(token)), Audience: origin,
	}, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// mac makes r a request of the session.
func (w *world) mac(r *http.Request, s *popsession.Session, more ...string) *http.Request {
	w.t.Helper()
	return w.macWith(r, s, httpsig.SignerConfig{}, more...)
}

func (w *world) macWith(r *http.Request, s *popsession.Session, cfg httpsig.SignerConfig, more ...string) *http.Request {
	w.t.Helper()
	r.Header.Set("Authorization", "PoP-Session "+s.Ticket())
	if cfg.Secret == nil {
		cfg.Secret = s.Keys().RequestSecret()
	}
	if cfg.Tag == "" {
		cfg.Tag = holdfast.TagSession
	}
	if cfg.Nonce == nil {
		n, err := s.NextCounter()
		if err != nil {
			w.t.Fatal(err)
		}
		cfg.Nonce = func() string { return fmt.Sprint(n) }
	}
	if cfg.Components == nil {
		cfg.Components = httpsig.Components(append([]string{"@method", "@target-uri", "authorization"}, more...)...)
	}
	return w.signWith(r, cfg)
}

func TestSessionResumes(t *testing.T) {
	for _, tickets := range []int{0, -1} {
		t.Run(fmt.Sprint("cache ", tickets), func(t *testing.T) {
			w := newWorld(t).withSessions()
			w.config.Sessions.Tickets = tickets
			v := w.verifier(holdfast.Policy{})
			s := w.session(v)
			for range 3 {
				got, err := v.Check(w.mac(request("GET", target, ""), s))
				if err != nil {
					t.Fatal(err)
				}
				if got.Scheme != holdfast.SchemeSession || got.Session == nil || got.Session.Scheme != holdfast.SchemeDPoP || got.Session.ID != s.ID() ||
					got.Token.Subject != "alice" || got.Key != w.signer.Public().Thumbprint() {
					t.Errorf("got verdict %+v", got)
				}
			}
		})
	}
}

func TestSessionByHTTPSigOnBothCurves(t *testing.T) {
	for _, curve := range []popsession.Curve{popsession.P256, popsession.X25519} {
		t.Run(string(curve), func(t *testing.T) {
			w := newWorld(t).withSessions()
			v := w.verifier(holdfast.Policy{})
			offer := newOffer(t, curve)
			r := request("GET", target, "")
			r.Header.Set("PoP-Session-Offer", offer.Field())
			_, h := answered(v, w.httpsigRequest(r, "pop-session-offer"))
			got, err := v.Check(w.mac(request("GET", target, ""), w.accept(offer, h, runtimeToken)))
			if err != nil {
				t.Fatal(err)
			}
			if got.Session.Scheme != holdfast.SchemeHTTPSig {
				t.Errorf("got a session established by %s", got.Session.Scheme)
			}
		})
	}
}

// TestSessionInAnyNode: another node with the fleet's secret opens the ticket without having seen it.
func TestSessionInAnyNode(t *testing.T) {
	w := newWorld(t).withSessions()
	s := w.session(w.verifier(holdfast.Policy{}))
	w.config.Sessions.Windows = w.newWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true})
	if _, err := w.verifier(holdfast.Policy{}).Check(w.mac(request("GET", target, ""), s)); err != nil {
		t.Fatal(err)
	}
}

func TestUncoveredOfferIsIgnored(t *testing.T) {
	w := newWorld(t).withSessions()
	r := w.prove(request("GET", target, ""), boundToken)
	r.Header.Set("PoP-Session-Offer", newOffer(t).Field())
	swapped := w.offered(newOffer(t))
	swapped.Header.Set("PoP-Session-Offer", newOffer(t).Field())
	signed := w.httpsigRequest(request("GET", target, ""))
	signed.Header.Set("PoP-Session-Offer", newOffer(t).Field())
	for name, r := range map[string]*http.Request{"added": r, "swapped": swapped, "added to httpsig": signed} {
		if code, h := answered(w.verifier(holdfast.Policy{}), r); code != http.StatusOK || h.Get("PoP-Session") != "" {
			t.Errorf("%s: got %d, answer %q; want the request served without a session", name, code, h.Get("PoP-Session"))
		}
	}
}

// TestAnswerIsSigned: a client that knows the resource's key can tell a swapped share.
func TestAnswerIsSigned(t *testing.T) {
	w := newWorld(t).withSessions()
	r := w.offered(newOffer(t))
	_, h := answered(w.verifier(holdfast.Policy{}), r)
	v, err := httpsig.NewVerifier(httpsig.Config{
		Tag: holdfast.TagSessionAnswer, One: true, MaxAge: time.Minute, Now: func() time.Time { return w.now },
		Required: httpsig.Components(`"pop-session"`, `"pop-session-offer";req`, `"dpop";req`),
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := httpsig.NewJOSEKey(w.config.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	verify := func(h http.Header) error {
		_, err := v.Verify(t.Context(), &httpsig.Message{Status: 200, Header: h, Request: httpsig.RequestMessage(r, origin+target)},
			func(context.Context, *httpsig.Input) (*httpsig.Key, error) { return key, nil })
		return err
	}
	if err := verify(h); err != nil {
		t.Fatal(err)
	}
	_, other := answered(w.verifier(holdfast.Policy{}), w.offered(newOffer(t)))
	h.Set("PoP-Session", other.Get("PoP-Session"))
	if err := verify(h); err == nil {
		t.Error("an answer to another offer passes")
	}
}

func TestSessionRefused(t *testing.T) {
	get := func(w *world, s *popsession.Session) *http.Request { return w.mac(request("GET", target, ""), s) }
	tests := []struct {
		name   string
		policy holdfast.Policy
		make   func(w *world, s *popsession.Session) *http.Request
		after  time.Duration
		reason string
		code   string // the challenge's error
	}{
		{name: "ticket changed", make: func(w *world, s *popsession.Session) *http.Request {
			r := get(w, s)
			field := []byte(r.Header.Get("Authorization"))
			if at := &field[len(field)/2]; *at == 'A' {
				*at = 'B'
			} else {
				*at = 'A'
			}
			r.Header.Set("Authorization", string(field))
			return r
		}, reason: string(popsession.UnknownTicket), code: "unknown_ticket"},
		{name: "ticket at another audience", make: func(w *world, s *popsession.Session) *http.Request {
			w.config.External.Origin = "https://other.example"
			return get(w, s)
		}, reason: string(popsession.UnknownTicket), code: "unknown_ticket"},
		{name: "stolen ticket, own key", make: func(w *world, s *popsession.Session) *http.Request {
			return w.macWith(request("GET", target, ""), s, httpsig.SignerConfig{Secret: bytes.Repeat([]byte{7}, 32)})
		}, reason: string(httpsig.BadSignature), code: "bad_mac"},
		{name: "stolen ticket, signature in place of a MAC", make: func(w *world, s *popsession.Session) *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Authorization", "PoP-Session "+s.Ticket())
			return w.signWith(r, httpsig.SignerConfig{Key: w.signer, Tag: holdfast.TagSession, Nonce: func() string { return "1" }, Components: httpsig.Components("@method", "@target-uri", "authorization")})
		}, reason: string(httpsig.BadSignature), code: "bad_mac"},
		{name: "response key in place of the request's", make: func(w *world, s *popsession.Session) *http.Request {
			return w.macWith(request("GET", target, ""), s, httpsig.SignerConfig{Secret: s.Keys().ResponseSecret()})
		}, reason: string(httpsig.BadSignature), code: "bad_mac"},
		{name: "other query", make: func(w *world, s *popsession.Session) *http.Request {
			r := get(w, s)
			r.RequestURI = "/transfers?account=8"
			return r
		}, reason: string(httpsig.BadSignature), code: "bad_mac"},
		{name: "counter 0", make: func(w *world, s *popsession.Session) *http.Request {
			return w.macWith(request("GET", target, ""), s, httpsig.SignerConfig{Nonce: func() string { return "0" }})
		}, reason: string(popsession.BadCounter), code: "invalid_request"},
		{name: "counter spelt otherwise", make: func(w *world, s *popsession.Session) *http.Request {
			return w.macWith(request("GET", target, ""), s, httpsig.SignerConfig{Nonce: func() string { return "01" }})
		}, reason: string(popsession.BadCounter), code: "invalid_request"},
		{name: "authorization uncovered", make: func(w *world, s *popsession.Session) *http.Request {
			return w.macWith(request("GET", target, ""), s, httpsig.SignerConfig{Components: httpsig.Components("@method", "@target-uri")})
		}, reason: string(httpsig.CoverageMissing), code: "invalid_request"},
		{name: "another tag", make: func(w *world, s *popsession.Session) *http.Request {
			return w.macWith(request("GET", target, ""), s, httpsig.SignerConfig{Tag: holdfast.TagHTTPSig})
		}, reason: string(httpsig.Missing), code: "invalid_request"},
		{name: "no MAC", make: func(w *world, s *popsession.Session) *http.Request {
			r := get(w, s)
			r.Header.Del("Signature-Input")
			r.Header.Del("Signature")
			return r
		}, reason: string(httpsig.Missing), code: "invalid_request"},
		{name: "body uncovered", make: func(w *world, s *popsession.Session) *http.Request { return w.mac(request("POST", target, body), s) }, reason: holdfast.ReasonCoverage, code: "invalid_request"},
		{name: "field demanded", policy: holdfast.Policy{Cover: []string{"content-type"}}, make: func(w *world, s *popsession.Session) *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Content-Type", "text/plain")
			return w.mac(r, s)
		}, reason: holdfast.ReasonCoverage, code: "invalid_request"},
		{name: "too old", make: get, after: 66 * time.Second, reason: string(httpsig.TooOld), code: "invalid_request"},
		{name: "session over", make: func(w *world, s *popsession.Session) *http.Request {
			w.now = w.now.Add(5*time.Minute + time.Second)
			return get(w, s)
		}, reason: string(popsession.Expired), code: "expired"},
		{name: "session older than the policy takes", policy: holdfast.Policy{MaxSessionAge: time.Minute}, make: func(w *world, s *popsession.Session) *http.Request {
			w.now = w.now.Add(61 * time.Second)
			return get(w, s)
		}, reason: string(popsession.Expired), code: "expired"},
		{name: "signature demanded", policy: holdfast.Policy{RequireSignature: true}, make: get, reason: holdfast.ReasonSessionRefused, code: "invalid_request"},
		{name: "established by a scheme that the route doesn't take", policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeHTTPSig}}, make: get, reason: holdfast.ReasonSessionRefused, code: "invalid_request"},
		{name: "scope", policy: holdfast.Policy{Scope: []string{"write"}}, make: get, reason: holdfast.ReasonScope, code: "invalid_request"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t).withSessions()
			s := w.session(w.verifier(holdfast.Policy{}))
			r := tc.make(w, s)
			w.now = w.now.Add(tc.after)
			_, err := w.verifier(tc.policy).Check(r)
			got := refusal(t, err, tc.reason)
			if challenge := got.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `PoP-Session error="`+tc.code+`"`) {
				t.Errorf("got challenge %q, want the error %s", challenge, tc.code)
			}
		})
	}
}

func TestSessionsOffRefusesTickets(t *testing.T) {
	w := newWorld(t).withSessions()
	s := w.session(w.verifier(holdfast.Policy{}))
	w.config.Sessions = nil
	_, err := w.verifier(holdfast.Policy{}).Check(w.mac(request("GET", target, ""), s))
	refusal(t, err, holdfast.ReasonSchemeRefused)
}

func TestSessionCounterHasOneWinner(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{})
	if passed, replayed := contest(v, w.mac(request("GET", target, ""), w.session(v)), 200); passed != 1 || replayed != 199 {
		t.Errorf("got %d passed and %d replayed, want 1 and 199", passed, replayed)
	}
}

// TestHazardWindowMarkedBeforeMAC: a forger must not use up counters.
func TestHazardWindowMarkedBeforeMAC(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{})
	s := w.session(v)
	honest := w.mac(request("GET", target, ""), s)
	forged := w.macWith(request("GET", target, ""), s, httpsig.SignerConfig{Secret: bytes.Repeat([]byte{7}, 32), Nonce: func() string { return "1" }})
	_, err := v.Check(forged)
	refusal(t, err, string(httpsig.BadSignature))
	if _, err := v.Check(honest); err != nil {
		t.Errorf("the honest request with this counter: %v", err)
	}
}

// TestClockOfASlowClient: a client whose clock is off when the session begins may be off all through it.
func TestClockOfASlowClient(t *testing.T) {
	w := newWorld(t).withSessions()
	w.config.Freshness = 60 * time.Second
	v := w.verifier(holdfast.Policy{})
	behind := 50 * time.Second
	w.now = w.now.Add(-behind)
	offer := newOffer(t)
	r := w.offered(offer)
	w.now = w.now.Add(behind)
	_, h := answered(v, r)
	s := w.accept(offer, h, boundToken)
	w.now = w.now.Add(-behind)
	later := w.mac(request("GET", target, ""), s)
	w.now = w.now.Add(behind + 40*time.Second)
	if _, err := v.Check(later); err != nil {
		t.Errorf("40 s after it was made: %v", err)
	}
}

// TestFirstProofThatWasDelayed: the time that it took says nothing about the client's clock.
func TestFirstProofThatWasDelayed(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{})
	offer := newOffer(t)
	r := w.offered(offer)
	w.now = w.now.Add(20 * time.Second)
	_, h := answered(v, r)
	if _, err := v.Check(w.mac(request("GET", target, ""), w.accept(offer, h, boundToken))); err != nil {
		t.Error(err)
	}
}

// TestRestartedNodeRefusesOlderMACs, but the session goes on.
func TestRestartedNodeRefusesOlderMACs(t *testing.T) {
	w := newWorld(t).withSessions()
	s := w.session(w.verifier(holdfast.Policy{}))
	before := w.mac(request("GET", target, ""), s)
	w.now = w.now.Add(time.Second)
	w.config.Sessions.Windows = w.newWindows(replay.MemoryWindowsConfig{})
	v := w.verifier(holdfast.Policy{})
	w.now = w.now.Add(10 * time.Second)
	_, err := v.Check(before)
	refusal(t, err, holdfast.ReasonRestarted)
	if _, err := v.Check(w.mac(request("GET", target, ""), s)); err != nil {
		t.Errorf("made after the restart: %v", err)
	}
}

// streamed is a request of the session whose body is framed; edit may change the frames.
func (w *world) streamed(s *popsession.Session, payload string, edit func([]byte) []byte) *http.Request {
	w.t.Helper()
	params := popstream.Params{Chunk: 8}
	r := request("POST", target, "x")
	r.Header.Set("PoP-Stream", params.Field())
	r = w.mac(r, s, "pop-stream")
	_, value, _ := strings.Cut(r.Header.Get("Signature"), "=:")
	signature, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(value, ":"))
	if err != nil {
		w.t.Fatal(err)
	}
	frames, err := io.ReadAll(popstream.NewFramer(strings.NewReader(payload), popstream.BodyKey(s.Keys().RequestSecret(), signature), params))
	if err != nil {
		w.t.Fatal(err)
	}
	if edit != nil {
		frames = edit(frames)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(frames)), -1
	return r
}

func TestStreamedBody(t *testing.T) {
	const payload = "a body of several chunks"
	for _, mode := range []holdfast.BodyMode{holdfast.BodyStreamed, holdfast.BodyBuffered} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			w := newWorld(t).withSessions()
			v := w.verifier(holdfast.Policy{Body: mode, CoverBody: true})
			s := w.session(v)
			r := w.streamed(s, payload, nil)
			verdict, err := v.Check(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r.Body)
			if err != nil || string(got) != payload || !verdict.BodyCovered {
				t.Errorf("got %q, %v, covered %t", got, err, verdict.BodyCovered)
			}
			changed := w.streamed(s, payload, func(b []byte) []byte { b[len(b)-40] ^= 1; return b })
			_, err = v.Check(changed)
			if mode == holdfast.BodyBuffered {
				refusal(t, err, string(popstream.BadTag))
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var se *popstream.Error
			if got, err := io.ReadAll(changed.Body); !errors.As(err, &se) || !strings.HasPrefix(payload, string(got)) || len(got) == len(payload) {
				t.Errorf("got %q, %v, want an error and nothing that was changed", got, err)
			}
		})
	}
}

// TestStreamedBodyRemoved: a body that was announced and is gone has no end.
func TestStreamedBodyRemoved(t *testing.T) {
	for name, none := range map[string]io.ReadCloser{"empty": http.NoBody, "none": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).withSessions()
			v := w.verifier(holdfast.Policy{Body: holdfast.BodyBuffered})
			r := w.streamed(w.session(v), "a body", nil)
			r.Body, r.ContentLength = none, 0
			_, err := v.Check(r)
			refusal(t, err, string(popstream.Truncated))
		})
	}
}

func TestStreamedBodyOverLimit(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{Body: holdfast.BodyBuffered, BodyLimit: 10})
	s := w.session(v)
	_, err := v.Check(w.streamed(s, "eleven char", nil))
	refusal(t, err, string(contentdigest.TooLarge))
	if _, err := v.Check(w.streamed(s, "ten chars!", nil)); err != nil {
		t.Errorf("a body of the limit's length: %v", err)
	}
}

// TestSecretRotation: tickets of the old secret work until they expire, new ones are sealed under the new secret, and
// no node refuses another's.
func TestSecretRotation(t *testing.T) {
	w := newWorld(t).withSessions()
	old := w.config.Sessions.Secrets
	first := w.session(w.verifier(holdfast.Policy{}))
	w.config.Sessions.Secrets = append(old, popsession.Secret{ID: "two", Key: bytes.Repeat([]byte{2}, 32), NotBefore: w.now.Add(time.Minute)})
	both := w.verifier(holdfast.Policy{})
	w.now = w.now.Add(2 * time.Minute)
	second := w.session(both)
	for name, s := range map[string]*popsession.Session{"old": first, "new": second} {
		if _, err := both.Check(w.mac(request("GET", target, ""), s)); err != nil {
			t.Errorf("%s secret: %v", name, err)
		}
	}
	w.config.Sessions.Secrets = old
	_, err := w.verifier(holdfast.Policy{}).Check(w.mac(request("GET", target, ""), second))
	refusal(t, err, string(popsession.UnknownTicket))
}

func TestRotateSecrets(t *testing.T) {
	w := newWorld(t).withSessions()
	old := w.config.Sessions.Secrets
	root := w.verifier(holdfast.Policy{})
	v, err := root.With(holdfast.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.session(v)
	check := func() error {
		_, err := v.Check(w.mac(request("GET", target, ""), s))
		return err
	}
	for _, step := range []struct {
		name    string
		secrets []popsession.Secret
		want    string // the reason of a refusal
	}{
		{"one more", append(old, popsession.Secret{ID: "two", Key: bytes.Repeat([]byte{2}, 32), NotBefore: w.now.Add(time.Minute)}), ""},
		{"the first gone, although its ticket was opened", []popsession.Secret{{ID: "two", Key: bytes.Repeat([]byte{2}, 32)}}, string(popsession.UnknownTicket)},
		{"back again", old, ""},
	} {
		if err := root.RotateSecrets(step.secrets); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if err := check(); step.want != "" {
			refusal(t, err, step.want)
		} else if err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	if err := root.RotateSecrets(nil); err == nil {
		t.Error("no secrets at all were taken")
	}
	if err := check(); err != nil {
		t.Errorf("after a rotation that was refused: %v", err)
	}
}

func TestRotateSecretsWithoutSessions(t *testing.T) {
	w := newWorld(t)
	if err := w.verifier(holdfast.Policy{}).RotateSecrets([]popsession.Secret{{ID: "one", Key: bytes.Repeat([]byte{1}, 32)}}); err == nil {
		t.Error("taken")
	}
}

func TestSessionsConfigRefused(t *testing.T) {
	for name, edit := range map[string]func(*holdfast.Config){
		"no secret":  func(c *holdfast.Config) { c.Sessions.Secrets = nil },
		"no windows": func(c *holdfast.Config) { c.Sessions.Windows = nil },
		"no signer":  func(c *holdfast.Config) { c.Signer = nil },
		"too long":   func(c *holdfast.Config) { c.Sessions.Lifetime = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).withSessions()
			edit(&w.config)
			if _, err := holdfast.NewVerifier(w.config); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// TestBoundTokenNeverAsSession: the scheme takes tickets only.
func TestBoundTokenNeverAsSession(t *testing.T) {
	w := newWorld(t).withSessions()
	r := w.prove(request("GET", target, ""), boundToken)
	r.Header.Set("Authorization", "PoP-Session "+boundToken)
	_, err := w.verifier(holdfast.Policy{}).Check(r)
	refusal(t, err, string(popsession.UnknownTicket))
}

func TestTicketCacheIsBounded(t *testing.T) {
	w := newWorld(t).withSessions()
	w.config.Sessions.Tickets = 2
	v := w.verifier(holdfast.Policy{})
	var all []*popsession.Session
	for range 5 {
		all = append(all, w.session(v))
	}
	for range 2 {
		for _, s := range all {
			if _, err := v.Check(w.mac(request("GET", target, ""), s)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
