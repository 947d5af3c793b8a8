package dpop_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

func Example() {
	// The client.
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		log.Fatal(err)
	}
	const token = "access-token"
	proof, err := dpop.Sign(signer, dpop.Params{
		Method:    "GET",
		TargetURI: "https://api.example/items?page=2",
		Token:     token,
	})
	if err != nil {
		log.Fatal(err)
	}

	// The server. The token says which key it is bound to.
	verifier, err := dpop.NewVerifier(dpop.Config{})
	if err != nil {
		log.Fatal(err)
	}
	request := dpop.Request{
		Fields:     []string{proof},
		Method:     "GET",
		TargetURI:  "https://api.example/items?page=2",
		Token:      token,
		Thumbprint: signer.Public().Thumbprint(),
	}
	verified, err := verifier.Verify(request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verified.Algorithm(), verified.Thumbprint() == request.Thumbprint)

	// The same proof for another request.
	request.Method = "DELETE"
	_, err = verifier.Verify(request)
	if e, ok := errors.AsType[*dpop.Error](err); ok {
		fmt.Println(e.Reason)
	}
	// Output:
	// ES256 true
	// dpop-method-mismatch
}
