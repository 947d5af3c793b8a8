package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/keys"
)

// Another issuer's tokens are verified by what its metadata names, which is fetched when the first comes.
func TestOutside(t *testing.T) {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	other, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	mux, asked := http.NewServeMux(), 0
	provider := httptest.NewServer(mux)
	t.Cleanup(provider.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["ES256"]}`, provider.URL, provider.URL+"/jwks")
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{key.Public()}})
	})
	parts := openIssuer(t, loadStaged(t, issuerText+"  outside: [{url: '"+provider.URL+"', audience: bridge}]\n"))
	if asked != 0 || len(parts.Outside) != 1 || parts.Outside[0].Issuer != provider.URL {
		t.Fatalf("asked %d times, got %+v", asked, parts.Outside)
	}
	now := time.Now().Unix()
	for _, tc := range []struct {
		name   string
		by     *keys.Signer
		change string // of the claims
		good   bool
	}{
		{"as it should be", key, `x`, true},
		{"for somebody else", key, `"aud":"bridge" "aud":"other"`, false},
		{"of another issuer", key, `"iss":"http "iss":"https`, false},
		{"of nobody", key, `"sub": "other":`, false},
		{"of a name in lines", key, `"sub":"u7" "sub":"a\nb"`, false},
		{"of an empty name", key, `"sub":"u7" "sub":""`, false},
		{"of a long name", key, `"sub":"u7" "sub":"` + strings.Repeat("x", 256) + `"`, false},
		{"expired", key, fmt.Sprintf(`"exp":%d "exp":%d`, now+60, now-1), false},
		{"by another key", other, `x`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			claims := fmt.Sprintf(`{"iss":%q,"sub":"u7","aud":"bridge","iat":%d,"exp":%d}`, provider.URL, now, now+60)
			if from, to, ok := strings.Cut(tc.change, " "); ok {
				if claims = strings.Replace(claims, from, to, 1); !strings.Contains(claims, to) {
					t.Fatalf("no %s in %s", from, claims)
				}
			}
			token, err := jws.Sign(tc.by, jws.Header{Typ: "JWT", KeyID: key.Public().KeyID()}, []byte(claims))
			if err != nil {
				t.Fatal(err)
			}
			got, err := parts.Outside[0].Verify(t.Context(), token)
			if (err == nil) != tc.good {
				t.Fatalf("got %+v, %v", got, err)
			}
			if tc.good && (got.Subject != provider.URL+"|u7" || got.Expires.Unix() != now+60) {
				t.Errorf("got %+v", got)
			}
		})
	}
	if asked != 1 {
		t.Errorf("the metadata was fetched %d times", asked)
	}
}

// Another issuer that can't be asked is a failure of the server, not of the token; and it isn't asked each time.
func TestOutsideUnavailable(t *testing.T) {
	for _, tc := range []struct {
		name, jwks string
		status     int
		part       string // of the error
	}{
		{"failing", "https://as.example/jwks", http.StatusInternalServerError, "500"},
		{"keys in the clear", "http://as.example/jwks", http.StatusOK, "jwks_uri"},
		{"no keys", "", http.StatusOK, "jwks_uri"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked := 0
			var url string
			provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.WriteHeader(tc.status)
				fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"x":%q}`, url, tc.jwks, strings.Repeat("x", 10<<10))
			}))
			t.Cleanup(provider.Close)
			url = provider.URL
			parts := openIssuer(t, loadStaged(t, issuerText+"  outside: [{url: '"+url+"', audience: bridge}]\n"))
			for range 2 {
				_, err := parts.Outside[0].Verify(t.Context(), "x.y.z")
				e, ok := errors.AsType[*issuer.Error](err)
				if !ok || e.Reason != issuer.Unavailable || !strings.Contains(e.Error(), tc.part) || len(e.Error()) > 500 {
					t.Errorf("got %.600v", err)
				}
			}
			if asked != 1 {
				t.Errorf("it was asked %d times", asked)
			}
		})
	}
}
