package httpsig

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-project/holdfast/internal/sfv"
	"github.com/holdfast-project/holdfast/keys"
)

// SignerConfig says what to sign and how.
type SignerConfig struct {
	// Exactly one of Key and Secret.
	Key    *keys.Signer
	Secret []byte
	// Label in the two fields. If empty, "sig1".
	Label string
	// Components to cover, in order. Empty is refused. net/http adds Content-Length, User-Agent and Accept-Encoding after
	// a RoundTripper signed, so cover them only where they are set before.
	Components []Component
	// Optional components are covered where the message has them, after the others.
	Optional []Component
	Tag      string
	KeyID    string
	// Alg puts the registry name of the algorithm into the parameters.
	Alg bool
	// Lifetime, if set, gives an `expires` that far ahead of `created`.
	Lifetime time.Duration
	// Nonce makes the nonce. If nil, 128 random bits; use NoNonce for none.
	Nonce func() string
	// PublicKey puts the raw public key into the `pub` parameter (draft-richer-oauth-httpsig-03, run-time keys).
	PublicKey []byte
	// Fields tells the types of structured fields beyond the registered ones this package knows.
	Fields map[string]FieldType
	// Now gives the time. If nil, time.Now.
	Now func() time.Time
}

// Format writes [redacted], whatever the verb: Secret is one.
func (SignerConfig) Format(w fmt.State, _ rune) { io.WriteString(w, "[redacted]") }

// NoNonce is a SignerConfig.Nonce that leaves the parameter out.
func NoNonce() string { return "" }

// Signer signs messages. It is immutable and safe for concurrent use.
type Signer struct {
	label      string
	components []Component
	optional   []Component
	list       string // the inner list of components, serialised, without its closing parenthesis
	suffix     string // the parameters that never change, serialised
	lifetime   int64  // in seconds, 0 for none
	nonce      func() string
	fields     map[string]FieldType
	now        func() time.Time
	key        *keys.Signer
	macs       *macs     // instead of key
	pool       sync.Pool // of *scratch
}

// NewSigner checks cfg and copies it.
func NewSigner(cfg SignerConfig) (*Signer, error) {
	s := &Signer{
		label:      cfg.Label,
		components: slices.Clone(cfg.Components),
		optional:   slices.Clone(cfg.Optional),
		lifetime:   int64(cfg.Lifetime / time.Second),
		nonce:      cfg.Nonce,
		fields:     maps.Clone(cfg.Fields),
		now:        cfg.Now,
		key:        cfg.Key,
	}
	if s.label == "" {
		s.label = "sig1"
	}
	if s.nonce == nil {
		s.nonce = rand.Text
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := cfg.check(s.label); err != nil {
		return nil, err
	}
	if cfg.Key == nil {
		var err error
		if s.macs, err = newMACs(cfg.Secret); err != nil {
			return nil, err
		}
	}
	s.list = appendList("(", s.components)
	var err error
	s.suffix, err = cfg.suffix()
	return s, err
}

func (c *SignerConfig) check(label string) error {
	if (c.Key == nil) == (c.Secret == nil) {
		return errors.New("httpsig: needs exactly one of Key and Secret")
	}
	if _, err := sfv.AppendKey(nil, label); err != nil {
		return fmt.Errorf("httpsig: label %q: %w", label, err)
	}
	all := slices.Concat(c.Components, c.Optional)
	if len(c.Components) == 0 || len(all) > maxComponents {
		return fmt.Errorf("httpsig: needs 1 to %d components", maxComponents)
	}
	for _, component := range all {
		if component.kind == 0 {
			return errors.New("httpsig: a component that wasn't parsed")
		}
	}
	if twice := repeated(all); twice != nil {
		return fmt.Errorf("httpsig: component %s twice", twice)
	}
	if c.Lifetime < 0 || c.Lifetime%time.Second != 0 {
		return errors.New("httpsig: Lifetime isn't a number of seconds")
	}
	if c.PublicKey != nil && (c.Key == nil || !bytes.Equal(c.PublicKey, rawPublic(c.Key.Public()))) {
		return errors.New("httpsig: PublicKey isn't the raw public key of Key")
	}
	return checkFields(c.Fields)
}

// rawPublic returns the encoding that `pub` uses (draft-richer-oauth-httpsig-03), or nil for a key that has none.
func rawPublic(pub *keys.Public) []byte {
	switch key := pub.Key().(type) {
	case ed25519.PublicKey:
		return key
	case *ecdsa.PublicKey:
		raw, err := key.Bytes()
		if err != nil {
			return nil
		}
		return raw
	}
	return nil
}

// suffix serialises the parameters after created, expires and nonce.
func (c *SignerConfig) suffix() (string, error) {
	var params sfv.Params
	if c.Alg {
		alg := HMACSHA256
		if c.Key != nil {
			alg = registered(c.Key.Algorithm())
		}
		if alg == "" {
			return "", errors.New("httpsig: the key's algorithm isn't a registered one")
		}
		params = append(params, sfv.Param{Key: "alg", Value: sfv.String(string(alg))})
	}
	if c.KeyID != "" {
		params = append(params, sfv.Param{Key: "keyid", Value: sfv.String(c.KeyID)})
	}
	if c.Tag != "" {
		params = append(params, sfv.Param{Key: "tag", Value: sfv.String(c.Tag)})
	}
	if c.PublicKey != nil {
		params = append(params, sfv.Param{Key: "pub", Value: sfv.Bytes(c.PublicKey)})
	}
	text, err := sfv.AppendParams(nil, params)
	if err != nil {
		return "", fmt.Errorf("httpsig: parameters: %w", err)
	}
	return string(text), nil
}

// appendList appends components to an open inner list.
func appendList(list string, components []Component) string {
	for _, c := range components {
		if len(list) > 1 {
			list += " "
		}
		list += c.id
	}
	return list
}

// Fields are the values to add to Signature-Input and Signature: one dictionary member each. Append them to what is
// there with Add, so that other parties' signatures stay.
type Fields struct {
	SignatureInput string
	Signature      string
}

// Add adds the members to h, as further field lines.
func (f Fields) Add(h http.Header) {
	h.Add(inputField, f.SignatureInput)
	h.Add(signatureField, f.Signature)
}

// Sign signs m (RFC 9421, section 3.1). The label must not be taken in it already.
func (s *Signer) Sign(m *Message) (Fields, error) {
	if err := s.checkLabel(m); err != nil {
		return Fields{}, err
	}
	in := Input{label: s.label, components: s.components}
	list := s.list
	if present := s.present(m); present != nil {
		in.components = slices.Concat(s.components, present)
		list = appendList(list, present)
	}
	buf := getScratch(&s.pool)
	defer buf.release(&s.pool)
	var err error
	if buf.signature, err = s.appendInput(buf.signature[:0], list); err != nil {
		return Fields{}, err
	}
	var out Fields
	out.SignatureInput = string(buf.signature)
	in.params = out.SignatureInput[len(s.label)+len("="):]
	b := newBaseBuilder(m, s.fields, &buf.covered)
	base, err := b.append(buf.base[:0], &in)
	if err != nil {
		return Fields{}, labelled(err, s.label)
	}
	buf.base = base
	if buf.signature, err = s.appendSignature(buf.signature[:0], base); err != nil {
		return Fields{}, fmt.Errorf("httpsig: signing: %w", err)
	}
	out.Signature = string(buf.signature)
	return out, nil
}

// appendSignature appends the member of Signature.
func (s *Signer) appendSignature(dst, base []byte) ([]byte, error) {
	var sum [sha256.Size]byte
	var octets []byte
	if s.macs != nil {
		octets = s.macs.appendMAC(sum[:0], base)
	} else {
		var err error
		if octets, err = s.key.Sign(base); err != nil {
			return dst, err
		}
	}
	dst = append(dst, s.label...)
	dst = append(dst, "=:"...)
	dst = base64.StdEncoding.AppendEncode(dst, octets)
	return append(dst, ':'), nil
}

// appendInput appends the member of Signature-Input: the inner list with the parameters of this signature.
func (s *Signer) appendInput(dst []byte, list string) ([]byte, error) {
	created := s.now().Unix()
	dst = append(dst, s.label...)
	dst = append(dst, '=')
	dst = append(dst, list...)
	dst = append(dst, ");created="...)
	dst = strconv.AppendInt(dst, created, 10)
	if s.lifetime != 0 {
		dst = append(dst, ";expires="...)
		dst = strconv.AppendInt(dst, created+s.lifetime, 10)
	}
	if nonce := s.nonce(); nonce != "" {
		var err error
		if dst, err = sfv.AppendValue(append(dst, ";nonce="...), sfv.String(nonce)); err != nil {
			return nil, &Error{Reason: ParamRefused, Section: "2.3", Label: s.label, Part: "nonce", Err: err}
		}
	}
	return append(dst, s.suffix...), nil
}

// present returns the optional components that m has.
func (s *Signer) present(m *Message) []Component {
	var list []Component
	for i := range s.optional {
		if m.has(&s.optional[i]) {
			list = append(list, s.optional[i])
		}
	}
	return list
}

// has reports whether m has the field of c, or the request or response that c is derived from.
func (m *Message) has(c *Component) bool {
	from := m
	if c.flags&flagReq != 0 {
		from = m.Request
	}
	switch {
	case from == nil:
		return false
	case c.kind == kindField:
		return len(from.lines(c.name, c.flags&flagTR != 0)) > 0
	case c.kind == kindQueryParam:
		t, ok := parseTarget(from.TargetURI)
		return ok && queryHits([]Component{*c}, t.query)[c.arg].count == 1
	}
	return (c.kind == kindStatus) == (from.Status != 0)
}

// checkLabel makes sure that m has no signature with the label yet.
func (s *Signer) checkLabel(m *Message) error {
	for _, field := range [...]string{inputField, signatureField} {
		if m.Header[field] == nil {
			continue
		}
		dict, err := parseMembers(new(sfv.Parser), m.Header, field)
		if err != nil {
			return err
		}
		if dict.Get(s.label) != nil {
			return &Error{Reason: Malformed, Section: "4", Label: s.label, Part: field, Expected: "a label that isn't taken"}
		}
	}
	return nil
}
