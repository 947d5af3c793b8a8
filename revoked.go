package holdfast

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/revocation"
)

// revocableNames are the names under which what a request proves by can be revoked. session is nil outside of one.
func revocableNames(token *accesstoken.Token, session *popsession.ID) []revocation.Name {
	key := token.Confirmation.Thumbprint
	if token.Confirmation.Binding == accesstoken.BoundX5T {
		key = keys.Thumbprint(token.Confirmation.Certificate)
	}
	names := make([]revocation.Name, 0, 6)
	if session != nil {
		names = append(names, revocation.Session(*session))
	}
	return append(names, revocation.Token(token.Issuer, token.ID), revocation.TokenHash(token.Hash), revocation.Key(key),
		revocation.Client(token.Issuer, token.ClientID), revocation.Subject(token.Issuer, token.Subject))
}

// checkRevoked refuses what is revoked. It asks before the proof is verified: a revoked token is good for nothing more.
func (v *Verifier) checkRevoked(ctx context.Context, token *accesstoken.Token, session *popsession.ID) error {
	if v.revoked == nil {
		return nil
	}
	name, found, err := v.revoked.Find(ctx, revocableNames(token, session))
	switch {
	case err != nil:
		return &Refusal{Reason: ReasonRevocationsUnavailable, Part: "revocations", Err: err}
	case found:
		return revokedRefusal(name)
	}
	return nil
}

// revokedRefusal says what was revoked. The zero Name is of a list that can't be told any more.
func revokedRefusal(name revocation.Name) *Refusal {
	refusal := &Refusal{Reason: ReasonTokenRevoked, Section: "RFC 6750, section 3.1", Part: string(name.Kind()), Expected: "not revoked"}
	switch name.Kind() {
	case "":
		return &Refusal{Reason: ReasonRevocationsUnavailable, Part: "revocations"}
	case revocation.KindSession:
		refusal.Reason, refusal.Section = ReasonSessionRevoked, "docs/protocol.md, section 5"
	}
	return refusal
}

// Watch calls ended, once, when what v proved is over: when its token or its session ends, or when one of them, the key, the
// client or the subject is revoked (Config.Revocations). It is for what outlives the request, such as a WebSocket or a stream
// of events, and mustn't outlive that. The refusal says why, for observers; there is nobody to answer. If it is over already,
// ended is called before Watch returns, or right after.
//
// stop ends the watch, and must be called. When it returns, ended isn't running and won't be called; so ended must not call it.
func (v *Verdict) Watch(ended func(*Refusal)) (stop func()) {
	l := &lease{ended: ended}
	unwatch := func() {}
	if list := v.verifier.revoked; list != nil {
		var session *popsession.ID
		if v.Session != nil {
			session = &v.Session.ID
		}
		unwatch = list.Watch(revocableNames(v.Token, session), func(name revocation.Name) { l.end(revokedRefusal(name)) })
	}
	expire := func() bool { return false }
	if at, reason := v.ends(); !at.IsZero() {
		expire = time.AfterFunc(at.Sub(v.verifier.now()), func() { l.end(&Refusal{Reason: reason, Part: "time"}) }).Stop
	}
	return func() {
		l.stop()
		expire()
		unwatch()
	}
}

// ends returns when v's token or session ends, whichever is first. The zero time is no end.
func (v *Verdict) ends() (time.Time, string) {
	if s := v.Session; s != nil && (v.Token.Expires.IsZero() || s.Ends.Before(v.Token.Expires)) {
		return s.Ends, string(popsession.Expired)
	}
	return v.Token.Expires, string(accesstoken.Expired)
}

// lease is a Watch under way.
type lease struct {
	mu    sync.Mutex // held while ended runs
	over  bool       // ended was called, or may not be any more; guarded by mu
	ended func(*Refusal)
}

func (l *lease) end(why *Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		l.ended(why)
	}
}

func (l *lease) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}
