package main

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLifetime is short: the assertion is used at once.
const assertionLifetime = time.Minute

// clientAssertion makes the JWT that a client authenticates with (RFC 7523, section 3). Its audience is the issuer,
// which no other server is, rather than the endpoint.
func clientAssertion(key *keys.Signer, client, issuer string, now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": client, "sub": client, "aud": issuer,
		"iat": now.Unix(), "exp": now.Add(assertionLifetime).Unix(),
		"jti": rand.Text(),
	})
	if err != nil {
		return "", err
	}
	return jws.Sign(key, jws.Header{Typ: "JWT", KeyID: key.Public().KeyID()}, claims)
}
