package bench

// What requests are for.
const (
	host      = "api.example.com"
	origin    = "https://" + host
	target    = "/v1/accounts/2c5a/transactions?limit=50&cursor=eyJpZCI6MTIzfQ"
	issuerURL = "https://as.example.com"
)

// Groups returns all that is measured in one process, in the order of a report.
func Groups() []Group {
	return []Group{
		{"primitive", "what everything is made of", primitiveCases},
		{"sign", "what a client adds to a request, beside the bare primitive", signCases},
		{"verify", "signatures, proofs and tokens, beside the bare primitive", verifyCases},
		{"pass", "a whole request at the verifier, beside a bearer JWT; cold: each token is verified, warm: tokens are remembered", passCases},
		{"session", "a whole request of a session at the verifier, beside the MAC alone", sessionCases},
		{"saving", "a whole request with a DPoP proof at the verifier, beside one of a session", savingCases},
		{"stream", "bodies of 4 MiB, beside the hash alone", streamCases},
	}
}
