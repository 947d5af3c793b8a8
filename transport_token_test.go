package holdfast_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
)

const tokenType = "application/json"

// grant asks s for a token, as golang.org/x/oauth2 does it, with tr as its client.
func grant(t *testing.T, s *wireServer, tr *holdfast.Transport, style oauth2.AuthStyle) (*oauth2.Token, error) {
	t.Helper()
	cfg := clientcredentials.Config{ClientID: "shop", ClientSecret: "secret", TokenURL: s.URL + "/token", Scopes: []string{"read"}, AuthStyle: style}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: tr})
	return cfg.Token(ctx)
}

func giveToken(w http.ResponseWriter, kind string) {
	w.Header().Set("Content-Type", tokenType)
	fmt.Fprintf(w, `{"access_token":%q,"token_type":%q,"expires_in":60}`, wireToken, kind)
}

func TestTokenRequestDPoP(t *testing.T) {
	key := wireKey(t)
	s := newWireServer(t, httptest.NewTLSServer, func(n int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("DPoP-Nonce", fmt.Sprint("n", n))
		if n == 0 {
			w.Header().Set("Content-Type", tokenType+"; charset=utf-8")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"use_dpop_nonce","error_description":"…"}`)
			return
		}
		giveToken(w, "DPoP")
	})
	tr := &holdfast.Transport{Base: s.Client().Transport, Signer: key}
	for range 2 {
		token, err := grant(t, s, tr, oauth2.AuthStyleInHeader)
		if err != nil {
			t.Fatal(err)
		}
		if token.AccessToken != wireToken || token.Type() != "DPoP" {
			t.Errorf("got a token of type %q", token.Type())
		}
	}
	var nonces []string
	for _, got := range s.received(t, 3) {
		nonces = append(nonces, checkDPoP(t, got, key, "", nil).Nonce())
		if user, _, ok := got.r.BasicAuth(); !ok || user != "shop" {
			t.Errorf("the client's authentication was lost")
		}
		if !strings.Contains(got.body, "grant_type=client_credentials") {
			t.Errorf("got body %q", got.body)
		}
		if f := got.r.Header["Signature-Input"]; f != nil {
			t.Errorf("got Signature-Input %q", f)
		}
	}
	if diff := cmp.Diff([]string{"", "n0", "n1"}, nonces); diff != "" {
		t.Errorf("nonces (-want +got)\n%s", diff)
	}
}

// A clock that is off is set by the token endpoint, too, if that says so.
func TestTokenRequestClock(t *testing.T) {
	key, theirs := wireKey(t), time.Now().Add(-2*time.Hour)
	s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			w.Header().Set("Content-Type", tokenType)
			w.Header().Set("Date", theirs.UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_dpop_proof","reason":"dpop-in-future"}`)
		}
	})
	tr := &holdfast.Transport{Signer: key}
	if status, _ := sendVia(t, tr, wireRequest(t, "POST", s.URL, "grant_type=x")); status != http.StatusOK {
		t.Errorf("got status %d", status)
	}
	again := checkDPoP(t, s.received(t, 2)[1], key, "", func() time.Time { return theirs })
	if off := again.IssuedAt().Sub(theirs).Abs(); off > time.Minute {
		t.Errorf("the second proof is off by %s", off)
	}
}

// Whatever isn't answered reaches the caller as it came, though the Transport looked at it.
func TestTokenRequestErrorsUnchanged(t *testing.T) {
	long := `{"x":"` + strings.Repeat("x", 100<<10) + `","error":"use_dpop_nonce"}`
	for _, tc := range []struct {
		name, kind, nonce, body string
		status                  int
	}{
		{"another error", tokenType, "n", `{"error":"invalid_grant"}`, 400},
		{"no nonce", tokenType, "", `{"error":"use_dpop_nonce"}`, 400},
		{"not JSON", "text/plain", "n", `{"error":"use_dpop_nonce"}`, 400},
		{"broken JSON", tokenType, "n", `{"error":"use_dpop_nonce"`, 400},
		{"too long", tokenType, "n", long, 400},
		{"no type", "", "n", "…", 400},
		{"another status", tokenType, "n", `{"error":"use_dpop_nonce"}`, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tc.kind}
				if tc.nonce != "" {
					w.Header().Set("DPoP-Nonce", tc.nonce)
				}
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			status, body := sendVia(t, &holdfast.Transport{Signer: wireKey(t)}, wireRequest(t, "POST", s.URL, "grant_type=x"))
			if s.received(t, 1); status != tc.status || body != tc.body {
				t.Errorf("got %d and %d bytes, want %d and %d", status, len(body), tc.status, len(tc.body))
			}
		})
	}
	t.Run("nonce for a scheme that has none", func(t *testing.T) {
		s := newWireServer(t, httptest.NewServer, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", tokenType)
			w.Header().Set("DPoP-Nonce", "n")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"use_dpop_nonce"}`)
		})
		tr := &holdfast.Transport{Signer: wireKey(t), Scheme: holdfast.SchemeHTTPSig}
		sendVia(t, tr, wireRequest(t, "POST", s.URL, "grant_type=x"))
		s.received(t, 1)
	})
	t.Run("cut off", func(t *testing.T) {
		tr := &holdfast.Transport{Signer: wireKey(t), Base: roundTrips(func(*http.Request) (*http.Response, error) {
			body := io.MultiReader(strings.NewReader(`{"error":`), failing{})
			return &http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {tokenType}}, Body: io.NopCloser(body)}, nil
		})}
		resp, err := tr.RoundTrip(wireRequest(t, "POST", "https://as.example/token", "grant_type=x"))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != `{"error":` || err != io.ErrUnexpectedEOF {
			t.Errorf("got %q, %v, want what came and then its error", body, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTokenRequestHTTPSig(t *testing.T) {
	key := wireKey(t)
	const always = `"@method" "@target-uri" "content-digest"`
	for _, tc := range []struct {
		name          string
		preregistered bool
		style         oauth2.AuthStyle
		covers        string
	}{
		{"run-time key", false, oauth2.AuthStyleInHeader, always + ` "authorization"`},
		{"run-time key, secret in the body", false, oauth2.AuthStyleInParams, always},
		{"preregistered key", true, oauth2.AuthStyleInHeader, always + ` "authorization"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, func(_ int, w http.ResponseWriter, _ *http.Request) { giveToken(w, "httpsig") })
			tr := &holdfast.Transport{Signer: key, Scheme: holdfast.SchemeHTTPSig, Preregistered: tc.preregistered}
			if _, err := grant(t, s, tr, tc.style); err != nil {
				t.Fatal(err)
			}
			got := s.received(t, 1)[0]
			in := checkSignature(t, got, key, holdfast.TagHTTPSigToken, strings.Fields(tc.covers)...)
			checkDigest(t, got.r.Header["Content-Digest"], got.body)
			if tc.preregistered {
				if in.KeyID() != key.Public().KeyID() || in.Alg() != "" || in.PublicKey() != nil {
					t.Errorf("got keyid %q, alg %q, pub %x", in.KeyID(), in.Alg(), in.PublicKey())
				}
				return
			}
			pub, err := accesstoken.ParseRuntimeKey(in.Alg(), in.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			if pub.Thumbprint() != key.Public().Thumbprint() || in.KeyID() != "" {
				t.Errorf("got another key, or keyid %q", in.KeyID())
			}
			if f := got.r.Header["Dpop"]; f != nil {
				t.Errorf("got a DPoP proof as well")
			}
		})
	}
	t.Run("stream", func(t *testing.T) {
		s := newWireServer(t, httptest.NewServer, nil)
		tr := &holdfast.Transport{Signer: key, Scheme: holdfast.SchemeHTTPSig}
		sendVia(t, tr, oneWay(wireRequest(t, "POST", s.URL, "grant_type=x")))
		got := s.received(t, 1)[0]
		checkSignature(t, got, key, holdfast.TagHTTPSigToken, strings.Fields(always)...)
		checkDigest(t, got.r.Header["Content-Digest"], "grant_type=x")

		_, err := tr.RoundTrip(oneWay(wireRequest(t, "POST", s.URL, strings.Repeat("x", 1<<20+1))))
		refusedAs(t, err, holdfast.TransportBodyUnusable)
	})
}
