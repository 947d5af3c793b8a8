package holdfasttest_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/holdfasttest"
)

func ExampleNewServer() {
	test := func(t *testing.T) {
		s := holdfasttest.NewServer(t)
		api := s.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, _ := holdfast.FromContext(r.Context())
			fmt.Println("called by", v.Token.ClientID, "with", v.Scheme)
		}))
		res, err := s.Client(holdfast.SchemeDPoP).Get(api.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		fmt.Println("a proof:", res.StatusCode)

		res, err = s.Client(holdfast.SchemeBearer).Get(api.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		fmt.Println("a bearer token:", res.StatusCode)
	}
	// In a test file this is a test of its own.
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "TestAPI", F: test}})
	// Output:
	// called by dpop-client with DPoP
	// a proof: 200
	// a bearer token: 401
}
