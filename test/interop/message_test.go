package interop

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// message is a request as it came over the wire.
type message struct {
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

func (m message) clone() message {
	m.Header = m.Header.Clone()
	return m
}

// order is a request that is to be signed.
type order struct {
	Name       string      `json:"name"`
	Key        *signingKey `json:"key"`
	Message    message     `json:"message"` // without digest and signature
	Components []string    `json:"components"`
	// FixedSalt has http-message-signatures sign RSA-PSS with a salt as long as RFC 9421 wants it.
	FixedSalt bool `json:"fixedSalt"`
}

// signed is a request that is to be verified.
type signed struct {
	Key        *signingKey `json:"key"`
	Message    message     `json:"message"`
	Components []string    `json:"components"` // which must be covered
}

// signingKey is a private key or a secret, which both sides are given.
type signingKey struct {
	alg     httpsig.Algorithm
	id      string
	private crypto.Signer // nil for a secret
	signer  *keys.Signer  // of private
	secret  []byte
}

// rsaKey is made once: it takes long.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newSigningKey(t *testing.T, alg httpsig.Algorithm) *signingKey {
	t.Helper()
	k := &signingKey{alg: alg, id: "key of " + string(alg)}
	var err error
	var jose keys.Algorithm
	switch alg {
	case httpsig.HMACSHA256:
		k.secret = make([]byte, 64)
		rand.Read(k.secret)
		return k
	case httpsig.ECDSAP256SHA256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case httpsig.ECDSAP384SHA384:
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case httpsig.Ed25519:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	case httpsig.RSAPSSSHA512:
		k.private, err = rsaKey()
		jose = keys.PS512
	case httpsig.RSAv15SHA256:
		k.private, err = rsaKey()
		jose = keys.RS256
	}
	if err != nil {
		t.Fatal(err)
	}
	if k.signer, err = keys.NewSigner(k.private, "", jose); err != nil {
		t.Fatal(err)
	}
	return k
}

// MarshalJSON gives the private key to a script.
func (k *signingKey) MarshalJSON() ([]byte, error) {
	out := struct {
		Alg    httpsig.Algorithm `json:"alg"`
		KeyID  string            `json:"keyid"`
		Secret []byte            `json:"secret,omitempty"`
		JWK    json.RawMessage   `json:"jwk,omitempty"`
	}{Alg: k.alg, KeyID: k.id, Secret: k.secret}
	if k.signer != nil {
		var err error
		if out.JWK, err = k.signer.MarshalPrivateJWK(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

// verification returns the key that our verifier uses.
func (k *signingKey) verification() (*httpsig.Key, error) {
	if k.signer == nil {
		return httpsig.NewHMACKey(k.secret)
	}
	public, err := keys.NewPublic(k.private.Public(), "", "")
	if err != nil {
		return nil, err
	}
	return httpsig.NewKey(public, k.alg)
}

// fieldTypes are those of structured fields that aren't registered.
var fieldTypes = map[string]httpsig.FieldType{"x-dict": httpsig.Dictionary, "x-list": httpsig.List}

// verify is our side: the signature, and the digest of a body.
func (s signed) verify(ctx context.Context) error {
	v, err := httpsig.NewVerifier(httpsig.Config{
		Label: "sig1", One: true, Required: httpsig.Components(s.Components...), RequiredParams: []string{"created", "keyid"},
		Algorithms: []httpsig.Algorithm{s.Key.alg}, MaxAge: time.Minute, Fields: fieldTypes,
	})
	if err != nil {
		return err
	}
	source := func(_ context.Context, in *httpsig.Input) (*httpsig.Key, error) {
		if in.KeyID() != s.Key.id {
			return nil, errors.New("no such key")
		}
		return s.Key.verification()
	}
	m := &httpsig.Message{Method: s.Message.Method, TargetURI: s.Message.URL, Header: s.Message.Header}
	if _, err := v.Verify(ctx, m, source); err != nil {
		return err
	}
	if s.Message.Body == "" {
		return nil
	}
	digests, err := contentdigest.Parse(s.Message.Header.Values("Content-Digest"))
	if err != nil {
		return err
	}
	return digests.Verify([]byte(s.Message.Body))
}

// send is our side as a client: it signs and sends.
func (o order) send(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, o.Message.Method, o.Message.URL, strings.NewReader(o.Message.Body))
	if err != nil {
		return err
	}
	r.Header = o.Message.Header.Clone()
	r.Header.Set("Interop-Case", o.Name)
	if o.Message.Body != "" {
		r.Header.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte(o.Message.Body)))
	}
	cfg := httpsig.SignerConfig{
		Secret: o.Key.secret, KeyID: o.Key.id, Components: httpsig.Components(o.Components...), Nonce: httpsig.NoNonce,
		Fields: fieldTypes,
	}
	if o.Key.signer != nil {
		cfg.Key = o.Key.signer
	}
	signer, err := httpsig.NewSigner(cfg)
	if err != nil {
		return err
	}
	fields, err := signer.Sign(httpsig.RequestMessage(r, o.Message.URL))
	if err != nil {
		return err
	}
	fields.Add(r.Header)
	return exchange(r)
}

// exchange sends r and reads the answer to its end.
func exchange(r *http.Request) error {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// recorder is a server that keeps what it was sent.
type recorder struct {
	origin string
	mu     sync.Mutex
	got    map[string]message // Interop-Case -> request; guarded by mu
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	rec := &recorder{got: make(map[string]message)}
	server := httptest.NewServer(rec)
	t.Cleanup(server.Close)
	rec.origin = server.URL
	return rec
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "incomplete request", http.StatusBadRequest)
		return
	}
	m := httpsig.RequestMessage(r, rec.origin+r.RequestURI)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.got[r.Header.Get("Interop-Case")] = message{Method: m.Method, URL: m.TargetURI, Header: m.Header.Clone(), Body: string(body)}
}

// take returns the request of a case.
func (rec *recorder) take(t *testing.T, name string) message {
	t.Helper()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	m, ok := rec.got[name]
	if !ok {
		t.Fatalf("no request %q arrived", name)
	}
	return m.clone()
}
