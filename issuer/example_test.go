package issuer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// A server with one client, and a token for it that is bound to the client's key.
func Example() {
	const secret = "pT9kq0Qb3sVjLw7XcR2nYg" // random, and in a real program from a file
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()

	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true}) // nothing was used before an example began
	if err != nil {
		log.Fatal(err)
	}
	fleetSecret := []byte(strings.Repeat("random bytes ", 3))
	database, err := store.Open(context.Background(), "sqlite::memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer database.Close()
	ring, err := signing.Open(context.Background(), signing.Config{Store: database, Secrets: [][]byte{fleetSecret}})
	if err != nil {
		log.Fatal(err)
	}
	hash, err := issuer.HashSecret(secret)
	if err != nil {
		log.Fatal(err)
	}
	as, err := issuer.New(issuer.Config{
		Issuer: url,
		Store:  database,
		Keys:   ring,
		Secret: fleetSecret,
		Replay: guard,
		Clients: []issuer.Client{{
			ID: "reporter", AuthMethod: issuer.ClientSecretBasic, SecretHash: hash,
			Scope: []string{"reports"}, Audience: []string{"https://api.example"}, Binding: issuer.DPoP,
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	server.Config.Handler = as.Handler()
	server.Start()
	defer server.Close()

	key, err := keys.Generate(keys.ES256)
	if err != nil {
		log.Fatal(err)
	}
	proof, err := dpop.Sign(key, dpop.Params{Method: "POST", TargetURI: url + "/token"})
	if err != nil {
		log.Fatal(err)
	}
	request, err := http.NewRequest("POST", url+"/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		log.Fatal(err)
	}
	request.SetBasicAuth("reporter", secret)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("DPoP", proof)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var token struct {
		Type    string `json:"token_type"`
		Scope   string `json:"scope"`
		Expires int    `json:"expires_in"`
	}
	if err := json.NewDecoder(response.Body).Decode(&token); err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Type, token.Scope, token.Expires)
	// Output: DPoP reports 300
}
