package holdfast_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/dpop"
)

const useNonce = `DPoP error="use_dpop_nonce", algs="ES256"`

func TestTransportNonce(t *testing.T) {
	for _, tc := range []struct {
		name    string
		oneWay  bool
		body    string
		scheme  string   // of the challenge
		nonce   []string // of the challenge
		retried bool
	}{
		{"GET", false, "", useNonce, []string{"n1"}, true},
		{"POST", false, "body", useNonce, []string{"n1"}, true},
		{"beside another challenge", false, "", `Bearer realm="x", ` + useNonce, []string{"n1"}, true},
		{"one-way body", true, "body", useNonce, []string{"n1"}, false},
		{"no nonce", false, "", useNonce, nil, false},
		{"two nonces", false, "", useNonce, []string{"n1", "n2"}, false},
		{"malformed nonce", false, "", useNonce, []string{"n 1"}, false},
		{"other error", false, "", `DPoP error="invalid_token"`, []string{"n1"}, false},
		{"other scheme", false, "", `HTTPSig error="use_dpop_nonce"`, []string{"n1"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := wireKey(t)
			s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 0 {
					w.Header()["Dpop-Nonce"] = tc.nonce
					wireChallenge(w, tc.scheme)
					fmt.Fprint(w, "refused")
				}
			})
			tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key}
			r := wireRequest(t, "POST", s.URL, tc.body)
			if tc.oneWay {
				oneWay(r)
			}
			status, body := sendVia(t, tr, r)
			if !tc.retried {
				s.received(t, 1)
				if status != http.StatusUnauthorized || body != "refused" {
					t.Errorf("got %d %q, want the refusal unchanged", status, body)
				}
				return
			}
			if status != http.StatusOK {
				t.Errorf("got status %d", status)
			}
			all := s.received(t, 2)
			first, second := checkDPoP(t, all[0], key, wireToken, nil), checkDPoP(t, all[1], key, wireToken, nil)
			if second.Nonce() != "n1" || first.ID() == second.ID() {
				t.Errorf("got nonce %q, jti %q after %q", second.Nonce(), second.ID(), first.ID())
			}
			if all[1].body != tc.body {
				t.Errorf("got body %q, want %q", all[1].body, tc.body)
			}
		})
	}
}

// A nonce is used from the next request on, and only at the origin that gave it (RFC 9449, section 8.2).
func TestTransportNonceRemembered(t *testing.T) {
	key := wireKey(t)
	give := func(n int, w http.ResponseWriter, _ *http.Request) { w.Header().Set("DPoP-Nonce", fmt.Sprint("n", n)) }
	a, b := newWireServer(t, httptest.NewServer, give), newWireServer(t, httptest.NewServer, nil)
	tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key}
	for range 3 {
		sendVia(t, tr, wireRequest(t, "GET", a.URL, ""))
		sendVia(t, tr, oneWay(wireRequest(t, "POST", b.URL, "body")))
	}
	for i, want := range []string{"", "n0", "n1"} {
		if got := checkDPoP(t, a.received(t, 3)[i], key, wireToken, nil).Nonce(); got != want {
			t.Errorf("request %d: got nonce %q, want %q", i, got, want)
		}
		if got := checkDPoP(t, b.received(t, 3)[i], key, wireToken, nil).Nonce(); got != "" {
			t.Errorf("request %d: got another origin's nonce %q", i, got)
		}
	}
}

func TestTransportCoverage(t *testing.T) {
	const besides, httpsigs = `"@method" "@target-uri" "authorization" "dpop"`, `"@method" "@target-uri" "authorization"`
	for _, tc := range []struct {
		name, kind, tag string
		asked           string
		covers          string // "" means that the refusal is the caller's
	}{
		{"DPoP", "DPoP", holdfast.TagProof, besides + ` "content-type"`, besides + ` "content-type"`},
		{"DPoP, nothing but the query", "DPoP", holdfast.TagProof, besides, besides},
		{"DPoP, body", "DPoP", holdfast.TagProof, besides + ` "content-digest"`, besides + ` "content-digest" "content-type"`},
		{"httpsig", "httpsig", holdfast.TagHTTPSig, httpsigs + ` "content-type"`, httpsigs + ` "content-type"`},
		{"httpsig, body", "httpsig", holdfast.TagHTTPSig, httpsigs + ` "content-digest"`, httpsigs + ` "content-digest" "content-type"`},

		{"httpsig, nothing new", "httpsig", holdfast.TagHTTPSig, httpsigs, ""},
		{"another kind of signature", "DPoP", holdfast.TagHTTPSigToken, `"@method"`, ""},
		{"a component of responses", "DPoP", holdfast.TagProof, `"@status"`, ""},
		{"a component of another request", "httpsig", holdfast.TagHTTPSig, `"content-type";req`, ""},
		{"a field that net/http adds", "httpsig", holdfast.TagHTTPSig, `"content-length"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := wireKey(t)
			accept := "sig1=(" + tc.asked + `);created;nonce;tag="` + tc.tag + `"`
			scheme := map[string]string{"DPoP": "DPoP", "httpsig": "HTTPSig"}[tc.kind]
			s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 0 {
					wireChallenge(w, scheme+` error="invalid_signature", reason="coverage"`, "Accept-Signature", accept)
				}
			})
			tr := &holdfast.Transport{Source: tokenSource(tc.kind), Signer: key, NoSessions: true}
			post := func() int {
				r := wireRequest(t, "POST", s.URL+"/?q=1", "body")
				r.Header.Set("Content-Type", "text/plain")
				status, _ := sendVia(t, tr, r)
				return status
			}
			status := post()
			if tc.covers == "" {
				s.received(t, 1)
				if status != http.StatusUnauthorized {
					t.Errorf("got status %d", status)
				}
				return
			}
			if status != http.StatusOK {
				t.Errorf("got status %d", status)
			}
			post() // covers at once what was asked before
			for _, got := range s.received(t, 3)[1:] {
				checkSignature(t, got, key, tc.tag, strings.Fields(tc.covers)...)
				if tc.kind == "DPoP" {
					checkDPoP(t, got, key, wireToken, nil)
				}
				if d := got.r.Header["Content-Digest"]; d != nil {
					checkDigest(t, d, got.body)
				}
			}
		})
	}
}

// What an origin once wanted covered must not break streams that it takes without.
func TestTransportCoverageOfStreams(t *testing.T) {
	key := wireKey(t)
	long := strings.Repeat("x", 1<<20+1)
	s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 0 {
			wireChallenge(w, `DPoP error="invalid_signature"`, "Accept-Signature", `sig1=("@method" "content-digest");tag="holdfast-proof"`)
		}
	})
	tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key}
	sendVia(t, tr, wireRequest(t, "POST", s.URL, "body"))
	sendVia(t, tr, oneWay(wireRequest(t, "POST", s.URL, "short")))
	sendVia(t, tr, oneWay(wireRequest(t, "POST", s.URL, long)))
	sendVia(t, tr, wireRequest(t, "POST", s.URL, long))
	all := s.received(t, 5)
	for i, digested := range []bool{false, true, true, false, true} {
		d := all[i].r.Header["Content-Digest"]
		if (d != nil) != digested {
			t.Errorf("request %d: got Content-Digest %q, want one: %t", i, d, digested)
		}
		if d != nil {
			checkDigest(t, d, all[i].body)
		}
	}
	if all[3].body != long {
		t.Errorf("got %d bytes of the stream, want %d", len(all[3].body), len(long))
	}
}

func TestTransportReplayed(t *testing.T) {
	for _, tc := range []struct{ name, kind, refusal string }{
		{"DPoP", "DPoP", `DPoP error="invalid_dpop_proof", reason="replayed"`},
		{"DPoP after a restart", "DPoP", `DPoP error="invalid_dpop_proof", reason="restarted"`},
		{"httpsig", "httpsig", `HTTPSig error="invalid_dpop_proof", reason="replayed"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := wireKey(t)
			s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n != 1 {
					wireChallenge(w, tc.refusal)
				}
			})
			tr := &holdfast.Transport{Source: tokenSource(tc.kind), Signer: key, NoSessions: true}
			if status, _ := sendVia(t, tr, wireRequest(t, "GET", s.URL, "")); status != http.StatusOK {
				t.Errorf("got status %d", status)
			}
			ids := map[string]bool{}
			for _, got := range s.received(t, 2) {
				if tc.kind == "DPoP" {
					ids[checkDPoP(t, got, key, wireToken, nil).ID()] = true
				} else {
					ids[checkSignature(t, got, key, holdfast.TagHTTPSig, `"@method"`, `"@target-uri"`, `"authorization"`).Nonce()] = true
				}
			}
			if len(ids) != 2 {
				t.Errorf("got the same proof twice")
			}
		})
	}
}

func TestTransportClock(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name    string
		start   func(http.Handler) *httptest.Server
		host    string // instead of the loopback address
		reason  string
		server  time.Duration // its clock, relative to ours
		retried bool
		offset  time.Duration // of the retry
	}{
		{"we are behind", httptest.NewServer, "", string(dpop.TooOld), 2 * time.Hour, true, 2 * time.Hour},
		{"we are ahead", httptest.NewServer, "", string(dpop.InFuture), -2 * time.Hour, true, -2 * time.Hour},
		{"we are behind, and the server has just started", httptest.NewServer, "", holdfast.ReasonRestarted, 20 * time.Second, true, 20 * time.Second},
		{"over TLS", httptest.NewTLSServer, "example.com", string(dpop.TooOld), 2 * time.Hour, true, 2 * time.Hour},
		{"slow, not skewed", httptest.NewServer, "", string(dpop.TooOld), 0, true, 0},
		{"in the future without skew", httptest.NewServer, "", string(dpop.InFuture), 0, false, 0},
		{"more than a day", httptest.NewServer, "", string(dpop.InFuture), -25 * time.Hour, false, 0},
		{"not authentic", httptest.NewServer, "api.example", string(dpop.InFuture), -2 * time.Hour, false, 0},
		{"not authentic, too old", httptest.NewServer, "api.example", string(dpop.TooOld), 2 * time.Hour, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := wireKey(t)
			s := newWireServer(t, tc.start, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 0 {
					wireChallenge(w, `DPoP error="invalid_dpop_proof", reason="`+tc.reason+`"`, "Date", now.Add(tc.server).UTC().Format(http.TimeFormat))
				}
			})
			url := s.URL
			base := s.Client().Transport.(*http.Transport).Clone()
			if tc.host != "" {
				addr := s.Listener.Addr().String()
				url = strings.Replace(s.URL, addr, tc.host, 1)
				base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, addr)
				}
			}
			tr := &holdfast.Transport{Base: base, Source: tokenSource("DPoP"), Signer: key, Now: func() time.Time { return now }}
			status, _ := sendVia(t, tr, wireRequest(t, "GET", url, ""))
			if !tc.retried {
				s.received(t, 1)
				if status != http.StatusUnauthorized {
					t.Errorf("got status %d", status)
				}
				return
			}
			made := checkDPoP(t, s.received(t, 2)[1], key, wireToken, func() time.Time { return now.Add(tc.offset) }).IssuedAt()
			if got := made.Sub(now); (got - tc.offset).Abs() > 2*time.Second {
				t.Errorf("got a proof %v from our time, want %v", got, tc.offset)
			}
		})
	}
}

// Each reason is answered once, and no request is sent more than three times.
func TestTransportAttempts(t *testing.T) {
	nonce := func(w http.ResponseWriter) { wireChallenge(w, useNonce, "DPoP-Nonce", "n") }
	replayed := func(w http.ResponseWriter) { wireChallenge(w, `DPoP error="invalid_dpop_proof", reason="replayed"`) }
	coverage := func(w http.ResponseWriter) {
		wireChallenge(w, `DPoP error="invalid_signature"`, "Accept-Signature", `a=("@method")`)
	}
	old := func(w http.ResponseWriter) {
		wireChallenge(w, `DPoP error="invalid_dpop_proof", reason="`+string(dpop.TooOld)+`"`)
	}
	fine := func(http.ResponseWriter) {}
	for _, tc := range []struct {
		name    string
		answers []func(http.ResponseWriter)
		want    int // requests
	}{
		{"two reasons", []func(http.ResponseWriter){nonce, coverage, fine}, 3},
		{"the other way", []func(http.ResponseWriter){coverage, nonce, fine}, 3},
		{"the same twice", []func(http.ResponseWriter){nonce, nonce, fine}, 2},
		{"replayed twice", []func(http.ResponseWriter){replayed, replayed, fine}, 2},
		{"three reasons", []func(http.ResponseWriter){nonce, coverage, replayed, fine}, 4},
		{"other three", []func(http.ResponseWriter){old, replayed, nonce, fine}, 4},
		{"four reasons", []func(http.ResponseWriter){nonce, coverage, replayed, old, fine}, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, _ *http.Request) { tc.answers[n](w) })
			tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: wireKey(t)}
			sendVia(t, tr, wireRequest(t, "POST", s.URL, "body"))
			for i, got := range s.received(t, tc.want) {
				if got.body != "body" {
					t.Errorf("attempt %d: got body %q", i, got.body)
				}
			}
		})
	}
}

// Both of a server's wishes can be met by one retry.
func TestTransportTwoWishesAtOnce(t *testing.T) {
	key := wireKey(t)
	s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			wireChallenge(w, useNonce, "DPoP-Nonce", "n1", "Accept-Signature", `sig1=("@method" "dpop");tag="holdfast-proof"`)
		}
	})
	tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key}
	sendVia(t, tr, wireRequest(t, "GET", s.URL, ""))
	got := s.received(t, 2)[1]
	if nonce := checkDPoP(t, got, key, wireToken, nil).Nonce(); nonce != "n1" {
		t.Errorf("got nonce %q", nonce)
	}
	checkSignature(t, got, key, holdfast.TagProof, `"@method"`, `"@target-uri"`, `"authorization"`, `"dpop"`)
}

// net/http sends a request again by itself, with the same proof, when a kept connection turns out to be lost. A server
// that saw the first one refuses the second as a replay; the Transport then signs afresh.
func TestTransportConnectionLoss(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(t *testing.T, url string) *http.Request
	}{
		{"GET", func(t *testing.T, url string) *http.Request { return wireRequest(t, "GET", url, "") }},
		{"buffered body", func(t *testing.T, url string) *http.Request {
			r := wireRequest(t, "POST", url, "body")
			r.GetBody = nil
			r.Header.Set("Idempotency-Key", "1")
			return r
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := wireKey(t)
			seen := map[string]bool{} // proof → seen
			s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, r *http.Request) {
				proof := r.Header.Get("DPoP")
				if seen[proof] {
					wireChallenge(w, `DPoP error="invalid_dpop_proof", reason="replayed"`)
					return
				}
				seen[proof] = true
				if n == 1 { // the second request, on the connection of the first
					panic(http.ErrAbortHandler)
				}
			})
			tr := &holdfast.Transport{Base: s.Client().Transport, Source: tokenSource("DPoP"), Signer: key}
			for range 2 {
				if status, _ := sendVia(t, tr, tc.make(t, s.URL)); status != http.StatusOK {
					t.Errorf("got status %d", status)
				}
			}
			// The first; the second, which is lost; the same from net/http; one signed afresh.
			all := s.received(t, 4)
			if all[1].r.Header.Get("DPoP") != all[2].r.Header.Get("DPoP") {
				t.Error("net/http didn't send the lost request again: this test tests nothing")
			}
			checkDPoP(t, all[3], key, wireToken, nil)
			if all[3].body != all[0].body {
				t.Errorf("got body %q, want %q", all[3].body, all[0].body)
			}
		})
	}
}

func TestTransportErrorsOfBase(t *testing.T) {
	tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: wireKey(t), Base: roundTrips(func(r *http.Request) (*http.Response, error) {
		return nil, io.ErrUnexpectedEOF
	})}
	if _, err := tr.RoundTrip(wireRequest(t, "GET", "https://api.example/", "")); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want Base's error unchanged", err)
	}
}
