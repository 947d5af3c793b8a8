package holdfast

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/popstream"
)

// callSession is what a call has to do with sessions.
type callSession struct {
	off      bool              // this call neither uses nor offers any
	fell     bool              // a session was refused: from then on the call proves its key
	insist   bool              // this call is made for a session: it offers although another waits for an answer
	fresh    bool              // a replayed request was signed afresh within the session
	in       *transportSession // that the attempt is made in, or nil for a full proof
	offer    *transportOffer   // that the attempts carry, or nil
	streamed bool              // the attempt's body is authenticated chunk by chunk
	framed   popstream.Key     // with this key
}

// chooseSession decides how the next attempt proves possession. An offer that wasn't answered is made again.
func (c *call) chooseSession() error {
	c.session.in, c.session.streamed = nil, false
	if c.session.off || c.session.offer != nil {
		return nil
	}
	now := c.t.now()
	c.session.in, c.session.offer = c.origin.session(sessionWish{
		token: c.token, path: c.path(), oneWay: !c.body.replayable(), prove: c.session.fell, insist: c.session.insist,
	}, now)
	c.session.streamed = c.session.in != nil && c.streams()
	if c.session.offer == nil {
		return nil
	}
	var err error
	if c.session.offer.offer, err = popsession.NewOffer(); err != nil {
		return &TransportError{Reason: TransportSigningFailed, Detail: "offering a session", Err: err}
	}
	return nil
}

// path is the target's, by which an origin's routes differ.
func (c *call) path() string {
	uri, _, _ := strings.Cut(c.target.uri, "?")
	return uri
}

// withdrawOffer lets another request offer, if this call's offer wasn't answered.
func (c *call) withdrawOffer() {
	if c.session.offer != nil {
		c.origin.withdraw(c.session.offer)
		c.session.offer = nil
	}
}

// addOffer adds the offer to out, which the proof must then cover.
func (c *call) addOffer(out *http.Request) {
	if o := c.session.offer; o != nil {
		out.Header["Pop-Session-Offer"] = []string{o.offer.Field()}
		o.sent, o.offset = c.t.now(), time.Duration(c.origin.offset.Load())
	}
}

// offerClaims are what covers the offer in a DPoP proof.
func (c *call) offerClaims() map[string]any {
	if c.session.offer == nil {
		return nil
	}
	sum := sha256.Sum256([]byte(c.session.offer.offer.Field()))
	return map[string]any{"pso": base64.RawURLEncoding.EncodeToString(sum[:])}
}

// streams tells whether a session's request has its body authenticated chunk by chunk: unless it is to be digested, or so
// short that reading it twice costs nothing.
func (c *call) streams() bool {
	if c.body.none || c.t.DigestBody {
		return false
	}
	if _, set := c.r.Header["Content-Digest"]; set {
		return false
	}
	if !c.body.replayable() {
		return true
	}
	short := c.r.ContentLength > 0 && c.r.ContentLength <= defaultBodyLimit
	return !short && !c.origin.wantsDigest()
}

// proveSession adds the ticket and the MAC.
func (c *call) proveSession(out *http.Request, seen *Attempt) error {
	s := c.session.in
	seen.Scheme = SchemeSession
	out.Header["Authorization"] = []string{s.authorization}
	_, digested := out.Header["Content-Digest"]
	kind := signerKind{tag: TagSession, digested: digested, streamed: c.session.streamed}
	if kind.streamed {
		out.Header[popstream.Header] = []string{popstream.Params{}.Field()}
	}
	signer, err := c.origin.sessionSigner(c.t, s, kind)
	if err != nil {
		return &TransportError{Reason: TransportSigningFailed, Err: err}
	}
	var fields httpsig.Fields
	if fields, seen.Base, err = c.signWith(signer, out); err != nil || !kind.streamed {
		return err
	}
	octets, err := signatureOctets(fields.Signature)
	c.session.framed = popstream.BodyKey(s.secret, octets)
	return err
}

// signatureOctets reads back a signature that was just made: label=:base64:.
func signatureOctets(member string) ([]byte, error) {
	_, value, _ := strings.Cut(member, "=:")
	octets, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(value, ":"))
	if err != nil {
		return nil, &TransportError{Reason: TransportSigningFailed, Detail: "reading back the signature", Err: err}
	}
	return octets, nil
}

// frame puts the body of a request in a session into its frames, and every further copy of it that net/http asks for.
func (c *call) frame(out *http.Request) {
	key, known := c.session.framed, c.r.ContentLength
	framed := func(body io.ReadCloser) io.ReadCloser {
		if known > 0 {
			return popstream.NewSizedFramer(body, known, key, popstream.Params{})
		}
		return popstream.NewFramer(body, key, popstream.Params{})
	}
	out.Body = framed(out.Body)
	if get := out.GetBody; get != nil {
		out.GetBody = func() (io.ReadCloser, error) {
			body, err := get()
			if err != nil {
				return nil, err
			}
			return framed(body), nil
		}
	}
	out.ContentLength = -1
	if known > 0 {
		out.ContentLength = popstream.FramedLength(known, 0)
	}
}

// settleOffer takes over the session that the answer to out brings. A refusal of the proof answers no offer.
func (c *call) settleOffer(out *http.Request, resp *http.Response) {
	o := c.session.offer
	if o == nil || (resp.StatusCode == http.StatusUnauthorized && resp.Header["Pop-Session"] == nil) {
		return
	}
	c.session.offer = nil
	if lines := resp.Header["Pop-Session"]; len(lines) == 1 && lines[0] == sessionDeclined {
		c.origin.withdraw(o)
		c.origin.proveEach(c.path())
		return
	}
	c.origin.settle(o, c.acceptSession(o, out, resp), c.t.now())
}

// acceptSession returns the session that resp brings, or nil if there is none that can be used.
func (c *call) acceptSession(o *transportOffer, out *http.Request, resp *http.Response) *transportSession {
	lines := resp.Header["Pop-Session"]
	if len(lines) == 0 || !c.answerHolds(out, resp) {
		return nil
	}
	audience, err := popsession.Audience(c.target.uri)
	if err != nil {
		return nil
	}
	if c.scheme == SchemeMTLS {
		// Nothing told the server this client's clock, so requests are made by the server's.
		c.origin.learnClock(resp.Header, c.t.now())
		o.offset = time.Duration(c.origin.offset.Load())
	}
	accepted, err := o.offer.Accept(lines, popsession.Binding{
		Thumbprint: c.key(), TokenHash: sha256.Sum256([]byte(c.token)), Audience: audience,
	}, o.sent)
	if err != nil {
		return nil // an answer that can't be read is none
	}
	return newTransportSession(accepted, o.sent, o.offset)
}

// answerHolds tells whether one of the resource's keys signed the answer to the offer in out, if they are known. It
// covers the offer, which is fresh, so its age doesn't matter.
func (c *call) answerHolds(out *http.Request, resp *http.Response) bool {
	if len(c.t.ResourceKeys) == 0 {
		return true
	}
	m := &httpsig.Message{Status: resp.StatusCode, Header: resp.Header, Request: httpsig.RequestMessage(out, c.target.uri)}
	for _, key := range c.t.answerKeys {
		_, err := c.t.answers[c.scheme].Verify(out.Context(), m, func(context.Context, *httpsig.Input) (*httpsig.Key, error) { return key, nil })
		if err == nil {
			return true
		}
	}
	return false
}

// checkResourceKeys prepares the verification of answers.
func (t *Transport) checkResourceKeys() error {
	for _, pub := range t.ResourceKeys {
		if pub == nil {
			return misconfigured("ResourceKeys has a nil key", nil)
		}
		key, err := httpsig.NewJOSEKey(pub)
		if err != nil {
			return misconfigured("ResourceKeys", err)
		}
		t.answerKeys = append(t.answerKeys, key)
	}
	t.answers = make(map[Scheme]*httpsig.Verifier)
	for scheme, proof := range sessionProofs {
		v, err := httpsig.NewVerifier(httpsig.Config{
			Tag: TagSessionAnswer, One: true, RequiredParams: []string{"created", "tag"},
			Required: httpsig.Components(`"pop-session"`, `"pop-session-offer";req`, proof),
			Skew:     365 * 24 * time.Hour, Now: t.now,
		})
		if err != nil {
			return misconfigured("ResourceKeys", err)
		}
		t.answers[scheme] = v
	}
	return nil
}

// becauseSession is why a request is sent again with a full proof.
const becauseSession = "session"

// learnSession takes over what the refusal of a session's request teaches, and returns why the request should be sent
// again, or "".
func (c *call) learnSession(resp *http.Response) (because string) {
	if resp.StatusCode != http.StatusUnauthorized {
		return ""
	}
	said, ok := c.sessionRefusal(resp)
	if !ok {
		return ""
	}
	covers := c.origin.learnCoverage(c.t, resp.Header["Accept-Signature"], TagSession)
	switch said.reason {
	case ReasonReplayed, ReasonRestarted:
		// A session goes by the clock that it began with: with one that was behind, it is of no use to this server yet.
		behind := said.reason == ReasonRestarted && c.correctClock(resp, said)
		if !behind && !c.session.fresh {
			c.session.fresh = true
			return "replayed"
		}
		c.origin.drop(c.token, c.session.in)
	case ReasonCoverage:
		if covers {
			return "coverage"
		}
		c.origin.proveEach(c.path())
	case ReasonSessionRefused:
		c.origin.proveEach(c.path())
	default:
		c.origin.drop(c.token, c.session.in)
	}
	c.session.fell = true
	return becauseSession
}

// sessionRefusal returns what the challenge says about the session. One that names only the scheme that the session
// began with is of a server that knows no sessions any more.
func (c *call) sessionRefusal(resp *http.Response) (said serverRefusal, ok bool) {
	for _, ch := range parseChallenges(resp.Header["Www-Authenticate"]) {
		switch {
		case strings.EqualFold(ch.scheme, string(SchemeSession)):
			return serverRefusal{ch.params["error"], ch.params["reason"]}, true
		case strings.EqualFold(ch.scheme, c.scheme.wire()):
			ok = true
		}
	}
	return serverRefusal{}, ok
}
