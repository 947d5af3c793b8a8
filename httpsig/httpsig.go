// Package httpsig makes and verifies HTTP Message Signatures (RFC 9421), for requests and responses.
//
// A [Verifier] holds the policy: which signatures must hold, what they must cover, how old they may be.
// [Verifier.Verify] runs the steps of section 3.2 in their order and returns the signatures that held:
//
//	v, err := httpsig.NewVerifier(httpsig.Config{
//		Tag:      "example-app",
//		Required: httpsig.Components("@method", "@target-uri", "authorization"),
//		MaxAge:   time.Minute,
//	})
//	…
//	sigs, err := v.Verify(ctx, httpsig.RequestMessage(r, target), keySource)
//
// A [Signer] makes them. A proxy that countersigns (section 4.3) is a Signer with its own label that covers
// `"signature";key="sig1"`, `"signature-input";key="sig1"` and the components of sig1.
//
// Supported are all derived components and component parameters, the six registered algorithms, the JOSE algorithms by
// their keys (section 3.3.7), signatures in trailers, Accept-Signature, and the parameter `pub` of
// draft-richer-oauth-httpsig-03. Signature parameters that this package doesn't know are signed as they were received.
//
// What is refused beyond the RFC: repeated labels and parameters, of which the Structured Fields parser would keep the
// last; fields with a repeated key or parameter under `;sf` and `;key`; query parameters that aren't UTF-8. With each of
// them two recipients could read one signed message in two ways.
//
// What isn't checked: the body, whose digest is a field like any other (package contentdigest); whether a nonce was used
// before (package replay); whether the key is anybody's ([KeySource]); whether the target URI is true ([Message]).
//
// Limits: 16 KiB of Signature-Input and of Signature, 16 labels, 64 components and 32 parameters a signature. Beyond
// them a message is refused before any key is looked up. All bases of one message read at most 128 KiB of field text, in
// which fields parsed for `;sf` and `;key` count four times.
package httpsig

// Algorithm is a name of the HTTP Signature Algorithms registry (RFC 9421, section 6.2).
type Algorithm string

// The registered algorithms.
const (
	RSAPSSSHA512    Algorithm = "rsa-pss-sha512"
	RSAv15SHA256    Algorithm = "rsa-v1_5-sha256"
	HMACSHA256      Algorithm = "hmac-sha256"
	ECDSAP256SHA256 Algorithm = "ecdsa-p256-sha256"
	ECDSAP384SHA384 Algorithm = "ecdsa-p384-sha384"
	Ed25519         Algorithm = "ed25519"
)

const (
	maxFieldLength = 16 << 10  // all lines of Signature-Input, Signature or Accept-Signature together
	maxLabels      = 16        // the signatures of a client and of more proxies than any chain has
	maxComponents  = 64        // in one signature
	maxParams      = 32        // of one signature
	maxOnComponent = 6         // parameters of one component: there are six
	maxFieldText   = 128 << 10 // read from the message for the bases of one Verify, twice what a server accepts as headers
)
