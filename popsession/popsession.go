// Package popsession turns one proof of possession into keys for many requests, as TLS resumes a session from a ticket.
//
// A client sends an [Offer] with a request that is fully signed. The server answers with an ephemeral share and a ticket
// ([Server.Answer]), and [Offer.Accept] gives the client its [Session]. Every later request carries the ticket and an
// HMAC; [Server.Open] gives any node of the fleet the keys and what the token said, without a look-up.
//
// The keys are made by ECDH of two ephemeral shares, and never travel. With len16(x) the length of x in two octets, most
// significant first, and then x itself:
//
//	Z     = ECDH(client's key, server's share): the x coordinate on P-256 (32 octets), RFC 7748 on X25519
//	prk   = HKDF-Extract(SHA-256, salt "pop-session-v1", IKM Z)
//	ctx   = len16(jkt) len16(token hash) len16(audience) len16(client share) len16(server share) len16(id)
//	K_req = HKDF-Expand(prk, "request" 00 ctx, 32)
//	K_res = HKDF-Expand(prk, "response" 00 ctx, 32)
//
// jkt is the thumbprint of the key that proved (32 octets, not its text), token hash the SHA-256 of the access token as
// sent, audience the text that [Audience] returns, id the session's 16 octets. A share is the uncompressed point of P-256
// (65 octets) or the 32 octets of X25519.
//
// What is not checked here: the proof, and whether it covers the offer ([ParseOffer] is for the offer of a proof that
// held); whether the answer was signed; MACs and their freshness (package httpsig); counters (package replay).
//
// What it gives up: the nodes of a fleet could forge requests to their own audience, and whoever has the fleet's secret
// can open every ticket sealed under it, until it is rotated away.
//
// Limits: one share of each curve, 1 KiB of offer, 8 KiB of answer, 4 KiB a ticket, 10 minutes a session.
package popsession

import (
	"crypto/ecdh"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/htu"
	"github.com/holdfast-project/holdfast/keys"
)

// Curve is a group of ephemeral shares, by its name on the wire.
type Curve string

// The curves.
const (
	P256   Curve = "p256"
	X25519 Curve = "x25519"
)

// curves lists them in the order in which a server chooses: P-256 first, which browsers have had for longer and validated
// modules have, too.
var curves = [...]Curve{P256, X25519}

// group returns the curve's arithmetic, or nil for another name.
func (c Curve) group() ecdh.Curve {
	switch c {
	case P256:
		return ecdh.P256()
	case X25519:
		return ecdh.X25519()
	}
	return nil
}

// shareLen returns the octets of a share.
func (c Curve) shareLen() int {
	if c == P256 {
		return 65
	}
	return 32
}

// parseShare reads a share, which must be a point on the curve. Compressed points are refused.
func (c Curve) parseShare(share []byte) (*ecdh.PublicKey, bool) {
	if len(share) != c.shareLen() {
		return nil, false
	}
	pub, err := c.group().NewPublicKey(share)
	return pub, err == nil
}

// MaxLifetime is the longest that a session may last.
const MaxLifetime = 10 * time.Minute

// ID names a session. It is random and no secret.
type ID [16]byte

// Binding is what a session's keys are derived from besides the shared secret. Both sides know it.
type Binding struct {
	Thumbprint keys.Thumbprint // of the key that proved
	TokenHash  [32]byte        // SHA-256 of the access token as sent
	Audience   string          // what Audience returns for the resource's URL as the client calls it
}

// check refuses what is left out, and audiences that the other side would write in another way.
func (b *Binding) check() error {
	switch {
	case b.Thumbprint.IsZero():
		return refuse(Incomplete, "thumbprint")
	case b.TokenHash == [32]byte{}:
		return refuse(Incomplete, "token hash")
	}
	if a, err := Audience(b.Audience); err != nil || a != b.Audience {
		return refuse(Incomplete, "audience")
	}
	return nil
}

// Audience returns the origin of an http or https URL: scheme://authority in lower case, without a default port and
// without a trailing slash.
func Audience(targetURI string) (string, error) {
	origin := targetURI
	if i := strings.Index(targetURI, "://"); i >= 0 {
		start := i + len("://")
		if end := strings.IndexAny(targetURI[start:], "/?#"); end >= 0 {
			origin = targetURI[:start+end]
		}
	}
	u, err := htu.Parse(origin)
	if err != nil {
		return "", &Error{Reason: BadAudience, Err: err}
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// MaxCounter is the last number of a request in a session: the greatest of which every number up to it is exact in
// JavaScript.
const MaxCounter = 1<<53 - 1

// ParseCounter reads the nonce of a session's request: a decimal number from 1 to MaxCounter, without leading zeros.
func ParseCounter(nonce string) (uint64, error) {
	n, err := strconv.ParseUint(nonce, 10, 64)
	if err != nil || n == 0 || n > MaxCounter || nonce[0] == '0' {
		return 0, refuse(BadCounter, "")
	}
	return n, nil
}

// Keys are the two MAC keys of a session. They print as [redacted]; the zero value has none.
type Keys struct {
	// A function, because fmt calls no Format of what unexported fields hold, but prints it, and what it points to.
	reveal func() secrets
}

type secrets struct{ request, response [32]byte }

func newKeys(s secrets) Keys { return Keys{func() secrets { return s }} }

// RequestSecret returns a copy of the key for the client's messages; nil for the zero Keys.
func (k Keys) RequestSecret() []byte {
	if k.reveal == nil {
		return nil
	}
	s := k.reveal()
	return s.request[:]
}

// ResponseSecret returns a copy of the key for the server's messages; nil for the zero Keys.
func (k Keys) ResponseSecret() []byte {
	if k.reveal == nil {
		return nil
	}
	s := k.reveal()
	return s.response[:]
}

// Format writes [redacted], whatever the verb.
func (Keys) Format(w fmt.State, _ rune) { io.WriteString(w, redacted) }

const redacted = "[redacted]"
