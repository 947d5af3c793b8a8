package httpsig_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

func Example() {
	signer, err := keys.Generate(keys.Ed25519)
	if err != nil {
		fmt.Println(err)
		return
	}
	covered := httpsig.Components("@method", "@target-uri", "authorization")

	// The server says what it wants covered, and which key it expects.
	verifier, err := httpsig.NewVerifier(httpsig.Config{
		Tag:            "example",
		Required:       covered,
		RequiredParams: []string{"nonce"},
		MaxAge:         30 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := httpsig.NewKey(signer.Public(), httpsig.Ed25519)
	if err != nil {
		fmt.Println(err)
		return
	}
	source := func(_ context.Context, in *httpsig.Input) (*httpsig.Key, error) {
		if in.KeyID() != "client-1" {
			return nil, fmt.Errorf("no such client")
		}
		return key, nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := httpsig.RequestMessage(r, "http://"+r.Host+r.RequestURI) // or the external URI behind a proxy
		if _, err := verifier.Verify(r.Context(), m, source); err != nil {
			http.Error(w, "bad signature", http.StatusUnauthorized)
		}
	}))
	defer server.Close()

	// The client signs.
	s, err := httpsig.NewSigner(httpsig.SignerConfig{Key: signer, KeyID: "client-1", Tag: "example", Components: covered})
	if err != nil {
		fmt.Println(err)
		return
	}
	send := func(sign bool) {
		r, err := http.NewRequest("GET", server.URL+"/orders?limit=10", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set("Authorization", "HTTPSig token")
		if sign {
			fields, err := s.Sign(httpsig.RequestMessage(r, r.URL.String()))
			if err != nil {
				fmt.Println(err)
				return
			}
			fields.Add(r.Header)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
		fmt.Println(response.Status)
	}
	send(true)
	send(false)
	// Output:
	// 200 OK
	// 401 Unauthorized
}
