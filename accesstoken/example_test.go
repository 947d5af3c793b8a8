package accesstoken_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

func Example() {
	issuer, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A resource server has accesstoken.OpenJWKS here.
	source := accesstoken.StaticKeys{issuer.Public()}

	verifier, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{
		Issuer: "https://issuer.example", Audience: "https://api.example/", Keys: source,
		Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens := accesstoken.NewCache(verifier, accesstoken.CacheConfig{})

	claims := `{"iss":"https://issuer.example","aud":"https://api.example/","sub":"alice","client_id":"app","jti":"1",` +
		`"iat":1799999990,"exp":1800000300,"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}`
	sent, err := jws.Sign(issuer, jws.Header{Typ: "at+jwt"}, []byte(claims))
	if err != nil {
		fmt.Println(err)
		return
	}

	token, err := tokens.Verify(context.Background(), sent)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Subject, "must prove the key of", token.Confirmation.Binding, token.Confirmation.Thumbprint)

	_, err = tokens.Verify(context.Background(), sent+"x")
	if e, ok := errors.AsType[*accesstoken.Error](err); ok {
		fmt.Println(e.Reason)
	}
	// Output:
	// alice must prove the key of jkt 0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I
	// token-malformed
}
