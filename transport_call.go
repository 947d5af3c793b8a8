package holdfast

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// runtimeKey introduces a Transport's key to an authorization server (draft-richer-oauth-httpsig-03).
type runtimeKey struct {
	keyID string // of a preregistered key
	pub   []byte // of one that isn't
}

// configure checks the Transport's fields, once.
func (t *Transport) configure() error {
	t.once.Do(func() { t.err = t.check() })
	return t.err
}

func (t *Transport) check() error {
	if err := t.checkProver(); err != nil {
		return err
	}
	if len(t.ResourceKeys) > 0 {
		if err := t.checkResourceKeys(); err != nil {
			return err
		}
	}
	if err := t.checkResponseRules(); err != nil {
		return err
	}
	if len(t.Cover) > maxCover {
		return misconfigured("Cover has more components than a signature has room for", nil)
	}
	for _, id := range t.Cover {
		c, err := httpsig.ParseComponent(id)
		if err != nil {
			return misconfigured("Cover", err)
		}
		if !coverable(c) {
			return misconfigured("Cover: a request can't cover "+c.String(), nil)
		}
		t.cover = addComponent(t.cover, c)
	}
	switch {
	case t.Source != nil:
		if t.Scheme != "" || t.Preregistered {
			return misconfigured("with a Source, the token's type chooses the proof: leave Scheme and Preregistered unset", nil)
		}
	case t.Scheme == SchemeHTTPSig:
		return t.introduce()
	case t.Scheme != "" && t.Scheme != SchemeDPoP:
		return misconfigured("Scheme is neither DPoP nor HTTPSig", nil)
	case t.Preregistered:
		return misconfigured("Preregistered is for HTTPSig", nil)
	case t.DigestBody || len(t.Cover) > 0:
		return misconfigured("a DPoP token request covers neither fields nor the body: leave Cover and DigestBody unset", nil)
	}
	return nil
}

// checkProver checks that there is something to prove with.
func (t *Transport) checkProver() error {
	switch {
	case t.Certificate == nil && t.Signer == nil:
		return misconfigured("Signer is required", nil)
	case t.Certificate == nil:
		return nil
	case t.Source == nil:
		return misconfigured("Certificate is for requests to resources: a token request needs only a Base that presents it", nil)
	case t.InsecureAllowBearer:
		return misconfigured("with Certificate, tokens of type Bearer are taken to be bound to it: leave InsecureAllowBearer unset", nil)
	}
	return nil
}

func (t *Transport) introduce() error {
	if t.Preregistered {
		if t.runtime.keyID = t.Signer.Public().KeyID(); t.runtime.keyID == "" {
			return misconfigured("Preregistered needs a Signer with a key id", nil)
		}
		return nil
	}
	_, pub, err := accesstoken.RuntimeKey(t.Signer.Public())
	if err != nil {
		return misconfigured("the Signer's key can't be introduced in a token request", err)
	}
	t.runtime.pub = pub
	return nil
}

func misconfigured(detail string, err error) error {
	return &TransportError{Reason: TransportMisconfigured, Detail: detail, Err: err}
}

// call is one request of a caller, over all its attempts.
type call struct {
	t       *Transport
	r       *http.Request // the caller's: never written to
	target  clientTarget
	origin  *originState
	scheme  Scheme
	tag     string // of this request's message signature
	token   string // "" for a token request
	body    *clientBody
	session callSession
	nonce   string // that the response's signature must have, or ""
}

// newCall checks what can be checked before the body is touched, and takes over the body last.
func (t *Transport) newCall(r *http.Request) (*call, error) {
	if err := t.configure(); err != nil {
		return nil, err
	}
	target, err := clientTargetOf(r)
	if err != nil {
		return nil, err
	}
	if r.Response == nil {
		if name := t.proofField(r.Header); name != "" {
			return nil, &TransportError{Reason: TransportHasProof, Detail: "the request has " + name + " set"}
		}
	} else if err := checkRedirect(r, target); err != nil {
		return nil, err
	}
	c := &call{t: t, r: r, target: target, origin: t.memory.at(target.origin)}
	if err := c.chooseProof(); err != nil {
		return nil, err
	}
	c.session.off = t.NoSessions || t.Source == nil || c.scheme == SchemeBearer
	c.body, err = newClientBody(r, c.digests())
	return c, err
}

// checkRedirect refuses to follow a redirect to another origin with the token. What the caller's token is good for was
// the caller's decision when it made the first request, not the redirecting server's.
func checkRedirect(r *http.Request, to clientTarget) error {
	if from := r.Response.Request; from != nil {
		if was, err := clientTargetOf(from); err == nil && was.origin == to.origin {
			return nil
		}
	}
	return &TransportError{Reason: TransportCrossOrigin, Detail: "to " + to.origin.scheme + "://" + clip(to.origin.authority)}
}

// proofField returns the name of a field in h that only the Transport may set, or "".
func (t *Transport) proofField(h http.Header) string {
	for name := range h {
		if t.ownsField(name) {
			return name
		}
	}
	return ""
}

// ownsField tells whether the Transport sets the field, however its name is spelt: net/http sends names as they are in
// the map. At the token endpoint, Authorization is the client's own authentication.
func (t *Transport) ownsField(name string) bool {
	switch len(name) {
	case len("DPoP"):
		return strings.EqualFold(name, "DPoP")
	case len("Signature"):
		return strings.EqualFold(name, "Signature")
	case len("Authorization"):
		return t.Source != nil && strings.EqualFold(name, "Authorization")
	case len("Signature-Input"):
		return strings.EqualFold(name, "Signature-Input")
	case len("Accept-Signature"):
		return t.RequireSignedResponses && strings.EqualFold(name, "Accept-Signature")
	case len("PoP-Stream"):
		return t.Source != nil && strings.EqualFold(name, "PoP-Stream")
	case len("PoP-Session-Offer"):
		return t.Source != nil && strings.EqualFold(name, "PoP-Session-Offer")
	}
	return false
}

// chooseProof gets the token and lets its type choose the proof.
func (c *call) chooseProof() error {
	if c.t.Source == nil {
		c.scheme, c.tag = SchemeDPoP, ""
		if c.t.Scheme == SchemeHTTPSig {
			c.scheme, c.tag = SchemeHTTPSig, TagHTTPSigToken
		}
		return nil
	}
	token, err := c.t.Source.Token()
	if err != nil {
		return &TransportError{Reason: TransportNoToken, Err: err}
	}
	if token == nil || !isToken68(token.AccessToken) {
		return &TransportError{Reason: TransportNoToken, Detail: "what the Source gave isn't a token"}
	}
	c.token = token.AccessToken
	switch kind := token.Type(); {
	case strings.EqualFold(kind, "DPoP"):
		c.scheme, c.tag = SchemeDPoP, TagProof
	case strings.EqualFold(kind, "httpsig"):
		c.scheme, c.tag = SchemeHTTPSig, TagHTTPSig
	case !strings.EqualFold(kind, "Bearer"):
		return &TransportError{Reason: TransportTypeUnknown, Detail: "token type " + clip(kind)}
	case c.t.Certificate != nil:
		return c.chooseMTLS()
	case !c.t.InsecureAllowBearer:
		return &TransportError{Reason: TransportBearerRefused, Detail: "the authorization server gave a token that is bound to no key"}
	default:
		c.scheme = SchemeBearer
		return nil
	}
	if c.t.Signer == nil {
		return misconfigured("the token is of type "+string(c.scheme)+", which needs a Signer", nil)
	}
	return nil
}

// chooseMTLS takes the token for one that is bound to the certificate.
func (c *call) chooseMTLS() error {
	if c.target.origin.scheme != "https" {
		return &TransportError{Reason: TransportTargetUnusable, Detail: "a token that is bound to a certificate is sent over https only"}
	}
	c.scheme = SchemeMTLS
	return nil
}

// key is the thumbprint of what the call's token is bound to.
func (c *call) key() keys.Thumbprint {
	if c.scheme == SchemeMTLS {
		return keys.Thumbprint(certbound.ThumbprintOf(c.t.Certificate))
	}
	return c.t.Signer.Public().Thumbprint()
}

// digests tells whether the body is to be covered by a Content-Digest.
func (c *call) digests() bool {
	if _, set := c.r.Header["Content-Digest"]; set {
		return false
	}
	if c.session.in != nil && !c.body.none {
		return !c.session.streamed // in a session, every body is covered
	}
	return c.tag != "" && (c.t.DigestBody || c.tag == TagHTTPSigToken || c.origin.wantsDigest())
}

// attempt makes the request to send, with a proof of its own.
func (c *call) attempt(because string) (*http.Request, error) {
	// A shallow copy with its own header: cloning would part the Trailer map, which callers fill as the body is read.
	out := c.r.WithContext(c.r.Context())
	out.Host = c.target.origin.authority
	if out.Header = c.r.Header.Clone(); out.Header == nil {
		out.Header = make(http.Header)
	}
	if c.r.Response != nil {
		for name := range out.Header {
			if c.t.ownsField(name) {
				delete(out.Header, name) // of the request that was redirected
			}
		}
	}
	if err := c.chooseSession(); err != nil {
		return nil, err
	}
	if err := c.addDigest(out); err != nil {
		return nil, err
	}
	c.askForSignature(out.Header)
	seen := &Attempt{Request: out, Scheme: c.scheme, Because: because}
	if err := c.prove(out, seen); err != nil {
		return nil, err
	}
	if err := c.body.attach(out); err != nil {
		return nil, err
	}
	if c.session.streamed {
		c.frame(out)
	}
	if c.t.Trace != nil {
		c.t.Trace(seen)
	}
	return out, nil
}

// addDigest sets Content-Digest where the body is to be covered.
func (c *call) addDigest(out *http.Request) error {
	if !c.digests() || (c.body.none && !carriesBody(out.Method)) {
		return nil
	}
	if !c.body.replayable() {
		// A digest that this server wanted once isn't worth refusing a stream that it may take without one.
		if !c.t.DigestBody && c.tag != TagHTTPSigToken {
			return nil
		}
		return &TransportError{Reason: TransportBodyUnusable,
			Detail: "a body of more than 1 MiB needs GetBody, or a Content-Digest set by the caller, to be digested before it is sent"}
	}
	sum, err := c.body.digest()
	if err != nil {
		return err
	}
	out.Header.Set("Content-Digest", sum)
	return nil
}

// carriesBody tells whether requests of this method normally have a body, so that an empty one says something.
func carriesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// prove adds the credential and its proof to out.
func (c *call) prove(out *http.Request, seen *Attempt) error {
	if c.session.in != nil {
		return c.proveSession(out, seen)
	}
	c.addOffer(out)
	if c.token != "" {
		out.Header.Set("Authorization", c.scheme.wire()+" "+c.token)
	}
	switch c.scheme {
	case SchemeHTTPSig:
		base, err := c.sign(out)
		seen.Base = base
		return err
	case SchemeDPoP:
		return c.proveDPoP(out, seen)
	}
	return nil
}

func (c *call) proveDPoP(out *http.Request, seen *Attempt) error {
	method := out.Method
	if method == "" {
		method = http.MethodGet
	}
	proof, err := dpop.Sign(c.t.Signer, dpop.Params{
		Method: method, TargetURI: c.target.uri, Token: c.token, Nonce: c.origin.lastNonce(), Now: c.origin.now(c.t),
		Claims: c.offerClaims(),
	})
	if err != nil {
		return &TransportError{Reason: TransportSigningFailed, Err: err}
	}
	out.Header.Set("DPoP", proof)
	if c.t.Trace != nil {
		seen.Base = claimsOf(proof)
	}
	if c.tag == "" || !c.besideWanted(out) {
		return nil
	}
	seen.Beside, err = c.sign(out)
	return err
}

// besideWanted tells whether a DPoP proof alone covers too little.
func (c *call) besideWanted(out *http.Request) bool {
	_, digested := out.Header["Content-Digest"]
	return len(c.t.cover) > 0 || (digested && c.t.DigestBody) || c.origin.wantsBeside()
}

// sign adds the message signature to out. It returns the signature base if there is a Trace to show it to.
func (c *call) sign(out *http.Request) ([]byte, error) {
	_, digested := out.Header["Content-Digest"]
	offered := c.session.offer != nil && c.tag == TagHTTPSig
	signer, err := c.origin.signer(c.t, signerKind{tag: c.tag, digested: digested, offered: offered})
	if err != nil {
		return nil, &TransportError{Reason: TransportSigningFailed, Err: err}
	}
	_, base, err := c.signWith(signer, out)
	return base, err
}

// signWith is sign with a given signer, and returns what was added as well.
func (c *call) signWith(signer *httpsig.Signer, out *http.Request) (fields httpsig.Fields, base []byte, err error) {
	m := httpsig.RequestMessage(out, c.target.uri)
	m.RequestTarget = c.target.special
	if agents := out.Header["User-Agent"]; len(agents) > 0 && (len(agents) > 1 || agents[0] == "") {
		m.Header = oneUserAgent(out.Header)
	}
	if fields, err = signer.Sign(m); err != nil {
		return fields, nil, &TransportError{Reason: TransportSigningFailed, Err: err}
	}
	fields.Add(out.Header)
	if c.t.Trace == nil {
		return fields, nil, nil
	}
	base, err = signatureBase(out.Header, m)
	return fields, base, err
}

// oneUserAgent returns h as net/http sends it: with the first User-Agent, or none if that is empty.
func oneUserAgent(h http.Header) http.Header {
	h = h.Clone()
	if agent := h["User-Agent"][0]; agent != "" {
		h["User-Agent"] = []string{agent}
	} else {
		delete(h, "User-Agent")
	}
	return h
}

// signatureBase works out again what was signed, for Trace.
func signatureBase(h http.Header, m *httpsig.Message) ([]byte, error) {
	inputs, err := httpsig.ParseInputs(h)
	if err != nil || len(inputs) != 1 {
		return nil, &TransportError{Reason: TransportSigningFailed, Detail: "reading back the signature", Err: err}
	}
	base, err := httpsig.Base(m, inputs[0], nil)
	if err != nil {
		return nil, &TransportError{Reason: TransportSigningFailed, Detail: "reading back the signature", Err: err}
	}
	return base, nil
}

// claimsOf returns the claims of a proof that was just made.
func claimsOf(proof string) []byte {
	_, rest, _ := strings.Cut(proof, ".")
	claims, _, _ := strings.Cut(rest, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(claims)
	if err != nil {
		return nil
	}
	return decoded
}
