package keys

import (
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"math/bits"
	"strings"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/strictjson"
)

// The bounds of RSA. A verification costs time with the square of the modulus and with the length of the exponent, and
// in a proof the sender chooses both: 100 KiB of modulus would be seconds. Below 2048 bits a key can be broken (RFC
// 7518, section 3.3). The exponent is bounded by what crypto/rsa takes; 65537 is what keys have.
const (
	minModulus  = 2048
	maxModulus  = 4096
	minExponent = 3
	maxExponent = 1<<31 - 1
)

// maxSet is how many keys a set may have: a few current ones and a few old ones for each algorithm.
const maxSet = 64

// ParsePublic reads one public JWK. It refuses private members, duplicate members, coordinates that are short or off
// the curve, and RSA keys outside 2048 to 4096 bits before any arithmetic with them. Unknown members are ignored. How
// long the text may be is for the caller to bound.
func ParsePublic[Text ~string | ~[]byte](jwk Text) (*Public, error) {
	m, err := readMembers(jwk)
	if err != nil {
		return nil, err
	}
	return m.public()
}

// public checks the members of a JWK that must be a public key for signatures.
func (m *members) public() (*Public, error) {
	if m.private != "" {
		return nil, refuse(PrivateMember, m.private)
	}
	if m.ops && !m.verify {
		return nil, refuse(Unsupported, "key_ops")
	}
	return m.key()
}

// ParseSet reads a JWK Set (RFC 7517, section 5). Keys that holdfast has no use for are left out, as the RFC asks: of an
// unknown type, curve, algorithm or size, or for encryption. A broken key of a known type is an error, and so are
// private members and more than 64 keys.
func ParseSet(jwks []byte) ([]*Public, error) {
	var set []*Public
	found, n := false, 0
	err := strictjson.Object(jwks, func(name string, value strictjson.Value) error {
		if name != "keys" {
			return nil
		}
		found = true
		return value.Array(func(entry strictjson.Value) error {
			if n++; n > maxSet {
				return refuse(Malformed, "keys")
			}
			key, err := parseEntry(entry)
			if key != nil {
				set = append(set, key)
			}
			return err
		})
	})
	if err != nil {
		return nil, typed(err, "keys")
	}
	if !found {
		return nil, refuse(Malformed, "keys")
	}
	return set, nil
}

// parseEntry returns nil for a key that a set leaves out.
func parseEntry(entry strictjson.Value) (*Public, error) {
	m, err := readMembers(entry.Raw())
	if err != nil {
		return nil, err
	}
	if m.kty == "oct" {
		return nil, nil
	}
	key, err := m.public()
	if e, ok := errors.AsType[*Error](err); ok && (e.Reason == Unsupported || e.Reason == SizeRefused) {
		return nil, nil
	}
	return key, err
}

// typed turns an error of strictjson into one of this package.
func typed(err error, member string) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return refuse(Malformed, member)
}

// members are the members of a JWK that matter here.
type members struct {
	kty, kid, alg, use  string
	crv, x, y, n, e     string
	d, p, q, dp, dq, qi string
	hasUse, hasAlg, oth bool
	ops, verify, sign   bool   // key_ops is there, and lists these
	private             string // a private or secret member that is there, or ""
}

func readMembers[Text ~string | ~[]byte](text Text) (members, error) {
	var m members
	err := strictjson.Object(text, m.set)
	if err != nil {
		return members{}, typed(err, "")
	}
	return m, nil
}

// set takes one member. Private ones are noted whatever their value is.
func (m *members) set(name string, value strictjson.Value) error {
	switch name {
	case "d", "p", "q", "dp", "dq", "qi", "k":
		m.private = name
	case "oth":
		m.private, m.oth = name, true
	case "key_ops":
		return m.setOps(value)
	case "use":
		m.hasUse = true
	case "alg":
		m.hasAlg = true
	}
	field := m.field(name)
	if field == nil {
		return nil
	}
	text, err := value.String()
	if err != nil {
		return refuse(Malformed, name)
	}
	*field = text
	return nil
}

// field returns where the text of a member goes, or nil for a member that isn't read.
func (m *members) field(name string) *string {
	switch name {
	case "kty":
		return &m.kty
	case "kid":
		return &m.kid
	case "alg":
		return &m.alg
	case "use":
		return &m.use
	case "crv":
		return &m.crv
	case "x":
		return &m.x
	case "y":
		return &m.y
	case "n":
		return &m.n
	case "e":
		return &m.e
	case "d":
		return &m.d
	case "p":
		return &m.p
	case "q":
		return &m.q
	case "dp":
		return &m.dp
	case "dq":
		return &m.dq
	case "qi":
		return &m.qi
	}
	return nil
}

func (m *members) setOps(value strictjson.Value) error {
	ops, err := value.Strings()
	if err != nil {
		return refuse(Malformed, "key_ops")
	}
	m.ops = true
	for _, op := range ops {
		m.verify = m.verify || op == "verify"
		m.sign = m.sign || op == "sign"
	}
	return nil
}

// key checks and decodes the public half.
func (m *members) key() (*Public, error) {
	if m.hasUse && m.use != "sig" {
		return nil, refuse(Unsupported, "use")
	}
	p := &Public{use: m.hasUse}
	var err error
	switch m.kty {
	case "EC":
		err = m.ec(p)
	case "OKP":
		err = m.okp(p)
	case "RSA":
		err = m.rsa(p)
	case "":
		err = refuse(Malformed, "kty")
	default:
		err = refuse(Unsupported, "kty")
	}
	if err != nil {
		return nil, err
	}
	if m.hasAlg {
		if err := p.fits(Algorithm(m.alg)); err != nil {
			return nil, err
		}
		p.alg = Algorithm(strings.Clone(m.alg))
	}
	// Cloned, because a key that is kept must not keep the whole text that it was read from.
	p.kid = strings.Clone(m.kid)
	return p, nil
}

func (m *members) ec(p *Public) error {
	var curve elliptic.Curve
	switch m.crv {
	case "P-256":
		p.form, curve = formP256, elliptic.P256()
	case "P-384":
		p.form, curve = formP384, elliptic.P384()
	case "P-521":
		p.form, curve = formP521, elliptic.P521()
	case "":
		return refuse(Malformed, "crv")
	default:
		return refuse(Unsupported, "crv")
	}
	// RFC 7518, section 6.2.1.2: the full length, leading zeros included.
	var buf [1 + 2*66]byte
	buf[0] = 4 // uncompressed
	point, err := appendExact(buf[:1], m.x, p.form.coordinate(), "x")
	if err != nil {
		return err
	}
	if point, err = appendExact(point, m.y, p.form.coordinate(), "y"); err != nil {
		return err
	}
	if err := p.setPoint(curve, point); err != nil {
		return err
	}
	var text [192]byte
	p.thumbprint = sha256.Sum256(appendEC(text[:0], p.form, m.x, m.y))
	return nil
}

func (m *members) okp(p *Public) error {
	switch m.crv {
	case "Ed25519":
	case "":
		return refuse(Malformed, "crv")
	default:
		return refuse(Unsupported, "crv")
	}
	key, err := appendExact(nil, m.x, 32, "x")
	if err != nil {
		return err
	}
	if err := p.setEd25519(key); err != nil {
		return err
	}
	var text [128]byte
	p.thumbprint = sha256.Sum256(appendOKP(text[:0], m.x))
	return nil
}

func (m *members) rsa(p *Public) error {
	n, err := appendUint(m.n, maxModulus/8, "n")
	if err != nil {
		return err
	}
	if size := (len(n)-1)*8 + bits.Len8(n[0]); size < minModulus || size > maxModulus {
		return refuse(SizeRefused, "n")
	}
	e, err := appendUint(m.e, 4, "e")
	if err != nil {
		return err
	}
	exponent := 0
	for _, b := range e {
		exponent = exponent<<8 | int(b)
	}
	if err := p.setRSA(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: exponent}); err != nil {
		return err
	}
	var text [768]byte
	p.thumbprint = sha256.Sum256(appendRSA(text[:0], m.n, m.e))
	return nil
}

// appendExact decodes a member that must have size octets.
func appendExact(dst []byte, text string, size int, member string) ([]byte, error) {
	if base64url.DecodedLen(len(text)) != size {
		return nil, refuse(Malformed, member)
	}
	dst, err := base64url.Append(dst, text)
	if err != nil {
		return nil, refuse(Malformed, member)
	}
	return dst, nil
}

// appendUint decodes a Base64urlUInt of at most size octets: no leading zero octet, since the thumbprint is made of the text
// and one key must not have two (RFC 7518, section 2).
func appendUint(text string, size int, member string) ([]byte, error) {
	if text == "" {
		return nil, refuse(Malformed, member)
	}
	if base64url.DecodedLen(len(text)) > size {
		return nil, refuse(SizeRefused, member)
	}
	b, err := base64url.Decode(text)
	if err != nil || len(b) == 0 || b[0] == 0 {
		return nil, refuse(Malformed, member)
	}
	return b, nil
}

// exponentBytes returns e in as few octets as it takes.
func exponentBytes(e int) []byte {
	return trimZeros([]byte{byte(e >> 24), byte(e >> 16), byte(e >> 8), byte(e)})
}
