package holdfast_test

import (
	"net/http"
	"testing"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/keys"
)

// BenchmarkTransport measures what a Transport adds to a request; "sign" is the bare signature in the same run.
func BenchmarkTransport(b *testing.B) {
	for _, alg := range []keys.Algorithm{keys.ES256, keys.Ed25519} {
		key, err := keys.Generate(alg)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("sign/"+string(alg), func(b *testing.B) {
			b.ReportAllocs()
			message := make([]byte, 400)
			for b.Loop() {
				if _, err := key.Sign(message); err != nil {
					b.Fatal(err)
				}
			}
		})
		for name, tr := range map[string]*holdfast.Transport{
			"DPoP":       {Source: tokenSource("DPoP")},
			"HTTPSig":    {Source: tokenSource("httpsig")},
			"DPoP+cover": {Source: tokenSource("DPoP"), Cover: []string{"content-type"}},
		} {
			b.Run(name+"/"+string(alg), func(b *testing.B) {
				tr.Signer = key
				ok := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
				tr.Base = roundTrips(func(*http.Request) (*http.Response, error) { return ok, nil })
				r := wireRequest(b, http.MethodGet, "https://api.example/accounts/17?expand=owner", "")
				r.Header.Set("Accept", "application/json")
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tr.RoundTrip(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
