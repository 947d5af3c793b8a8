package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/internal/jws"
)

// cmdBoundToken writes a token of another issuer, whose keys are in outside.jwks, that is bound to a certificate.
func cmdBoundToken(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: boundtoken FILE CERTIFICATE")
	}
	block, _ := pem.Decode([]byte(ts.ReadFile(args[1])))
	if block == nil {
		ts.Fatalf("%s: no PEM", args[1])
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	ts.Check(err)
	signer, err := openSigner(ts.MkAbs("outside.jwk"))
	ts.Check(err)
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": "https://other.example", "aud": "https://api.example", "sub": "app", "client_id": "app", "jti": "1",
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "cnf": map[string]string{"x5t#S256": certbound.ThumbprintOf(cert).String()},
	})
	ts.Check(err)
	token, err := jws.Sign(signer, jws.Header{Typ: "at+jwt", KeyID: signer.Public().KeyID()}, claims)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(token+"\n"), 0o600))
}
