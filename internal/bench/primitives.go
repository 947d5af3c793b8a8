package bench

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"

	"github.com/holdfast-project/holdfast/keys"
)

// errBare is a primitive that fails on its own input.
var errBare = errors.New("the primitive failed")

// primitives are the bare operations of one key.
type primitives struct {
	name   string
	signer *keys.Signer
	sign   func(message []byte) ([]byte, error)
	verify func(message, signature []byte) bool
}

func newP256() (*primitives, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := keys.NewSigner(key, "", keys.ES256)
	return &primitives{
		name: "P-256", signer: signer,
		sign: func(m []byte) ([]byte, error) {
			digest := sha256.Sum256(m)
			return ecdsa.SignASN1(rand.Reader, key, digest[:])
		},
		verify: func(m, sig []byte) bool {
			digest := sha256.Sum256(m)
			return ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig)
		},
	}, err
}

func newEd25519() (*primitives, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := keys.NewSigner(key, "", keys.Ed25519)
	return &primitives{
		name: "Ed25519", signer: signer,
		sign:   func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil },
		verify: func(m, sig []byte) bool { return ed25519.Verify(public, m, sig) },
	}, err
}

func newRSA() (*primitives, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	signer, err := keys.NewSigner(key, "", keys.PS256)
	return &primitives{
		name: "RSA-2048", signer: signer,
		sign: func(m []byte) ([]byte, error) {
			digest := sha256.Sum256(m)
			return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], pss)
		},
		verify: func(m, sig []byte) bool {
			digest := sha256.Sum256(m)
			return rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], sig, pss) == nil
		},
	}, err
}

// pss is what PS256 says (RFC 7518, section 3.5).
var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func newPrimitives() ([]*primitives, error) {
	var out []*primitives
	for _, build := range []func() (*primitives, error){newP256, newEd25519, newRSA} {
		p, err := build()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// bareSign is the primitive's signature of a message.
func (p *primitives) bareSign(message []byte) func() error {
	return func() error {
		_, err := p.sign(message)
		return err
	}
}

// bareVerify is the primitive's verification of a message.
func (p *primitives) bareVerify(message []byte) (func() error, error) {
	sig, err := p.sign(message)
	return func() error {
		if !p.verify(message, sig) {
			return errBare
		}
		return nil
	}, err
}

// bareMAC is HMAC-SHA-256 of a message.
func bareMAC(secret, message []byte) func() error {
	return func() error {
		h := hmac.New(sha256.New, secret)
		h.Write(message)
		h.Sum(nil)
		return nil
	}
}

// primitiveCases are what everything else is made of, for messages of the size that proofs sign.
func primitiveCases() ([]Case, error) {
	message := make([]byte, 600)
	rand.Read(message)
	prims, err := newPrimitives()
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, p := range prims {
		verify, err := p.bareVerify(message)
		if err != nil {
			return nil, err
		}
		out = append(out, Case{Name: p.name + " sign", Work: p.bareSign(message)}, Case{Name: p.name + " verify", Work: verify})
	}
	block := make([]byte, 64<<10)
	out = append(out,
		Case{Name: "HMAC-SHA-256 of 600 bytes", Work: bareMAC(message[:32], message)},
		Case{Name: "SHA-256 of 64 KiB", Bytes: int64(len(block)), Work: func() error { sha256.Sum256(block); return nil }})
	for _, c := range []struct {
		name  string
		curve ecdh.Curve
	}{{"ECDH P-256", ecdh.P256()}, {"ECDH X25519", ecdh.X25519()}} {
		own, err := c.curve.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		other, err := c.curve.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		out = append(out, Case{Name: c.name, Work: func() error {
			_, err := own.ECDH(other.PublicKey())
			return err
		}})
	}
	return out, nil
}
