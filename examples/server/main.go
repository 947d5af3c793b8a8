// Command server is an API that only the holder of a token's key can call.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	issuer = "https://as.example"
	self   = "https://api.example"
)

// begin readme
func run(ctx context.Context) error {
	jwks, err := accesstoken.OpenJWKS(ctx, accesstoken.JWKSConfig{Issuer: issuer})
	if err != nil {
		return err
	}
	tokens, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{Issuer: issuer, Audience: self, Keys: jwks})
	if err != nil {
		return err
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{})
	if err != nil {
		return err
	}
	verifier, err := holdfast.NewVerifier(holdfast.Config{
		Tokens: tokens, Replay: guard, External: holdfast.External{Origin: self},
		Policy: holdfast.Policy{Cover: []string{"@query"}, CoverBody: true},
	})
	if err != nil {
		return err
	}
	return http.ListenAndServe("127.0.0.1:8080", verifier.Handler(http.HandlerFunc(hello)))
}

// end readme

func hello(w http.ResponseWriter, r *http.Request) {
	verdict, _ := holdfast.FromContext(r.Context()) // always there behind Verifier.Handler
	fmt.Fprintf(w, "hello %s, by %s\n", verdict.Token.Subject, verdict.Scheme)
}

func main() {
	log.Fatal(run(context.Background()))
}
