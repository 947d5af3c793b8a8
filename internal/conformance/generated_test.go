package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

var update = flag.Bool("update", false, "write the generated vector files anew")

const generatedFile = "../../vectors/holdfast/resource.json"

// vector is a case as it is written.
type vector struct {
	ID       string         `json:"id"`
	Rule     string         `json:"rule"`
	Endpoint string         `json:"endpoint"`
	Request  writtenMessage `json:"request"`
	Now      int64          `json:"now"`
	Policy   writtenPolicy  `json:"policy"`
	Expect   string         `json:"expect"`
	JKT      string         `json:"jkt,omitempty"`
}

type writtenMessage struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body_b64"`
}

type writtenPolicy struct {
	MaxAge    int64          `json:"max_age"`
	ClockSkew int64          `json:"clock_skew"`
	Tokens    map[string]any `json:"tokens"`
	Cover     []string       `json:"cover,omitempty"`
	CoverBody bool           `json:"cover_body,omitempty"`
}

// draft is a request while it is made.
type draft struct {
	t       *testing.T
	signer  *keys.Signer
	now     time.Time
	method  string
	url     string
	header  http.Header
	body    string
	policy  writtenPolicy
	token   string
	covered []string // further components
}

const (
	vectorTime = 1_800_000_000
	vectorBody = `{"to":"bob","amount":10}`
)

func newDraft(t *testing.T, signer *keys.Signer, cnf json.RawMessage) *draft {
	return &draft{
		t: t, signer: signer, now: time.Unix(vectorTime, 0), method: "POST", url: "https://api.example/transfers?account=7",
		header: http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"k-1"}}, body: vectorBody, token: "tok.en",
		policy: writtenPolicy{
			MaxAge: 60, ClockSkew: 5, Tokens: map[string]any{"tok.en": map[string]any{"cnf": cnf}},
			Cover: []string{"@query", "content-type", "idempotency-key"}, CoverBody: true,
		},
		covered: []string{"content-type", "idempotency-key", "content-digest"},
	}
}

func (d *draft) digest() {
	d.header.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte(d.body)))
}

func (d *draft) prove() {
	d.header.Set("Authorization", "DPoP "+d.token)
	proof, err := dpop.Sign(d.signer, dpop.Params{Method: d.method, TargetURI: d.url, Token: d.token, Now: d.now})
	if err != nil {
		d.t.Fatal(err)
	}
	d.header.Set("DPoP", proof)
}

func (d *draft) sign(cfg httpsig.SignerConfig, base ...string) {
	cfg.Key, cfg.Now = d.signer, func() time.Time { return d.now }
	cfg.Components = httpsig.Components(append(base, d.covered...)...)
	s, err := httpsig.NewSigner(cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	fields, err := s.Sign(&httpsig.Message{Method: d.method, TargetURI: d.url, Header: d.header})
	if err != nil {
		d.t.Fatal(err)
	}
	fields.Add(d.header)
}

// complete is an honest DPoP request with its signature.
func (d *draft) completeDPoP() {
	d.digest()
	d.prove()
	d.sign(httpsig.SignerConfig{Tag: holdfast.TagProof}, "@method", "@target-uri", "authorization", "dpop")
}

// complete is an honest HTTPSig request.
func (d *draft) completeHTTPSig() {
	d.digest()
	d.header.Set("Authorization", "HTTPSig "+d.token)
	d.sign(httpsig.SignerConfig{Tag: holdfast.TagHTTPSig}, "@method", "@target-uri", "authorization")
}

func (d *draft) vector(id, rule, expect string) vector {
	v := vector{
		ID: id, Rule: rule, Endpoint: "resource", Now: d.now.Unix(), Policy: d.policy, Expect: expect,
		Request: writtenMessage{Method: d.method, URL: d.url, Body: base64.StdEncoding.EncodeToString([]byte(d.body))},
	}
	if d.now.Unix() != vectorTime {
		v.Now = vectorTime
	}
	names := make([]string, 0, len(d.header))
	for name := range d.header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range d.header[name] {
			v.Request.Headers = append(v.Request.Headers, [2]string{name, value})
		}
	}
	if expect == accept {
		v.JKT = d.signer.Public().Thumbprint().String()
	}
	return v
}

// edits are the ways in which a request differs from an accepted one.
var edits = []struct {
	id, rule string
	edit     func(*draft)
}{
	{"other-query", "@target-uri is covered", func(d *draft) { d.url = strings.Replace(d.url, "7", "8", 1) }},
	{"query-added-parameter", "@target-uri is covered", func(d *draft) { d.url += "&x=1" }},
	{"other-path", "@target-uri is covered", func(d *draft) { d.url = strings.Replace(d.url, "transfers", "accounts", 1) }},
	{"other-method", "@method is covered", func(d *draft) { d.method = "PUT" }},
	{"body-changed", "content-digest is covered and must match", func(d *draft) { d.body = strings.Replace(d.body, "bob", "eve", 1) }},
	{"body-truncated", "content-digest is covered and must match", func(d *draft) { d.body = d.body[:10] }},
	{"body-removed", "content-digest is covered and must match", func(d *draft) { d.body = "" }},
	{"body-and-digest-changed", "content-digest is covered", func(d *draft) { d.body = "{}"; d.digest() }},
	{"field-changed", "idempotency-key is covered", func(d *draft) { d.header.Set("Idempotency-Key", "k-2") }},
	{"field-removed", "a covered field is missing", func(d *draft) { d.header.Del("Idempotency-Key") }},
	{"field-line-added", "all lines are covered", func(d *draft) { d.header.Add("Idempotency-Key", "k-2") }},
	{"signature-removed", "the policy demands coverage", func(d *draft) { d.header.Del("Signature"); d.header.Del("Signature-Input") }},
	{"signature-value-removed", "a label must be in both fields", func(d *draft) { d.header.Del("Signature") }},
	{"as-bearer", "RFC 9449 7.2: a bound token under another scheme", func(d *draft) { d.header.Set("Authorization", "Bearer "+d.token) }},
	{"authorization-twice", "RFC 9449 7.2", func(d *draft) { d.header.Add("Authorization", d.header.Get("Authorization")) }},
}

func generate(t *testing.T) []vector {
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := accesstoken.AppendHTSK(nil, signer.Public(), "ecdsa-p256-sha256")
	if err != nil {
		t.Fatal(err)
	}
	jkt := json.RawMessage(`{"jkt":"` + signer.Public().Thumbprint().String() + `"}`)
	kinds := []struct {
		name     string
		cnf      json.RawMessage
		complete func(*draft)
	}{
		{"dpop", jkt, (*draft).completeDPoP},
		{"httpsig", runtime, (*draft).completeHTTPSig},
	}
	var out []vector
	for _, k := range kinds {
		d := newDraft(t, signer, k.cnf)
		k.complete(d)
		out = append(out, d.vector("ok-"+k.name+"-covered", "everything that the policy demands is covered", accept))
		for _, e := range edits {
			d := newDraft(t, signer, k.cnf)
			k.complete(d)
			e.edit(d)
			out = append(out, d.vector("neg-"+k.name+"-"+e.id, e.rule, reject))
		}
		d = newDraft(t, signer, k.cnf)
		d.now = d.now.Add(-66 * time.Second)
		k.complete(d)
		out = append(out, d.vector("neg-"+k.name+"-too-old", "older than max_age and clock_skew", reject))
		d = newDraft(t, signer, k.cnf)
		d.covered = []string{"content-type", "idempotency-key"}
		k.complete(d)
		out = append(out, d.vector("neg-"+k.name+"-digest-uncovered", "cover_body", reject))
	}
	return append(out, generateEdges(t, signer, jkt, runtime)...)
}

// generateEdges makes the cases that are about one scheme only.
func generateEdges(t *testing.T, signer *keys.Signer, jkt, runtime json.RawMessage) []vector {
	var out []vector
	add := func(cnf json.RawMessage, id, rule, expect string, f func(*draft)) {
		d := newDraft(t, signer, cnf)
		f(d)
		out = append(out, d.vector(id, rule, expect))
	}
	add(jkt, "neg-dpop-no-signature", "a DPoP proof covers no query, field or body", reject, (*draft).prove)
	add(jkt, "ok-dpop-alone-policy-asks-no-more", "@path and @method are covered by htu and htm", accept, func(d *draft) {
		d.policy.Cover, d.policy.CoverBody = []string{"@method", "@path"}, false
		d.prove()
	})
	add(jkt, "neg-dpop-signature-beside-another-proof", "the signature covers the dpop field", reject, func(d *draft) {
		d.completeDPoP()
		d.prove()
	})
	add(jkt, "neg-dpop-signature-without-dpop-covered", "the signature must cover the dpop field", reject, func(d *draft) {
		d.digest()
		d.prove()
		d.sign(httpsig.SignerConfig{Tag: holdfast.TagProof}, "@method", "@target-uri", "authorization")
	})
	add(jkt, "neg-dpop-signature-of-other-tag", "tags tell signatures apart", reject, func(d *draft) {
		d.digest()
		d.prove()
		d.sign(httpsig.SignerConfig{Tag: "something-else"}, "@method", "@target-uri", "authorization", "dpop")
	})
	add(runtime, "neg-httpsig-alg-parameter", "draft-richer-oauth-httpsig-03: alg is forbidden at the resource", reject, func(d *draft) {
		d.digest()
		d.header.Set("Authorization", "HTTPSig "+d.token)
		d.sign(httpsig.SignerConfig{Tag: holdfast.TagHTTPSig, Alg: true}, "@method", "@target-uri", "authorization")
	})
	add(runtime, "neg-httpsig-no-nonce", "draft-richer-oauth-httpsig-03: nonce is mandatory", reject, func(d *draft) {
		d.digest()
		d.header.Set("Authorization", "HTTPSig "+d.token)
		d.sign(httpsig.SignerConfig{Tag: holdfast.TagHTTPSig, Nonce: httpsig.NoNonce}, "@method", "@target-uri", "authorization")
	})
	add(runtime, "neg-httpsig-authorization-uncovered", "draft-richer-oauth-httpsig-03: authorization must be covered", reject, func(d *draft) {
		d.digest()
		d.header.Set("Authorization", "HTTPSig "+d.token)
		d.sign(httpsig.SignerConfig{Tag: holdfast.TagHTTPSig}, "@method", "@target-uri")
	})
	add(jkt, "neg-jkt-token-as-httpsig", "the token's confirmation chooses the proof", reject, (*draft).completeHTTPSig)
	add(runtime, "neg-htsk-token-as-dpop", "the token's confirmation chooses the proof", reject, (*draft).completeDPoP)
	return out
}

// TestGeneratedVectors writes the file with -update, and otherwise checks that it has the cases that would be written.
// Signatures differ from run to run, so only what the cases are about is compared; TestShippedVectors runs them.
func TestGeneratedVectors(t *testing.T) {
	made := generate(t)
	if *update {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		file := map[string]any{"meta": map[string]string{"source": "made by internal/conformance", "licence": "own data (CC0)"}, "cases": made}
		if err := enc.Encode(file); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll("../../vectors/holdfast", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(generatedFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var shipped, want []string
	for _, c := range readCases(t, generatedFile) {
		shipped = append(shipped, c.ID+" "+c.Expect)
	}
	for _, v := range made {
		want = append(want, v.ID+" "+v.Expect)
	}
	if !slices.Equal(shipped, want) {
		t.Errorf("%s isn't what would be made now: run with -update", generatedFile)
	}
}
