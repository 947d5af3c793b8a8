// Command client gets a token bound to a key of its own, and calls an API with it.
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/keys"
)

// begin readme
func run(ctx context.Context, out io.Writer) error {
	key, err := keys.Generate(keys.ES256) // or keys.OpenFile
	if err != nil {
		return err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: &holdfast.Transport{Signer: key}})
	grant := clientcredentials.Config{ClientID: "shop", ClientSecret: os.Getenv("SECRET"), TokenURL: "https://as.example/token"}
	client := &http.Client{Transport: &holdfast.Transport{Source: grant.TokenSource(ctx), Signer: key}}
	resp, err := client.Get("https://api.example/accounts?limit=10")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(out, resp.Body)
	return err
}

// end readme

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
