package holdfast

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/replay"
	"github.com/holdfast-project/holdfast/signedurl"
)

// signedURLOf returns the signed URL that r came with, or nil. Only servers with sessions know any: elsewhere the
// parameters are like others.
func (v *Verifier) signedURLOf(uri string) (*signedurl.URL, error) {
	if v.sessions == nil {
		return nil, nil
	}
	u, ok, err := signedurl.Parse(uri)
	if err != nil || !ok {
		return nil, err
	}
	return u, nil
}

// redeem verifies a signed URL. Its use is claimed with the others, so it is good for one request.
func (v *Verifier) redeem(r *http.Request, u *signedurl.URL, uri string) (*accesstoken.Token, *proof, error) {
	if len(r.Header["Authorization"]) > 0 {
		return nil, nil, &Refusal{Reason: ReasonCredentialAmbiguous, Section: "RFC 6750, section 2", Part: "Authorization", Expected: "none beside a signed URL"}
	}
	now := v.sessions.now()
	t, err := v.sessions.open(u.Ticket(), uri, now)
	if err != nil {
		return nil, nil, err
	}
	if err := v.checkRevoked(r.Context(), &t.token, &t.ID); err != nil {
		return nil, nil, err
	}
	if err := v.admitSession(t, now); err != nil {
		return nil, nil, err
	}
	if err := v.verifyURL(r, u, t); err != nil {
		return nil, nil, err
	}
	if demanded := v.rules.demanded(r, false); len(demanded) > 0 || hasBody(r) {
		return nil, nil, uncovered(SchemeSignedURL, "fields or body", demanded)
	}
	info := t.info()
	p := &proof{
		scheme: SchemeSignedURL, key: t.Thumbprint, algorithm: string(httpsig.HMACSHA256), made: u.Created(), covered: []string{`"@method"`, `"@target-uri"`},
		session: &info,
		// By whichever clock makes the claim earlier and hold for longer: see verifyURL.
		uses: []replay.Claim{{
			Owner: t.Thumbprint, ID: "url " + u.Nonce(),
			Made: u.Created().Add(-max(t.ClockOffset, 0)), Until: u.Until().Add(max(-t.ClockOffset, 0)),
		}},
	}
	return &t.token, p, nil
}

// verifyURL checks the URL's signature, and its times by the client's clock or as they are: see checkAge.
func (v *Verifier) verifyURL(r *http.Request, u *signedurl.URL, t *ticket) error {
	theirs := func() time.Time { return v.sessions.now().Add(t.ClockOffset) }
	err := u.Verify(r.Method, t.secret, theirs)
	e, ok := errors.AsType[*signedurl.Error](err)
	if ok && (e.Reason == signedurl.Expired || e.Reason == signedurl.InFuture) {
		return u.Verify(r.Method, t.secret, v.sessions.now)
	}
	return err
}

// guardAnswer keeps what a signed URL brought from being had a second time: from a cache, whose key the URL would be, and
// the URL itself from whatever the answer leads to.
func guardAnswer(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
}

// strip takes the signature out of a request that was let through, so that neither handlers nor their logs see it.
func strip(r *http.Request, u *signedurl.URL, uri string) {
	r.RequestURI = r.RequestURI[:len(r.RequestURI)-(len(uri)-len(u.Clean()))]
	clean := *r.URL
	var mark bool
	_, clean.RawQuery, mark = strings.Cut(r.RequestURI, "?")
	clean.ForceQuery = mark && clean.RawQuery == ""
	r.URL = &clean
}
