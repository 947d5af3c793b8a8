package gateway_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

func ExampleNew() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("the API was asked for", r.URL)
	}))
	defer api.Close()
	upstream, err := url.Parse(api.URL)
	if err != nil {
		log.Fatal(err)
	}

	issuerKey, err := keys.Generate(keys.ES256) // an accesstoken.JWKS in earnest
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{
		Issuer: "https://as.example", Audience: "https://api.example", Keys: accesstoken.StaticKeys{issuerKey.Public()},
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := holdfast.NewVerifier(holdfast.Config{
		Tokens: tokens, Replay: guard, External: holdfast.External{Origin: "https://api.example"},
	})
	if err != nil {
		log.Fatal(err)
	}

	g, err := gateway.New(gateway.Config{
		Verifier: verifier,
		Routes: []gateway.Route{
			{Path: "/", Upstream: upstream, Policy: holdfast.Policy{CoverBody: true}},
			{Path: "/status", Methods: []string{"GET"}, Upstream: upstream, InsecurePublic: true},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()

	for _, path := range []string{"/status", "/orders"} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// the API was asked for /status
	// /status 200
	// /orders 401
}
