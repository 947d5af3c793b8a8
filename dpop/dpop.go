// Package dpop makes and verifies DPoP proofs (RFC 9449).
//
// [Verifier.Verify] runs the twelve checks of section 4.3 on the proof of one request and returns a [Proof] that only it
// can make. [Sign] makes a proof. [Nonces] makes and checks nonces that need no storage (sections 8 and 9).
//
// What is not checked: whether the proof was used before (section 11.1). Verify remembers nothing; its caller claims key
// and jti at a replay guard afterwards, until [Proof.Expires]. Neither is it looked at whether the token is good, nor
// does a proof cover query, header fields or body.
//
// Limits: 8192 bytes a proof, 256 bytes a jti, RSA keys of 2048 to 4096 bits and only where RSA is asked for. Every proof
// costs linear time, and one signature verification at most; none by a key that the token isn't bound to.
package dpop

// typ is the type of a proof (RFC 9449, section 4.2).
const typ = "dpop+jwt"

// maxID bounds a jti. 96 random bits or a UUID are asked for (RFC 9449, section 4.2); longer ids only fill replay guards.
const maxID = 256
