package holdfast

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popstream"
)

const (
	// responseLabel is the label of responses' signatures.
	responseLabel = "pop-response"
	// defaultResponseBuffer is how much of a response waits for its digest.
	defaultResponseBuffer = 64 << 10
	// maxAskedOfResponse is how many fields a client may have covered beyond those of the policy.
	maxAskedOfResponse = 16
)

var (
	statusComponent         = httpsig.Components(`"@status"`)[0]
	requestComponents       = httpsig.Components(`"@method";req`, `"@target-uri";req`)
	responseComponents      = httpsig.Components(`"content-type"`, `"content-encoding"`, `"location"`)
	trailerDigestComponent  = httpsig.Components(`"content-digest";tr`)[0]
	dpopOfRequest           = httpsig.Components(`"dpop";req`)[0]
	authorizationOfRequest  = httpsig.Components(`"authorization";req`)[0]
	usualSignatureOfRequest = httpsig.Components(`"signature";req;key="sig1"`)[0]
)

// signatureOfRequest is the component that stands for the request's own signature. A label needs no escaping.
func signatureOfRequest(own ownSignature) (httpsig.Component, error) {
	switch {
	case own.inTrailer:
		return httpsig.ParseComponent(`"signature";req;tr;key="` + own.label + `"`)
	case own.label == "sig1":
		return usualSignatureOfRequest, nil
	}
	return httpsig.ParseComponent(`"signature";req;key="` + own.label + `"`)
}

// response is how the answer to a verified request is signed (docs/protocol.md, section 8).
type response struct {
	request  *httpsig.Message  // as far as it is covered
	proof    httpsig.Component // of the request
	session  *sessionResponses // nil: the resource's key signs
	rules    *rules
	usual    bool                // as the policy and the Transport have it: others may share the signer
	signer   *keys.Signer        // the resource's key
	optional []httpsig.Component // covered where the response has them
	nonce    string              // that the client gave, or ""
	frames   bool                // the client takes them and gave no nonce, and the session has a key for them
	trailers bool                // the protocol has them
	buffer   int64               // how much waits for its digest
	now      func() time.Time
}

// responseTo returns how the answer to r is to be signed, or nil if it isn't: nobody asked for it, nobody could verify
// it, or there is no key.
func (v *Verifier) responseTo(r *http.Request, p *proof, uri string) *response {
	asked := askedOfResponse(r.Header["Accept-Signature"])
	switch {
	case !asked.signed && !v.rules.SignResponses, p.scheme == SchemeSignedURL, p.answers == nil && v.signer == nil:
		return nil
	}
	out := &response{
		request: &httpsig.Message{Method: r.Method, TargetURI: uri},
		session: p.answers, rules: &v.rules, signer: v.signer, optional: v.rules.response,
		nonce: asked.nonce, frames: asked.frames && asked.nonce == "" && p.answers != nil, trailers: r.ProtoAtLeast(1, 1), buffer: v.rules.ResponseBuffer, now: v.now,
	}
	if err := out.cover(r, p); err != nil {
		return nil // no component, though the signature held: there is nothing to bind the response to
	}
	out.usual = p.answers != nil && len(asked.fields) == 0 && asked.nonce == "" && out.proof == usualSignatureOfRequest
	for _, c := range asked.fields {
		if !hasComponent(out.optional, c) {
			out.optional = append(slices.Clip(out.optional), c)
		}
	}
	return out
}

// cover takes down what of the request is covered. Handlers may change the request.
func (p *response) cover(r *http.Request, proved *proof) (err error) {
	switch {
	case proved.own.lines != nil:
		p.proof, err = signatureOfRequest(proved.own)
		at := http.Header{"Signature": slices.Clone(proved.own.lines)}
		if p.request.Header = at; proved.own.inTrailer {
			p.request.Header, p.request.Trailer = nil, at
		}
	case proved.scheme == SchemeDPoP:
		p.proof, p.request.Header = dpopOfRequest, http.Header{"Dpop": slices.Clone(r.Header["Dpop"])}
	default:
		p.proof, p.request.Header = authorizationOfRequest, http.Header{"Authorization": slices.Clone(r.Header["Authorization"])}
	}
	return err
}

// asked is what a client wants of the signature of a response.
type asked struct {
	signed, frames bool
	nonce          string
	fields         []httpsig.Component
}

// askedOfResponse reads Accept-Signature (RFC 9421, section 5.1). A field that can't be read asks for nothing, and so does a
// member that wants parameters which our signatures don't have.
func askedOfResponse(lines []string) asked {
	if len(lines) == 1 && lines[0] == acceptFrames {
		return asked{signed: true, frames: true} // what a Transport asks for: reading it took a twelfth of a pass
	}
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	if size == 0 || size > maxAcceptBytes {
		return asked{}
	}
	requests, err := httpsig.ParseAcceptSignature(lines)
	if err != nil {
		return asked{}
	}
	var out asked
	for _, r := range requests {
		nonce, ok := asksForResponse(r)
		if !ok {
			continue
		}
		if out.signed = true; out.nonce == "" {
			out.nonce = nonce
		}
		for _, c := range r.Components {
			if c.String() == streamComponent.String() {
				out.frames = true
			} else if len(out.fields) < maxAskedOfResponse && coverableInResponse(c) {
				out.fields = addComponent(out.fields, c)
			}
		}
	}
	return out
}

// asksForResponse tells whether a member asks for what we sign, and the nonce that it wants in it.
func asksForResponse(r httpsig.Request) (nonce string, ok bool) {
	for _, p := range r.Params {
		switch {
		case p.Name == "tag" && p.Value == TagResponse:
			ok = true
		case p.Name == "nonce" && p.Value != "" && len(p.Value) <= maxNonceBytes:
			nonce = p.Value
		case p.Name != "created" || p.Value != "":
			return "", false
		}
	}
	return nonce, ok
}

// coverableInResponse tells whether c is a header field that a response's signature covers on demand.
func coverableInResponse(c httpsig.Component) bool {
	switch c.Name() {
	case "content-digest", "pop-stream":
		return false // covered where the content is
	}
	return askable(c) && !strings.HasPrefix(c.Name(), "@")
}

// sign signs a response whose content is covered by the given component, or by none.
func (p *response) sign(m *httpsig.Message, content ...httpsig.Component) (httpsig.Fields, error) {
	signer, err := p.signerFor(content)
	if err != nil {
		return httpsig.Fields{}, err
	}
	m.Request = p.request
	return signer.Sign(m)
}

// signerFor returns what signs such a response. In a session, most are of a few kinds.
func (p *response) signerFor(content []httpsig.Component) (*httpsig.Signer, error) {
	if !p.usual {
		return p.newSigner(content)
	}
	kind := responseKind{rules: p.rules}
	if len(content) > 0 {
		kind.content = content[0].String()
	}
	return p.session.signer(kind, func() (*httpsig.Signer, error) { return p.newSigner(content) })
}

func (p *response) newSigner(content []httpsig.Component) (*httpsig.Signer, error) {
	cfg := httpsig.SignerConfig{
		Label: responseLabel, Tag: TagResponse, Nonce: p.nonceOf(content), Now: p.now, Optional: p.optional,
		Components: slices.Concat([]httpsig.Component{statusComponent}, content, requestComponents, []httpsig.Component{p.proof}),
	}
	if p.session != nil {
		cfg.Secret = p.session.secret
	} else {
		cfg.Key, cfg.KeyID = p.signer, p.signer.Public().KeyID()
	}
	return httpsig.NewSigner(cfg)
}

// nonceOf returns what makes the nonce of a signature: what the client gave. That of frames is random, and goes into their
// key: two nodes may answer one request, and an edge must not make one body of their chunks.
func (p *response) nonceOf(content []httpsig.Component) func() string {
	if len(content) > 0 && content[0].String() == streamComponent.String() {
		return nil // httpsig's own
	}
	return func() string { return p.nonce }
}

// sessionResponses is a session's key for responses, and what signs them. It is safe for concurrent use.
type sessionResponses struct {
	secret  []byte
	mu      sync.Mutex
	signers map[responseKind]*httpsig.Signer // guarded by mu
}

// responseKind is what the signers of one session's usual responses differ in.
type responseKind struct {
	rules   *rules
	content string
}

// maxResponseSigners is how many are kept for a session: three for each of a few routes.
const maxResponseSigners = 24

// signer returns the signer of a kind: made anew each time, it and the state of its MAC took a third of
// a whole pass (BenchmarkResponse).
func (s *sessionResponses) signer(kind responseKind, make func() (*httpsig.Signer, error)) (*httpsig.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if signer, ok := s.signers[kind]; ok {
		return signer, nil
	}
	signer, err := make()
	if err != nil || len(s.signers) == maxResponseSigners {
		return signer, err
	}
	if s.signers == nil {
		s.signers = map[responseKind]*httpsig.Signer{}
	}
	s.signers[kind] = signer
	return signer, nil
}

// signHeader adds the signature to h, in which the content's field already is.
func (p *response) signHeader(status int, h http.Header, content ...httpsig.Component) (httpsig.Fields, error) {
	m := &httpsig.Message{Status: status, Header: h}
	if ambiguous(h) {
		dropSignatures(h)
	}
	fields, err := p.sign(m, content...)
	if err != nil && h["Signature"] != nil {
		dropSignatures(h) // nothing can be added to what is malformed, or has our label
		fields, err = p.sign(m, content...)
	}
	if err == nil {
		fields.Add(h)
	}
	return fields, err
}

// ambiguous tells whether h has, from the handler, a signature that could be taken for ours. Others may stay.
func ambiguous(h http.Header) bool {
	inputs, err := httpsig.ParseInputs(h)
	return err != nil || slices.ContainsFunc(inputs, func(in *httpsig.Input) bool { return in.Tag() == TagResponse })
}

func dropSignatures(h http.Header) {
	delete(h, "Signature-Input")
	delete(h, "Signature")
}

// frame announces frames in h, and returns their key once the header is signed.
func (p *response) frame(status int, h http.Header) (popstream.Key, error) {
	delete(h, "Content-Digest") // of what is in the frames
	delete(h, "Content-Length")
	h[popstream.Header] = []string{popstream.Params{}.Field()}
	fields, err := p.signHeader(status, h, streamComponent)
	if err != nil {
		return popstream.Key{}, err
	}
	octets, err := signatureOctets(fields.Signature)
	return popstream.BodyKey(p.session.secret, octets), err
}

// digested tells whether h has a digest that can be relied on. What a handler says of its content is signed as it is; a
// client finds out whether it holds.
func digested(h http.Header) bool {
	_, err := contentdigest.Parse(h["Content-Digest"])
	return err == nil
}

// SignUpgrade signs the header of a 101 response (RFC 9110, section 15.2.2) that the handler writes to the connection
// itself, after it has hijacked it: such a header doesn't come past [Verifier.Handler]. It does nothing where the response
// isn't to be signed. What follows on the connection isn't protected.
func (v *Verdict) SignUpgrade(h http.Header) error {
	if v.response == nil {
		return nil
	}
	_, err := v.response.signHeader(http.StatusSwitchingProtocols, h)
	return err
}
