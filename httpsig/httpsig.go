// Package httpsig makes and verifies HTTP Message Signatures (RFC 9421), for requests and responses.
package httpsig

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// Message is a request or response as far as signatures see it. The zero Status means a request. Nothing is written to
// its maps. A Message must not change while it is signed or verified.
type Message struct {
	Method string
	// TargetURI is the external absolute URI, raw as sent, without fragment: "https://api.example/a%2Fb?x=1".
	TargetURI string
	// RequestTarget is set only if it wasn't in origin form (RFC 9421, section 2.2.5); otherwise path and query of TargetURI.
	RequestTarget string
	Header        http.Header
	Trailer       http.Header
	Status        int      // of a response
	Request       *Message // of a response: its request, for ;req
}

// RequestMessage views an incoming or outgoing request. targetURI is its external URI as the caller knows it, never
// taken from the request's own headers. The Host field is visible as "host".
func RequestMessage(r *http.Request, targetURI string) *Message { panic("stub") }

// FieldType is the type of a structured field, which `;sf` needs to know (RFC 9421, section 2.1.1).
type FieldType int

// The field types.
const (
	Item FieldType = iota + 1
	List
	Dictionary
)

// Component is one component identifier with its parameters. Comparable by String.
type Component struct{}

// ParseComponent reads the serialised form: `"@method"`, `"@query-param";name="x"`, `"x";req`; a bare name such as
// @method or content-type is understood too.
func ParseComponent(s string) (Component, error) { panic("stub") }

// Components parses several, and panics on a bad one: for package variables and literals.
func Components(ids ...string) []Component { panic("stub") }

// String returns the strict serialisation.
func (c Component) String() string { panic("stub") }

// Name returns the field name or derived component name.
func (c Component) Name() string { panic("stub") }

// Algorithm is a name of the HTTP Signature Algorithms registry (RFC 9421, section 6.2).
type Algorithm string

// The registered algorithms.
const (
	RSAPSSSHA512    Algorithm = "rsa-pss-sha512"
	RSAv15SHA256    Algorithm = "rsa-v1_5-sha256"
	HMACSHA256      Algorithm = "hmac-sha256"
	ECDSAP256SHA256 Algorithm = "ecdsa-p256-sha256"
	ECDSAP384SHA384 Algorithm = "ecdsa-p384-sha384"
	Ed25519         Algorithm = "ed25519"
)

// Key is a verification key with the one algorithm it is used with. It prints as [redacted].
type Key struct{}

// NewKey binds pub to a registered algorithm.
func NewKey(pub *keys.Public, alg Algorithm) (*Key, error) { panic("stub") }

// NewJOSEKey binds pub to a JOSE algorithm (RFC 9421, section 3.3.7): its own if it has one, else the one its type
// implies. The alg parameter is then refused in signatures.
func NewJOSEKey(pub *keys.Public) (*Key, error) { panic("stub") }

// NewHMACKey binds a shared secret of at least 16 bytes to hmac-sha256. Whoever verifies with it can forge.
func NewHMACKey(secret []byte) (*Key, error) { panic("stub") }

// Algorithm returns the registry name, or "" for a JOSE key.
func (k *Key) Algorithm() Algorithm { panic("stub") }

// Thumbprint returns the public key's thumbprint; zero for hmac.
func (k *Key) Thumbprint() keys.Thumbprint { panic("stub") }

// SignerConfig says what to sign and how.
type SignerConfig struct {
	// Exactly one of Key and Secret.
	Key    *keys.Signer
	Secret []byte
	// Label in the two fields. If empty, "sig1".
	Label string
	// Components to cover, in order. Empty is refused.
	Components []Component
	// Optional components are covered where the message has them.
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
	Now    func() time.Time
}

// NoNonce is a SignerConfig.Nonce that leaves the parameter out.
func NoNonce() string { return "" }

// Signer signs messages. It is immutable and safe for concurrent use.
type Signer struct{}

// NewSigner checks cfg and copies it.
func NewSigner(cfg SignerConfig) (*Signer, error) { panic("stub") }

// Fields are the values to add to Signature-Input and Signature: one dictionary member each. Append them to what is
// there with Add, so that other parties' signatures stay.
type Fields struct {
	SignatureInput string
	Signature      string
}

// Add adds the members to h, as further field lines.
func (f Fields) Add(h http.Header) {
	h.Add("Signature-Input", f.SignatureInput)
	h.Add("Signature", f.Signature)
}

// Sign signs m. The label must not be taken in it already.
func (s *Signer) Sign(m *Message) (Fields, error) { panic("stub") }

// Config is a verification policy (RFC 9421, section 3.2.1).
type Config struct {
	// Tag selects signatures by their `tag`: all that carry it must hold. Label selects one by its label, which isn't
	// signed (section 7.2.5); for tests and vectors. If both are empty, every signature must hold.
	Tag   string
	Label string
	// One refuses more than one signature with Tag.
	One bool
	// Required components, each of which must be covered exactly so.
	Required []Component
	// RequiredParams must be present: "created", "expires", "nonce", "keyid", "alg", "tag", "pub".
	RequiredParams []string
	// RefusedParams must be absent.
	RefusedParams []string
	// Algorithms, if not empty, limits the keys' algorithms (registry names; JOSE keys by the equivalent).
	Algorithms []Algorithm
	// MaxAge of created, which is then required. If zero, created may be any age: give it or RequiredParams something.
	MaxAge time.Duration
	// Skew for created in the future and expires in the past. If zero, 5 s; negative means none.
	Skew time.Duration
	// InsecureEmptyCoverage accepts signatures that cover nothing: they can be moved to any message.
	InsecureEmptyCoverage bool
	// Fields tells the types of structured fields beyond the registered ones this package knows.
	Fields map[string]FieldType
	Now    func() time.Time
}

// Input is a signature that was parsed and passed the policy, before its key is known.
type Input struct{}

// KeySource finds the key for a signature, by its KeyID or by what the caller knows. An error refuses the signature.
type KeySource func(ctx context.Context, in *Input) (*Key, error)

// Verifier checks the signatures of messages. It is immutable and safe for concurrent use.
type Verifier struct{}

// NewVerifier checks cfg and copies it.
func NewVerifier(cfg Config) (*Verifier, error) { panic("stub") }

// Verify runs the steps of RFC 9421, section 3.2, and returns the signatures that the policy asked for, at least one,
// or an *Error. It doesn't read the body: a covered content-digest says what the body must be, and is for the caller
// to check (section 7.2.8). Nonces aren't remembered here (see package replay).
func (v *Verifier) Verify(ctx context.Context, m *Message, key KeySource) ([]*Signature, error) {
	panic("stub")
}

// Signature is a verified signature. Only Verify fills one.
type Signature struct{}

// The parameters, and whether they were there (Created and Expires are zero if not).
func (in *Input) Label() string           { panic("stub") }
func (in *Input) KeyID() string           { panic("stub") }
func (in *Input) Tag() string             { panic("stub") }
func (in *Input) Nonce() string           { panic("stub") }
func (in *Input) Alg() string             { panic("stub") }
func (in *Input) PublicKey() []byte       { panic("stub") } // `pub`
func (in *Input) Created() time.Time      { panic("stub") }
func (in *Input) Expires() time.Time      { panic("stub") }
func (in *Input) Components() []Component { panic("stub") }
func (in *Input) Covers(c Component) bool { panic("stub") }

// Input returns its parameters and components.
func (s *Signature) Input() *Input { panic("stub") }

// Key returns the key that verified it.
func (s *Signature) Key() *Key { panic("stub") }

// ParseInputs parses Signature-Input and returns its members in order, without any judgement, for tools that explain.
func ParseInputs(h http.Header) ([]*Input, error) { panic("stub") }

// Base returns the signature base of m for in (RFC 9421, section 2.5).
func Base(m *Message, in *Input, fields map[string]FieldType) ([]byte, error) { panic("stub") }

// Request is what an Accept-Signature member asks for (RFC 9421, section 5.1).
type Request struct {
	Label      string
	Components []Component
	Params     []RequestParam
}

// RequestParam is a wanted signature parameter: a bare Name (created, expires, nonce) or one with the value to use.
type RequestParam struct {
	Name  string
	Value string // "" for a bare name
}

// AcceptSignature serialises requests as a field value.
func AcceptSignature(reqs []Request) (string, error) { panic("stub") }

// ParseAcceptSignature reads the field lines.
func ParseAcceptSignature(lines []string) ([]Request, error) { panic("stub") }

// Reason says which rule a signature broke. Each is stable text.
type Reason string

// The reasons.
const (
	Malformed        Reason = "signature-malformed"   // section 4: not the right structured field, duplicate label
	Missing          Reason = "signature-missing"     // none that the policy selects
	TooMany          Reason = "signature-ambiguous"   // Config.One
	ParamRefused     Reason = "signature-parameter"   // section 2.3: absent, of the wrong type, or refused
	CoverageMissing  Reason = "signature-coverage"    // section 3.2.1: empty, or a required component isn't covered
	ComponentInvalid Reason = "signature-component"   // section 2.5: unknown, duplicate, bad parameters, absent from the message
	TooOld           Reason = "signature-too-old"     //
	InFuture         Reason = "signature-in-future"   //
	Expired          Reason = "signature-expired"     //
	UnknownKey       Reason = "signature-unknown-key" // section 3.2, step 5
	AlgRefused       Reason = "signature-alg"         // section 3.2, step 6
	BadSignature     Reason = "signature-invalid"     // section 3.2, step 8
)

// Error is why a message's signature was refused.
type Error struct {
	Reason   Reason
	Section  string
	Label    string
	Part     string // the component or parameter
	Expected string
	Got      string
}

func (e *Error) Error() string { panic("stub") }
