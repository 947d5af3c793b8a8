package config

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/keys"
)

// TestReadyIssuerRefusesNobody: before an issuer is ready, proofs made now may be refused, as they can't be told from
// proofs made before it started; afterwards none is, at whatever moment within a second it started.
func TestReadyIssuerRefusesNobody(t *testing.T) {
	for _, into := range []time.Duration{0, time.Millisecond, 500 * time.Millisecond, 999 * time.Millisecond} {
		t.Run(into.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(into)
				parts := openIssuer(t, loadStaged(t, issuerText))
				server, err := issuer.New(parts.Config)
				if err != nil {
					t.Fatal(err)
				}
				if got := tokenStatus(t, server); got != http.StatusServiceUnavailable {
					t.Errorf("got %d from a server that has just started, want 503", got)
				}
				for parts.Ready(t.Context()) != nil {
					time.Sleep(time.Millisecond)
				}
				if got := tokenStatus(t, server); got != http.StatusOK {
					t.Errorf("got %d from a server that is ready, want 200", got)
				}
			})
		})
	}
}

// tokenStatus asks for a token with a proof made now.
func tokenStatus(t *testing.T, s *issuer.Server) int {
	t.Helper()
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile("client.secret")
	if err != nil {
		t.Fatal(err)
	}
	const endpoint = "http://127.0.0.1:1/token" // that of issuerText
	proof, err := dpop.Sign(signer, dpop.Params{Method: http.MethodPost, TargetURI: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, endpoint, strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", proof)
	r.SetBasicAuth("app", strings.TrimSpace(string(secret)))
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code
}
