package popsession_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
)

// Both sides of a session. Between them lie the requests: the first carries the offer, and its proof covers that; every
// later one carries the ticket and an HMAC.
func Example() {
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	audience, err := popsession.Audience("https://api.example/orders?limit=10")
	if err != nil {
		fmt.Println(err)
		return
	}
	// What both sides know of the first request.
	binding := popsession.Binding{
		Thumbprint: signer.Public().Thumbprint(), TokenHash: sha256.Sum256([]byte("the access token")), Audience: audience,
	}

	// The client sends PoP-Session-Offer.
	offer, err := popsession.NewOffer()
	if err != nil {
		fmt.Println(err)
		return
	}

	// The server has verified token and proof, and answers with PoP-Session.
	fleetKey := make([]byte, 32)
	rand.Read(fleetKey)
	server, err := popsession.NewServer(popsession.ServerConfig{Secrets: []popsession.Secret{{ID: "2026-1", Key: fleetKey}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	offered, err := popsession.ParseOffer([]string{offer.Field()})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, _, err := server.Answer(offered, popsession.Grant{
		Binding: binding, Subject: "alice", Confirmation: "jkt", Scheme: "DPoP", Algorithm: "ES256",
		ProvedAt: time.Now(), Until: time.Now().Add(time.Hour),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The client has its session; for each request it takes a counter and signs with the session's key.
	session, err := offer.Accept([]string{answer}, binding, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	counter, err := session.NextCounter()
	if err != nil {
		fmt.Println(err)
		return
	}

	// Any node of the fleet opens the ticket.
	ticket, err := server.Open(session.Ticket(), audience)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(counter, ticket.Subject, bytes.Equal(session.Keys().RequestSecret(), ticket.Keys.RequestSecret()))
	fmt.Println(session.Keys())

	// Output:
	// 1 alice true
	// [redacted]
}
