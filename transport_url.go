package holdfast

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/signedurl"
)

// SignURL returns rawURL with a proof inside, for one request with method (GET or HEAD; if empty, GET) that can't carry
// headers: an image, a download, an EventSource, a WebSocket (docs/protocol.md, section 7). The URL is good once, for
// lifetime (whole seconds up to a minute; if zero, 30 s) or until the session ends. It is a credential until then: it
// doesn't belong into logs or links. rawURL must be written as it will be sent: see signedurl.Sign.
//
// URLs are signed in the Transport's session with their origin. Where there is none, or its end is near, SignURL first
// begins one, by a HEAD request to rawURL with a full proof, which ctx governs. Of calls at the same time one does so. A
// server that has just shown that it knows no sessions isn't asked again for a minute.
//
// Errors are *TransportError, Base's, or ctx's. The reason is TransportNoSession where the server knows no sessions, or
// where the route takes none because it demands a signature for each request.
func (t *Transport) SignURL(ctx context.Context, method, rawURL string, lifetime time.Duration) (string, error) {
	if err := t.configure(); err != nil {
		return "", err
	}
	if t.Source == nil || t.NoSessions {
		return "", misconfigured("URLs are signed in sessions: SignURL needs a Source, and NoSessions unset", nil)
	}
	params := signedurl.Params{Method: method, Lifetime: lifetime}
	if err := signedurl.Check(rawURL, params); err != nil {
		return "", &TransportError{Reason: TransportTargetUnusable, Detail: "a URL to be signed", Err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, signedurl.Handshake(rawURL), nil)
	if err != nil {
		return "", targetError("not a URL")
	}
	c, err := t.newCall(r)
	if err != nil {
		return "", err
	}
	session, err := c.sessionForURL()
	if err != nil {
		return "", err
	}
	params.Ticket, params.Secret = session.ticket, session.secret
	params.Now = func() time.Time { return t.now().Add(session.offset) }
	signed, err := signedurl.Sign(rawURL, params)
	if err != nil {
		return "", &TransportError{Reason: TransportSigningFailed, Err: err}
	}
	return signed, nil
}

// sessionForURL returns the session to sign a URL in, and begins it if there is none.
func (c *call) sessionForURL() (*transportSession, error) {
	if c.session.off {
		return nil, &TransportError{Reason: TransportNoSession, Detail: "a bearer token begins none"}
	}
	session, begin, err := c.findForURL()
	if !begin {
		return session, err
	}
	ctx := c.r.Context()
	select {
	case c.origin.begin <- struct{}{}:
		defer func() { <-c.origin.begin }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if session, begin, err = c.findForURL(); !begin {
		return session, err // another call has begun one meanwhile
	}
	c.session.insist = true
	resp, err := c.t.send(c)
	if err != nil {
		return nil, err
	}
	discard(resp.Body)
	if session, _, err = c.findForURL(); session == nil {
		err = &TransportError{Reason: TransportNoSession, Detail: "none was begun: the server answered " + clip(resp.Status), Err: err}
	}
	return session, err
}

// findForURL returns the session that is there, or nil, and whether one should be begun. Its error says why neither is so.
func (c *call) findForURL() (session *transportSession, begin bool, err error) {
	c.origin.mu.Lock()
	defer c.origin.mu.Unlock()
	sessions, now := &c.origin.sessions, c.t.now()
	if sessions.paths[c.path()] {
		return nil, false, &TransportError{Reason: TransportNoSession, Detail: "the route takes none"}
	}
	if slot := sessions.find(c.token); slot != nil && slot.session.lasts(now, false) {
		session = slot.session
	}
	begin = session == nil || !now.Before(session.renew)
	if begin && now.Before(sessions.quietUntil) {
		if begin = false; session == nil {
			err = &TransportError{Reason: TransportNoSession, Detail: "the server answers no offer of one"}
		}
	}
	return session, begin, err
}
