package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// Each case differs in one thing from a request that is granted.
func TestDPoPRefused(t *testing.T) {
	f := newFixture(t, nil)
	for _, tc := range []struct {
		name   string
		change func(*tokenRequest)
		reason Reason
		inner  dpop.Reason // for DPoPRefused
		code   string
	}{
		{"none", func(q *tokenRequest) { q.header.Del("DPoP") }, ProofMissing, "", "invalid_request"},
		{"two", func(q *tokenRequest) { f.addProof(t, q, nil) }, DPoPRefused, dpop.FieldCount, "invalid_dpop_proof"},
		{"no proof", func(q *tokenRequest) { q.header.Set("DPoP", "x.y.z") }, DPoPRefused, dpop.Malformed, "invalid_dpop_proof"},
		{"empty", func(q *tokenRequest) { q.header.Set("DPoP", "") }, DPoPRefused, dpop.Malformed, "invalid_dpop_proof"},
		{"another method", f.otherProof(t, func(p *dpop.Params) { p.Method = "GET" }), DPoPRefused, dpop.MethodMismatch, "invalid_dpop_proof"},
		{"for the issuer", f.otherProof(t, func(p *dpop.Params) { p.TargetURI = testIssuer }), DPoPRefused, dpop.TargetMismatch, "invalid_dpop_proof"},
		{"for the introspection endpoint", f.otherProof(t, func(p *dpop.Params) { p.TargetURI = testIssuer + "/introspect" }), DPoPRefused, dpop.TargetMismatch, "invalid_dpop_proof"},
		{"for the Host of the request", f.otherProof(t, func(p *dpop.Params) { p.TargetURI = "http://internal:8080/tenant/token" }), DPoPRefused, dpop.TargetMismatch, "invalid_dpop_proof"},
		{"too old", f.otherProof(t, func(p *dpop.Params) { p.Now = testNow.Add(-2 * time.Minute) }), DPoPRefused, dpop.TooOld, "invalid_dpop_proof"},
		{"in the future", f.otherProof(t, func(p *dpop.Params) { p.Now = testNow.Add(time.Minute) }), DPoPRefused, dpop.InFuture, "invalid_dpop_proof"},
		{"a client assertion as the proof", func(q *tokenRequest) { q.header.Set("DPoP", f.assertion(t, f.jwtKey, nil)) }, DPoPRefused, dpop.ClaimMissing, "invalid_dpop_proof"},
		{"for a client of another binding", func(q *tokenRequest) { q.basic("runtime", testSecret) }, ProofRefused, "", "invalid_request"},
		{"and a signature", func(q *tokenRequest) { f.addSignature(t, q, nil) }, ProofAmbiguous, "", "invalid_request"},
		{"and a malformed signature", func(q *tokenRequest) { q.header.Set("Signature-Input", "sig1=(") }, SignatureRefused, "", "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			claims := len(f.guard.claims)
			q := request("any")
			f.addProof(t, q, nil)
			tc.change(q)
			got := f.send(t, q)
			checkRefused(t, got, http.StatusBadRequest, tc.code, tc.reason)
			if inner, ok := errors.AsType[*dpop.Error](got.event.Refusal); ok != (tc.inner != "") || ok && inner.Reason != tc.inner {
				t.Errorf("got %v, want %q inside", got.event.Refusal, tc.inner)
			}
			if len(f.guard.claims) != claims {
				t.Error("a refused request claimed something")
			}
		})
	}
}

// otherProof replaces the proof by one that says something else.
func (f *fixture) otherProof(t *testing.T, change func(*dpop.Params)) func(*tokenRequest) {
	return func(q *tokenRequest) {
		q.header.Del("DPoP")
		f.addProof(t, q, change)
	}
}

// A signature that isn't about token requests is not ours to judge, and no second proof.
func TestOtherSignaturesIgnored(t *testing.T) {
	f := newFixture(t, nil)
	q := request("any")
	f.addProof(t, q, nil)
	f.addSignature(t, q, func(cfg *httpsig.SignerConfig) { cfg.Tag = "proxy" })
	got := f.send(t, q)
	checkGranted(t, got)
	if got.body["token_type"] != "DPoP" {
		t.Errorf("got token_type %v", got.body["token_type"])
	}
	q = request("any")
	f.addSignature(t, q, func(cfg *httpsig.SignerConfig) { cfg.Tag = "proxy" })
	checkRefused(t, f.send(t, q), http.StatusBadRequest, "invalid_request", ProofMissing)
}

func TestDPoPProofOnce(t *testing.T) {
	f := newFixture(t, nil)
	q := request("any")
	f.addProof(t, q, nil)
	checkGranted(t, f.send(t, q))
	checkRefused(t, f.send(t, q), http.StatusBadRequest, "invalid_dpop_proof", ProofUsed)
	// Another client can't use it either: a proof says nothing about who is meant to send it (RFC 9449, section 11.11).
	q.basic("dpop", testSecret)
	checkRefused(t, f.send(t, q), http.StatusBadRequest, "invalid_dpop_proof", ProofUsed)
}

// Each case differs in one thing from a signed request that is granted.
func TestSignatureRefused(t *testing.T) {
	f := newFixture(t, nil)
	type change = func(*httpsig.SignerConfig)
	uncovered := func(component string) change {
		return func(cfg *httpsig.SignerConfig) {
			var rest []httpsig.Component
			for _, c := range cfg.Components {
				if c.Name() != component {
					rest = append(rest, c)
				}
			}
			cfg.Components = rest
		}
	}
	at := func(d time.Duration) change {
		return func(cfg *httpsig.SignerConfig) { cfg.Now = func() time.Time { return testNow.Add(d) } }
	}
	// pub puts another key into the parameters, which the signer itself would not.
	pub := func(raw []byte) func(*tokenRequest) {
		return func(q *tokenRequest) {
			input := q.header.Get("Signature-Input")
			honest := base64.StdEncoding.EncodeToString(rawKey(t, f.runtimeKey))
			if !strings.Contains(input, honest) {
				t.Fatalf("no pub in %s", input)
			}
			q.header.Set("Signature-Input", strings.Replace(input, honest, base64.StdEncoding.EncodeToString(raw), 1))
		}
	}
	preregistered := func(change change) change {
		return func(cfg *httpsig.SignerConfig) {
			f.preregistered(cfg)
			change(cfg)
		}
	}
	for _, tc := range []struct {
		name   string
		client string
		policy change
		after  func(*tokenRequest) // changes the request once it is signed
		reason Reason
		inner  httpsig.Reason // for SignatureRefused
	}{
		{"method not covered", "any", uncovered("@method"), nil, SignatureRefused, httpsig.CoverageMissing},
		{"target not covered", "any", uncovered("@target-uri"), nil, SignatureRefused, httpsig.CoverageMissing},
		{"digest not covered", "any", uncovered("content-digest"), nil, SignatureRefused, httpsig.CoverageMissing},
		{"authentication not covered", "any", uncovered("authorization"), nil, SignatureRefused, httpsig.CoverageMissing},
		{"too old", "any", at(-time.Minute), nil, SignatureRefused, httpsig.TooOld},
		{"in the future", "any", at(time.Minute), nil, SignatureRefused, httpsig.InFuture},
		{"no nonce", "any", func(cfg *httpsig.SignerConfig) { cfg.Nonce = httpsig.NoNonce }, nil, SignatureRefused, httpsig.ParamRefused},
		{"no key", "any", func(cfg *httpsig.SignerConfig) { cfg.PublicKey = nil }, nil, SignatureRefused, httpsig.ParamRefused},
		{"no alg", "any", func(cfg *httpsig.SignerConfig) { cfg.Alg = false }, nil, SignatureRefused, httpsig.ParamRefused},
		{"keyid beside the key", "any", func(cfg *httpsig.SignerConfig) { cfg.KeyID = "sig-1" }, nil, SignatureRefused, httpsig.ParamRefused},
		{"key of the wrong length", "any", nil, pub(make([]byte, 31)), SignatureRefused, httpsig.UnknownKey},
		{"key that isn't one", "any", nil, pub(make([]byte, 32)), SignatureRefused, httpsig.UnknownKey},
		{"another key", "any", nil, pub(rawKey(t, f.signedKey)), SignatureRefused, httpsig.BadSignature},
		{"body changed", "any", nil, func(q *tokenRequest) { q.form.Set("scope", "read") }, DigestRefused, ""},
		{"digest changed with the body", "any", nil, func(q *tokenRequest) {
			q.form.Set("scope", "read")
			q.header.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte(q.encode())))
		}, SignatureRefused, httpsig.BadSignature},
		{"digest removed", "any", nil, func(q *tokenRequest) { q.header.Del("Content-Digest") }, SignatureRefused, httpsig.ComponentInvalid},
		{"other authentication", "any", nil, func(q *tokenRequest) { q.basic("runtime", testSecret) }, SignatureRefused, httpsig.BadSignature},
		{"twice", "any", nil, func(q *tokenRequest) {
			f.addSignature(t, q, func(cfg *httpsig.SignerConfig) { cfg.Label = "sig2" })
		}, SignatureRefused, httpsig.TooMany},
		{"run-time key of a client with another binding", "dpop", nil, nil, ProofRefused, ""},
		{"run-time key of a client with a pre-registered one", "signed", nil, nil, ProofRefused, ""},

		{"alg beside a keyid", "signed", preregistered(func(cfg *httpsig.SignerConfig) { cfg.Alg = true }), nil, SignatureRefused, httpsig.ParamRefused},
		{"pub beside a keyid", "signed", preregistered(func(cfg *httpsig.SignerConfig) {
			cfg.PublicKey = rawKey(t, f.signedKey)
		}), nil, SignatureRefused, httpsig.ParamRefused},
		{"unknown keyid", "signed", preregistered(func(cfg *httpsig.SignerConfig) { cfg.KeyID = "sig-2" }), nil, SignatureRefused, httpsig.UnknownKey},
		{"another client's keyid", "any", f.preregistered, nil, SignatureRefused, httpsig.UnknownKey},
		{"another key than keyid names", "signed", preregistered(func(cfg *httpsig.SignerConfig) { cfg.Key = f.runtimeKey }), nil, SignatureRefused, httpsig.BadSignature},
		{"key with an alg that isn't fully specified", "signed", preregistered(func(cfg *httpsig.SignerConfig) {
			cfg.Key, cfg.KeyID = f.eddsaKey, "jwt-eddsa"
		}), nil, SignatureRefused, httpsig.UnknownKey},
		{"pre-registered key of a client with another binding", "runtime", f.preregistered, nil, ProofRefused, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			claims := len(f.guard.claims)
			q := request(tc.client)
			f.addSignature(t, q, tc.policy)
			if tc.after != nil {
				tc.after(q)
			}
			got := f.send(t, q)
			checkRefused(t, got, http.StatusBadRequest, "invalid_request", tc.reason)
			if inner, ok := errors.AsType[*httpsig.Error](got.event.Refusal); ok != (tc.inner != "") || ok && inner.Reason != tc.inner {
				t.Errorf("got %v, want %q inside", got.event.Refusal, tc.inner)
			}
			if len(f.guard.claims) != claims {
				t.Error("a refused request claimed something")
			}
		})
	}
}

func TestSignatureOnce(t *testing.T) {
	f := newFixture(t, nil)
	q := request("any")
	f.addSignature(t, q, nil)
	checkGranted(t, f.send(t, q))
	checkRefused(t, f.send(t, q), http.StatusBadRequest, "invalid_request", ProofUsed)
}

// exchange is a request of the vectors.
type exchange struct {
	Method  string
	URL     string
	Headers [][2]string
	Body    string `json:"body_b64"`
}

func (e exchange) decode(t testing.TB) []byte {
	t.Helper()
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (e exchange) request(t testing.TB) (*http.Request, []byte) {
	t.Helper()
	body := e.decode(t)
	r := httptest.NewRequest(e.Method, e.URL, strings.NewReader(string(body)))
	for _, field := range e.Headers {
		r.Header.Add(field[0], field[1])
	}
	return r, body
}

func readVectors(t testing.TB, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// The draft's own signed token requests. They are for a grant that this server doesn't have, so the steps up to the
// proof are run alone; and their secret is shorter than a client of ours may have.
func TestDraftTokenRequests(t *testing.T) {
	var vectors struct {
		Cases []struct {
			ID      string
			Request exchange
			Key     map[string]any
		}
	}
	readVectors(t, "testdata/oauth-httpsig-draft.json", &vectors)
	want := map[string]string{
		"token-request-pub":    `{"htsk":{"alg":"ed25519","pub":"iuemcj_GhRHmY_yCsMlDNp3BQgPZDdG00VRsg_BgU3s"}}`,
		"token-request-prereg": "iuemcj_GhRHmY_yCsMlDNp3BQgPZDdG00VRsg_BgU3s",
	}
	for _, c := range vectors.Cases {
		confirmation, ok := want[c.ID]
		if !ok {
			continue
		}
		delete(want, c.ID)
		t.Run(c.ID, func(t *testing.T) {
			c.Key["kid"], c.Key["alg"] = "j-0Ny45NWmqGq6GQ", "Ed25519"
			key, err := keys.ParsePublic(mustJSON(t, c.Key))
			if err != nil {
				t.Fatal(err)
			}
			f := newFixture(t, func(cfg *Config) {
				cfg.Issuer = "https://server.example.com"
				cfg.Now = func() time.Time { return time.Unix(1618884473+5, 0) }
				client := cfg.Clients[0]
				client.ID, client.Keys = "s6BhdRkqt3", []*keys.Public{key}
				client.SecretHash = sha256.Sum256([]byte("gX1fBat3bV"))
				cfg.Clients = []Client{client}
			})
			r, body := c.Request.request(t)
			who, err := f.authenticate(r, form{})
			if err != nil {
				t.Fatal(err)
			}
			p, err := f.prove(r, body, who)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(p.confirmation); !strings.Contains(got, confirmation) {
				t.Errorf("got cnf %s, want %s", got, confirmation)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			body[0] ^= 1
			if _, err := f.prove(r, body, who); err == nil {
				t.Error("accepted with another body")
			}
		})
	}
	if len(want) != 0 {
		t.Errorf("vectors not found: %v", want)
	}
}

// Requests to a token endpoint as vectors for RFC 9449 have them, with our client's authentication and form: a DPoP
// proof covers neither.
func TestRFC9449TokenRequests(t *testing.T) {
	var vectors struct {
		Cases []struct {
			ID      string
			Request exchange
			Now     int64
			Policy  struct {
				Required *bool `json:"dpop_required"`
			}
			Expect string
		}
	}
	readVectors(t, "testdata/rfc9449-token.json", &vectors)
	if len(vectors.Cases) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range vectors.Cases {
		t.Run(c.ID, func(t *testing.T) {
			f := newFixture(t, func(cfg *Config) {
				cfg.Issuer = "https://as.example"
				cfg.Now = func() time.Time { return time.Unix(c.Now, 0) }
			})
			id := "any"
			if c.Policy.Required != nil && !*c.Policy.Required {
				id = "unbound"
			}
			q := request(id)
			q.url = c.Request.URL
			for _, field := range c.Request.Headers {
				if field[0] == "DPoP" {
					q.header.Add(field[0], field[1])
				}
			}
			got := f.send(t, q)
			if accepted := got.status == http.StatusOK; accepted != (c.Expect == "accept") {
				t.Errorf("got %d %v, want %s", got.status, got.body, c.Expect)
			}
		})
	}
}
