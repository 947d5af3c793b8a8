package signedurl_test

import (
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast/signedurl"
)

func Example() {
	secret := []byte("the session's key, 32 octets ...")
	signed, err := signedurl.Sign("https://app.example/images/7.png?size=large", signedurl.Params{Ticket: "dGlja2V0", Secret: secret})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signedurl.Redact(signed))

	u, isSigned, err := signedurl.Parse(signed) // of a request: its external URL
	if !isSigned || err != nil {
		fmt.Println("not signed", err)
		return
	}
	// The secret belongs to u.Ticket().
	if err := u.Verify("GET", secret, time.Now); err != nil {
		fmt.Println(err)
		return
	}
	// Now claim u.Nonce() until u.Until().
	fmt.Println(u.Clean())
	// Output:
	// https://app.example/images/7.png?size=large&pop-ticket=redacted&pop-input=redacted&pop-sig=redacted
	// https://app.example/images/7.png?size=large
}
