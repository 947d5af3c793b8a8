package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yaronf/httpsign"

	"github.com/holdfast-project/holdfast/httpsig"
)

// signaturePeer is another implementation of RFC 9421.
type signaturePeer interface {
	// send signs each order and sends it.
	send(t *testing.T, orders []order)
	// verify verifies each request, and its body's digest if it has a body, and returns nil for what holds.
	verify(t *testing.T, requests []signed) []error
}

// npmPeer is http-message-signatures.
type npmPeer struct{}

type signaturesConfig struct {
	Sign   []order  `json:"sign"`
	Verify []signed `json:"verify"`
}

// npmVerdict is what signatures.mjs found of one request.
type npmVerdict struct {
	Signature bool   `json:"signature"`
	Digest    bool   `json:"digest"`
	Error     string `json:"error"` // what the package threw
}

func (npmPeer) send(t *testing.T, orders []order) {
	t.Helper()
	runNode[[]npmVerdict](t, "signatures.mjs", signaturesConfig{Sign: orders, Verify: []signed{}})
}

func (npmPeer) verify(t *testing.T, requests []signed) []error {
	t.Helper()
	verdicts := runNode[[]npmVerdict](t, "signatures.mjs", signaturesConfig{Sign: []order{}, Verify: requests})
	if len(verdicts) != len(requests) {
		t.Fatalf("got %d verdicts, want %d", len(verdicts), len(requests))
	}
	errs := make([]error, len(verdicts))
	for i, v := range verdicts {
		switch {
		case v.Error != "":
			errs[i] = errors.New(v.Error)
		case !v.Signature:
			errs[i] = errors.New("the signature doesn't verify")
		case !v.Digest:
			errs[i] = errors.New("the digest doesn't match")
		}
	}
	return errs
}

// goPeer is yaronf/httpsign.
type goPeer struct{}

func (goPeer) send(t *testing.T, orders []order) {
	t.Helper()
	for _, o := range orders {
		if err := sendHTTPSign(t.Context(), o); err != nil {
			t.Fatalf("%s: %v", o.Name, err)
		}
	}
}

func sendHTTPSign(ctx context.Context, o order) error {
	r, err := httpSignRequest(ctx, o.Message)
	if err != nil {
		return err
	}
	r.Header.Set("Interop-Case", o.Name)
	if o.Message.Body != "" {
		digest, err := httpsign.GenerateContentDigestHeader(&r.Body, []string{httpsign.DigestSha256})
		if err != nil {
			return err
		}
		r.Header.Set("Content-Digest", digest)
	}
	signer, err := httpSignSigner(o.Key, httpSignFields(o.Components))
	if err != nil {
		return err
	}
	input, signature, err := httpsign.SignRequest("sig1", *signer, r)
	if err != nil {
		return err
	}
	r.Header.Set("Signature-Input", input)
	r.Header.Set("Signature", signature)
	return exchange(r)
}

func (goPeer) verify(t *testing.T, requests []signed) []error {
	t.Helper()
	errs := make([]error, len(requests))
	for i, s := range requests {
		errs[i] = verifyHTTPSign(t.Context(), s)
	}
	return errs
}

func verifyHTTPSign(ctx context.Context, s signed) error {
	r, err := httpSignRequest(ctx, s.Message)
	if err != nil {
		return err
	}
	verifier, err := httpSignVerifier(s.Key, httpSignFields(s.Components))
	if err != nil {
		return err
	}
	if err := httpsign.VerifyRequest("sig1", *verifier, r); err != nil {
		return err
	}
	if s.Message.Body == "" {
		return nil
	}
	return httpsign.ValidateContentDigestHeader(r.Header.Values("Content-Digest"), &r.Body, []string{httpsign.DigestSha256})
}

func httpSignRequest(ctx context.Context, m message) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, m.Method, m.URL, strings.NewReader(m.Body))
	if err != nil {
		return nil, err
	}
	if m.Body == "" {
		r.Body = io.NopCloser(http.NoBody)
	}
	r.Header = m.Header.Clone()
	return r, nil
}

// httpSignFields translates component identifiers.
func httpSignFields(components []string) httpsign.Fields {
	fields := httpsign.NewFields()
	for _, c := range components {
		name, param, _ := strings.Cut(strings.TrimPrefix(c, `"`), `"`)
		key, value, _ := strings.Cut(strings.TrimPrefix(param, ";"), "=")
		value = strings.Trim(value, `"`)
		switch key {
		case "":
			fields.AddHeaders(name)
		case "sf":
			fields.AddStructuredField(name)
		case "bs":
			fields.AddHeaderExt(name, false, true, false, false)
		case "key":
			fields.AddDictHeader(name, value)
		case "name":
			fields.AddQueryParam(value)
		}
	}
	return *fields
}

var errNoSuchKey = errors.New("httpsign has no such algorithm")

func httpSignSigner(k *signingKey, fields httpsign.Fields) (*httpsign.Signer, error) {
	cfg := httpsign.NewSignConfig().SignAlg(false).SetKeyID(k.id)
	if k.private == nil {
		return httpsign.NewHMACSHA256Signer(k.secret, cfg, fields)
	}
	switch key := k.private.(type) {
	case ed25519.PrivateKey:
		return httpsign.NewEd25519Signer(key, cfg, fields)
	case *rsa.PrivateKey:
		if k.alg == httpsig.RSAPSSSHA512 {
			return httpsign.NewRSAPSSSigner(*key, cfg, fields)
		}
		return httpsign.NewRSASigner(*key, cfg, fields)
	case *ecdsa.PrivateKey:
		if k.alg == httpsig.ECDSAP384SHA384 {
			return httpsign.NewP384Signer(*key, cfg, fields)
		}
		return httpsign.NewP256Signer(*key, cfg, fields)
	}
	return nil, errNoSuchKey
}

func httpSignVerifier(k *signingKey, fields httpsign.Fields) (*httpsign.Verifier, error) {
	cfg := httpsign.NewVerifyConfig().SetKeyID(k.id).SetNotOlderThan(time.Minute)
	if k.private == nil {
		return httpsign.NewHMACSHA256Verifier(k.secret, cfg, fields)
	}
	switch key := k.private.Public().(type) {
	case ed25519.PublicKey:
		return httpsign.NewEd25519Verifier(key, cfg, fields)
	case *rsa.PublicKey:
		if k.alg == httpsig.RSAPSSSHA512 {
			return httpsign.NewRSAPSSVerifier(*key, cfg, fields)
		}
		return httpsign.NewRSAVerifier(*key, cfg, fields)
	case *ecdsa.PublicKey:
		if k.alg == httpsig.ECDSAP384SHA384 {
			return httpsign.NewP384Verifier(*key, cfg, fields)
		}
		return httpsign.NewP256Verifier(*key, cfg, fields)
	}
	return nil, errNoSuchKey
}
