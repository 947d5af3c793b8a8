package httpsig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// Config is a verification policy (RFC 9421, section 3.2.1).
type Config struct {
	// Tag selects signatures by their `tag`: all that carry it must hold. Label selects one by its label, which isn't
	// signed (section 7.2.5); for tests and vectors. With both, the one with the label must carry the tag. If both are
	// empty, every signature must hold.
	Tag   string
	Label string
	// One refuses more than one signature that the policy selects.
	One bool
	// Required components, each of which must be covered exactly so.
	Required []Component
	// RequiredParams must be present and not empty: "created", "expires", "nonce", "keyid", "alg", "tag", "pub".
	RequiredParams []string
	// RefusedParams must be absent.
	RefusedParams []string
	// Algorithms, if not empty, limits the keys' algorithms (registry names; JOSE keys by the equivalent).
	Algorithms []Algorithm
	// MaxAge of created, which is then required, in whole seconds. If zero, created may be any age: give it or
	// RequiredParams something.
	MaxAge time.Duration
	// Skew for created in the future and expires in the past, in whole seconds. If zero, 5 s; negative means none.
	Skew time.Duration
	// InsecureEmptyCoverage accepts signatures that cover nothing: they can be moved to any message.
	InsecureEmptyCoverage bool
	// Fields tells the types of structured fields beyond the registered ones this package knows.
	Fields map[string]FieldType
	// Now gives the time. If nil, time.Now.
	Now func() time.Time
}

const defaultSkew = 5 * time.Second

func (c *Config) skew() time.Duration {
	if c.Skew == 0 {
		return defaultSkew
	}
	return max(c.Skew, 0)
}

func (c *Config) check() error {
	for _, r := range c.Required {
		if r.kind == 0 {
			return errors.New("httpsig: a required component that wasn't parsed")
		}
	}
	for _, p := range c.RequiredParams {
		if paramOf(p) == 0 {
			return fmt.Errorf("httpsig: required parameter %q is unknown", p)
		}
		if slices.Contains(c.RefusedParams, p) {
			return fmt.Errorf("httpsig: parameter %q is both required and refused", p)
		}
	}
	if slices.Contains(c.RefusedParams, "created") && c.MaxAge > 0 {
		return errors.New("httpsig: MaxAge needs created, which is refused")
	}
	for _, a := range c.Algorithms {
		if a != HMACSHA256 && joseOf(a) == "" {
			return fmt.Errorf("httpsig: algorithm %q isn't registered", a)
		}
	}
	if c.MaxAge < 0 || c.MaxAge%time.Second != 0 || c.Skew > 0 && c.Skew%time.Second != 0 {
		return errors.New("httpsig: MaxAge and Skew are whole seconds, as the parameters are")
	}
	return checkFields(c.Fields)
}

func checkFields(fields map[string]FieldType) error {
	for name, t := range fields {
		if !fieldChars.hasAll(name) || t < Item || t > Dictionary {
			return fmt.Errorf("httpsig: field %q isn't a lower-case name with a type", name)
		}
	}
	return nil
}

// KeySource finds the key for a signature, by its KeyID or by what the caller knows. An error refuses the signature. The
// algorithm belongs to the key: take it from Input.Alg only for a key that the signature itself brings (`pub`).
type KeySource func(ctx context.Context, in *Input) (*Key, error)

// Verifier checks the signatures of messages. It is immutable and safe for concurrent use.
type Verifier struct {
	cfg  Config
	pool sync.Pool // of *scratch
}

// NewVerifier checks cfg and copies it.
func NewVerifier(cfg Config) (*Verifier, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Required = slices.Clone(cfg.Required)
	cfg.RequiredParams = slices.Clone(cfg.RequiredParams)
	cfg.RefusedParams = slices.Clone(cfg.RefusedParams)
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	cfg.Fields = maps.Clone(cfg.Fields)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Verifier{cfg: cfg}, nil
}

// Signature is a verified signature. Only Verify fills one.
type Signature struct {
	in    Input
	key   *Key
	value sfv.Value     // of the member of Signature
	alone [1]*Signature // what Verify returns, if this is the only one: its slice costs no allocation
}

// Input returns its parameters and components.
func (s *Signature) Input() *Input { return &s.in }

// Key returns the key that verified it.
func (s *Signature) Key() *Key { return s.key }

// Value returns a copy of its octets.
func (s *Signature) Value() []byte { return s.value.Bytes() }

// Verify runs the steps of RFC 9421, section 3.2, and returns the signatures that the policy asked for, at least one,
// or an *Error. It doesn't read the body: a covered content-digest says what the body must be, and is for the caller
// to check (section 7.2.8). Nonces aren't remembered here (see package replay).
func (v *Verifier) Verify(ctx context.Context, m *Message, key KeySource) ([]*Signature, error) {
	buf := getScratch(&v.pool)
	defer buf.release(&v.pool)
	sigs, err := v.selectSignatures(m, buf) // steps 1 to 3
	if err != nil {
		return nil, err
	}
	now := v.cfg.Now().Unix()
	for _, s := range sigs {
		if err := v.cfg.checkInput(&s.in, now); err != nil { // step 4
			return nil, err
		}
	}
	for _, s := range sigs {
		if s.key, err = key(ctx, &s.in); err != nil || !s.key.usable() { // step 5
			return nil, &Error{Reason: UnknownKey, Section: "3.2", Label: s.in.label, Part: "keyid", Got: s.in.keyID, Err: err}
		}
		if err := v.cfg.checkAlgorithm(s); err != nil { // step 6
			return nil, err
		}
	}
	if err := v.verifySignatures(m, sigs, buf); err != nil { // steps 7 and 8
		return nil, err
	}
	return sigs, nil
}

// scratch holds what one Verify or Sign needs and nobody keeps.
type scratch struct {
	base, signature []byte
	inputs, values  sfv.Parser
	covered         sfv.Parser // of fields
}

// maxPooled is the size from which buffers aren't kept for the next message.
const maxPooled = 16 << 10

func getScratch(pool *sync.Pool) *scratch {
	if s, ok := pool.Get().(*scratch); ok {
		return s
	}
	return &scratch{base: make([]byte, 0, 1024), signature: make([]byte, 0, 512)}
}

func (s *scratch) release(pool *sync.Pool) {
	if cap(s.base)+cap(s.signature) <= maxPooled {
		s.inputs.Reset()
		s.values.Reset()
		s.covered.Reset()
		pool.Put(s)
	}
}

// verifySignatures rebuilds each base from the message and verifies the signature over it.
func (v *Verifier) verifySignatures(m *Message, sigs []*Signature, buf *scratch) error {
	b := newBaseBuilder(m, v.cfg.Fields, &buf.covered)
	for _, s := range sigs {
		base, err := b.append(buf.base[:0], &s.in)
		if err != nil {
			return labelled(err, s.in.label)
		}
		buf.base = base
		buf.signature = s.value.AppendBytes(buf.signature[:0])
		if !s.key.verify(base, buf.signature) {
			return &Error{Reason: BadSignature, Section: "3.2", Label: s.in.label}
		}
	}
	return nil
}

// selectSignatures parses both fields and returns what the policy selects, at least one (RFC 9421, section 3.2, steps 1
// to 3).
func (v *Verifier) selectSignatures(m *Message, buf *scratch) ([]*Signature, error) {
	h := m.section()
	inputs, err := parseMembers(&buf.inputs, h, inputField)
	if err != nil {
		return nil, err
	}
	values, err := parseMembers(&buf.values, h, signatureField)
	if err != nil {
		return nil, err
	}
	for i := range values {
		if values[i].Value.Kind() != sfv.KindBytes {
			return nil, &Error{Reason: Malformed, Section: "4.2", Label: values[i].Key, Part: signatureField, Expected: "a Byte Sequence"}
		}
	}
	all := v.cfg.Tag == "" && v.cfg.Label == ""
	if all && len(inputs) != len(values) {
		return nil, &Error{Reason: Malformed, Section: "4", Part: signatureField, Expected: "the labels of Signature-Input"}
	}
	var sigs []*Signature
	for i := range inputs {
		if !v.cfg.selects(&inputs[i]) {
			continue
		}
		s := new(Signature)
		if err := s.in.parse(&inputs[i]); err != nil {
			return nil, err
		}
		value := values.Get(s.in.label)
		if value == nil {
			return nil, s.in.refuse(Malformed, "4", signatureField, "the labels of Signature-Input")
		}
		s.value = value.Value
		if sigs == nil {
			sigs = s.alone[:0]
		}
		sigs = append(sigs, s)
	}
	switch {
	case len(sigs) == 0:
		return nil, &Error{Reason: Missing, Section: "3.2", Label: v.cfg.Label, Part: "tag", Expected: "a signature that the policy asks for"}
	case v.cfg.One && len(sigs) > 1:
		return nil, &Error{Reason: TooMany, Section: "7.2.6", Part: "tag", Expected: "one signature"}
	}
	return sigs, nil
}

// selects reports whether the policy asks for a member of Signature-Input.
func (c *Config) selects(m *sfv.Member) bool {
	if c.Label != "" && c.Label != m.Key {
		return false
	}
	if c.Tag == "" {
		return true
	}
	tag, _ := m.Params.Get("tag")
	return tag == sfv.String(c.Tag)
}

// checkInput applies the rules of section 2 and the policy (RFC 9421, section 3.2, step 4, and 3.2.1).
func (c *Config) checkInput(in *Input, now int64) error {
	if in.problem != nil {
		return in.problem
	}
	if len(in.components) == 0 && !c.InsecureEmptyCoverage {
		return in.refuse(CoverageMissing, "7.2.1", "", "at least one component")
	}
	for i := range c.Required {
		if !in.covers(&c.Required[i]) {
			return in.refuse(CoverageMissing, "3.2.1", c.Required[i].id, "covered")
		}
	}
	for _, name := range c.RequiredParams {
		if p := paramOf(name); in.has&p == 0 || in.empty(p) {
			return in.refuse(ParamRefused, "3.2.1", name, "present")
		}
	}
	for _, name := range c.RefusedParams {
		if in.hasParam(name) {
			return in.refuse(ParamRefused, "3.2.1", name, "absent")
		}
	}
	return c.checkTime(in, now)
}

// checkTime checks created and expires (RFC 9421, sections 2.3 and 3.2.1). All are seconds of at most 15 digits.
func (c *Config) checkTime(in *Input, now int64) error {
	hasCreated := in.has&paramCreated != 0
	skew, maxAge := int64(c.skew()/time.Second), int64(c.MaxAge/time.Second)
	switch {
	case maxAge > 0 && !hasCreated:
		return in.refuse(ParamRefused, "3.2.1", "created", "present")
	case hasCreated && in.created > now+skew:
		return in.refuse(InFuture, "3.2.1", "created", "a time that has come")
	case maxAge > 0 && in.created < now-maxAge:
		return in.refuse(TooOld, "3.2.1", "created", "an age of at most "+c.MaxAge.String())
	case in.has&paramExpires == 0:
		return nil
	case hasCreated && in.expires < in.created:
		return in.refuse(Expired, "2.3", "expires", "a time after created")
	case in.expires < now-skew:
		return in.refuse(Expired, "2.3", "expires", "a time to come")
	}
	return nil
}

// checkAlgorithm makes sure that all sources name one algorithm (RFC 9421, section 3.2, step 6).
func (c *Config) checkAlgorithm(s *Signature) error {
	if len(c.Algorithms) > 0 && !slices.Contains(c.Algorithms, s.key.alg) {
		return &Error{Reason: AlgRefused, Section: "3.2", Label: s.in.label, Part: "alg", Expected: "an algorithm of the policy", Got: string(s.key.alg)}
	}
	if s.in.has&paramAlg == 0 {
		return nil
	}
	if s.key.isJOSE {
		return &Error{Reason: AlgRefused, Section: "3.3.7", Label: s.in.label, Part: "alg", Expected: "no alg with a JOSE key", Got: s.in.alg}
	}
	if s.in.alg != string(s.key.alg) {
		return &Error{Reason: AlgRefused, Section: "3.2", Label: s.in.label, Part: "alg", Expected: string(s.key.alg), Got: s.in.alg}
	}
	return nil
}
