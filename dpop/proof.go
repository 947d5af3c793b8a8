package dpop

import (
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// Proof is a verified proof. Only Verify fills one. It is immutable and safe for concurrent use.
type Proof struct {
	key       *keys.Public
	algorithm keys.Algorithm
	id        string
	issuedAt  time.Time
	expires   time.Time
	nonce     string
	payload   string
}

func (c *check) proof() *Proof {
	return &Proof{
		key:       c.key,
		algorithm: c.compact.Header.Alg,
		id:        strings.Clone(c.claims.id), // a replay guard keeps it, and must not keep the proof with it
		issuedAt:  c.claims.time,
		expires:   c.expires(),
		nonce:     c.claims.nonce,
		payload:   c.compact.Payload,
	}
}

// Thumbprint returns the thumbprint of the key that signed it.
func (p *Proof) Thumbprint() keys.Thumbprint { return p.key.Thumbprint() }

// Key returns the key that signed it.
func (p *Proof) Key() *keys.Public { return p.key }

// Algorithm returns the algorithm of its signature.
func (p *Proof) Algorithm() keys.Algorithm { return p.algorithm }

// ID returns the jti.
func (p *Proof) ID() string { return p.id }

// IssuedAt returns iat.
func (p *Proof) IssuedAt() time.Time { return p.issuedAt }

// Expires returns the moment from which Verify would refuse the proof for its age.
func (p *Proof) Expires() time.Time { return p.expires }

// Nonce returns the nonce claim, or "".
func (p *Proof) Nonce() string { return p.nonce }

// Claim returns a further string claim, or "".
func (p *Proof) Claim(name string) string {
	var found string
	// The payload was read once already, so the only error left is a claim that isn't a string.
	err := strictjson.Object(p.payload, func(member string, value strictjson.Value) error {
		if member != name {
			return nil
		}
		text, err := value.String()
		found = strings.Clone(text)
		return err
	})
	if err != nil {
		return ""
	}
	return found
}
