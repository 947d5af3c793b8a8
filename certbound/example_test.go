package certbound_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/certbound"
)

func ExampleVerify() {
	confirmed := certbound.Thumbprint{1} // from the token's cnf
	handler := func(r *http.Request) error {
		_, err := certbound.Verify(r.TLS, confirmed, time.Now())
		return err
	}
	fmt.Println(handler(&http.Request{}))
	// Output: certbound: certificate-missing: connection: expected TLS up to this server, got none (RFC 8705, section 3)
}
