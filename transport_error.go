package holdfast

// TransportReason says why a Transport didn't send a request, or refused the response. Each is stable text.
type TransportReason string

// The reasons.
const (
	TransportMisconfigured  TransportReason = "transport-misconfigured"   // a field of Transport is missing or wrong
	TransportNoToken        TransportReason = "transport-no-token"        // Source failed, or gave no usable token
	TransportBearerRefused  TransportReason = "transport-bearer-refused"  // the token is a bearer token (RFC 6750)
	TransportTypeUnknown    TransportReason = "transport-type-unknown"    // the token is of a type that has no proof here
	TransportHasProof       TransportReason = "transport-has-proof"       // the request brings fields that are the Transport's to set
	TransportCrossOrigin    TransportReason = "cross-origin-redirect"     // a redirect leaves the origin that the token was sent to
	TransportTargetUnusable TransportReason = "transport-target-unusable" // the URL isn't one that can be signed as it is sent
	TransportBodyUnusable   TransportReason = "transport-body-unusable"   // the body can't be read, or not digested before it is sent
	TransportNoSession      TransportReason = "transport-no-session"      // SignURL: the server or the route takes no sessions
	TransportSigningFailed  TransportReason = "transport-signing-failed"  // the Signer failed, or a component can't be signed

	// With Transport.RequireSignedResponses.
	TransportResponseUnsigned TransportReason = "response-unsigned" // no signature of a response, as of the server's refusals
	TransportResponseMismatch TransportReason = "response-mismatch" // by another key, for another request, or changed
	TransportResponseCoverage TransportReason = "response-coverage" // the signature leaves open what it must cover
)

// TransportError is why a Transport didn't send a request, or refused the response; the body of a response that was signed
// returns it in place of content that isn't what was signed. What the network did is never a TransportError: those errors
// are Base's, unchanged.
type TransportError struct {
	Reason TransportReason
	Part   string // of the response that is refused: "signature", "content", or the name of a field
	Detail string // for the log: never key, token or body bytes
	Err    error  // the cause, if another package found it
	// Status and Problem are what an unsigned response says: its status, and the reason if it is a refusal by a Verifier.
	// Whoever is on the way may have said it.
	Status  int
	Problem string
}

// Error describes the failure for the log.
func (e *TransportError) Error() string {
	s := "holdfast: " + string(e.Reason)
	if e.Part != "" {
		s += ": " + e.Part
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *TransportError) Unwrap() error { return e.Err }
