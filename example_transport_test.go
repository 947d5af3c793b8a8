package holdfast_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/keys"
)

// A client gets its tokens with one Transport and uses them with another, by the same key.
func ExampleTransport() {
	server := exampleServer()
	defer server.Close()

	key, err := keys.Generate(keys.ES256) // or keys.OpenFile
	if err != nil {
		fmt.Println(err)
		return
	}
	grants := &http.Client{Transport: &holdfast.Transport{Signer: key}}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, grants)
	config := clientcredentials.Config{ClientID: "shop", ClientSecret: "secret", TokenURL: server.URL + "/token"}

	client := &http.Client{Transport: &holdfast.Transport{Source: config.TokenSource(ctx), Signer: key}}
	resp, err := client.Get(server.URL + "/accounts/17")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// exampleServer gives a token to whoever brings a proof, and shows it nothing without another.
func exampleServer() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"a","token_type":"DPoP","expires_in":60}`)
	})
	mux.HandleFunc("GET /accounts/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "DPoP a" || r.Header.Get("DPoP") == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	return httptest.NewServer(mux)
}
