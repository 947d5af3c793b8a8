// Package jws reads and writes JWS in the compact form (RFC 7515, section 7.1), as DPoP proofs, access tokens and
// client assertions use it.
//
// [Parse] splits and decodes a JWS and reads its header; [Compact.Verify] checks the signature with a key that the caller
// chose. Refused are the JSON forms, detached and unencoded payloads (RFC 7797), every critical extension (crit), the
// algorithm none and MACs, and any second spelling of the same octets.
//
// What is not checked: typ, kid and everything in the payload; whether the algorithm is acceptable beyond what the key
// allows.
package jws

import (
	"strings"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// Compact is a JWS that was taken apart. Nothing in it is to be trusted before Verify.
type Compact struct {
	Header    Header
	Payload   string // decoded
	Signature []byte // decoded
	signed    []byte // header and payload as sent, with the dot between
}

// Header is what matters of a JOSE header (RFC 7515, section 4.1). Other members are ignored.
type Header struct {
	Alg   keys.Algorithm // as sent: any name
	Typ   string         // "" if absent
	KeyID string         // "" if absent
	JWK   string         // the JSON text of `jwk`, or "" if absent
}

// Parse reads a compact JWS of at most limit bytes. Errors are *Error. The strings share memory with each other: clone
// what is to be kept for long.
func Parse(compact string, limit int) (*Compact, error) {
	if len(compact) > limit {
		return nil, &Error{Reason: TooLong}
	}
	header, payload, signature, ok := split(compact)
	if !ok {
		return nil, &Error{Reason: NotCompact}
	}
	// One buffer for what is signed, as sent, and behind it what is decoded.
	signed := len(header) + 1 + len(payload)
	buf := make([]byte, signed, signed+base64url.DecodedLen(len(compact)))
	copy(buf, compact)
	sent, buf := buf[:signed:signed], buf[signed:signed]
	buf, err := base64url.Append(buf, header)
	if err != nil {
		return nil, &Error{Reason: Encoding}
	}
	endHeader := len(buf)
	if buf, err = base64url.Append(buf, payload); err != nil {
		return nil, &Error{Reason: Encoding}
	}
	// One string for both, so that what is read from them needs no copy.
	text := string(buf)
	sig, err := base64url.Append(buf[:0], signature)
	if err != nil {
		return nil, &Error{Reason: Encoding}
	}
	c := &Compact{Payload: text[endHeader:], Signature: sig, signed: sent}
	if c.Header, err = parseHeader(text[:endHeader]); err != nil {
		return nil, err
	}
	return c, nil
}

// split cuts a compact JWS into its three parts, none of which may be empty.
func split(compact string) (header, payload, signature string, ok bool) {
	header, rest, ok := strings.Cut(compact, ".")
	if !ok {
		return "", "", "", false
	}
	payload, signature, ok = strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return "", "", "", false
	}
	return header, payload, signature, header != "" && payload != "" && signature != ""
}

// Verify checks the signature with key, which rules over the algorithm that the header names. Errors are of package keys.
func (c *Compact) Verify(key *keys.Public) error {
	return key.Verify(c.Header.Alg, c.signed, c.Signature)
}

func parseHeader(text string) (Header, error) {
	var h Header
	hasAlg := false
	err := strictjson.Object(text, func(name string, value strictjson.Value) error {
		var err error
		switch name {
		case "alg":
			var alg string
			alg, err = value.String()
			h.Alg, hasAlg = keys.Algorithm(alg), true
		case "typ":
			h.Typ, err = value.String()
		case "kid":
			h.KeyID, err = value.String()
		case "jwk":
			h.JWK = value.Raw()
			if value.Kind() != strictjson.KindObject {
				return &Error{Reason: BadMember, Member: name}
			}
		case "crit", "b64":
			// RFC 7515, section 4.1.11: what isn't understood refuses the whole. A b64 outside crit is no better: it says
			// that the payload may be something else than it looks like.
			return &Error{Reason: Critical, Member: name}
		}
		if err != nil {
			return &Error{Reason: BadMember, Member: name}
		}
		return nil
	})
	if err != nil {
		return Header{}, typed(err)
	}
	if !hasAlg {
		return Header{}, &Error{Reason: BadMember, Member: "alg"}
	}
	return h, nil
}

// Sign makes a compact JWS. Of h, Alg is overwritten by the signer's algorithm, and empty members are left out. JWK must
// be JSON.
func Sign(signer *keys.Signer, h Header, payload []byte) (string, error) {
	if signer.Public() == nil {
		return "", &Error{Reason: NoSigner}
	}
	h.Alg = signer.Algorithm()
	header := h.append(make([]byte, 0, 256))
	// Room for an RSA-4096 signature: 683 characters and the dots.
	compact := make([]byte, 0, 2*len(header)+2*len(payload)+700)
	compact = base64url.AppendEncode(compact, header)
	compact = append(compact, '.')
	compact = base64url.AppendEncode(compact, payload)
	signature, err := signer.Sign(compact)
	if err != nil {
		return "", err
	}
	compact = append(compact, '.')
	return string(base64url.AppendEncode(compact, signature)), nil
}

func (h Header) append(dst []byte) []byte {
	dst = append(dst, `{"alg":`...)
	dst = strictjson.AppendString(dst, string(h.Alg))
	if h.Typ != "" {
		dst = append(dst, `,"typ":`...)
		dst = strictjson.AppendString(dst, h.Typ)
	}
	if h.KeyID != "" {
		dst = append(dst, `,"kid":`...)
		dst = strictjson.AppendString(dst, h.KeyID)
	}
	if h.JWK != "" {
		dst = append(dst, `,"jwk":`...)
		dst = append(dst, h.JWK...)
	}
	return append(dst, '}')
}
