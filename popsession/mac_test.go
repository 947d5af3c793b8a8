package popsession

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/sfv"
)

// macFile is in the format of vectors/README.md, so that the conformance run verifies it, too.
const macFile = "../vectors/popsession/mac.json"

type macFileFormat struct {
	Meta  map[string]string `json:"meta"`
	Cases []macCase         `json:"cases"`
}

type macCase struct {
	ID      string     `json:"id"`
	Rule    string     `json:"rule"`
	Label   string     `json:"label"`
	Key     macKey     `json:"key"`
	Alg     string     `json:"alg"`
	Now     int64      `json:"now"`
	Request macRequest `json:"request"`
	Base    string     `json:"signature_base,omitempty"` // of accepted ones
	Policy  macPolicy  `json:"policy"`
	Expect  string     `json:"expect"`
}

type macKey struct {
	Kty string `json:"kty"`
	K   octets `json:"k"`
}

type macRequest struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body_b64,omitempty"`
}

type macPolicy struct {
	Tag        string   `json:"tag"`
	Components []string `json:"required_components"`
	Params     []string `json:"required_params"`
	Seen       []string `json:"seen_nonces,omitempty"`
	MaxAge     int64    `json:"max_age"`
	Skew       int64    `json:"clock_skew"`
}

func (r *macRequest) message() *httpsig.Message {
	m := &httpsig.Message{Method: r.Method, TargetURI: r.URL, Header: http.Header{}}
	for _, line := range r.Headers {
		m.Header.Add(line[0], line[1])
	}
	return m
}

// signature returns the parsed input and the octets of the one signature.
func (r *macRequest) signature(t *testing.T) (*httpsig.Input, []byte) {
	t.Helper()
	h := r.message().Header
	inputs, err := httpsig.ParseInputs(h)
	if err != nil || len(inputs) != 1 {
		t.Fatalf("got %d signatures and %v, want 1", len(inputs), err)
	}
	dict, err := sfv.ParseDictionary(h["Signature"]...)
	if err != nil {
		t.Fatal(err)
	}
	return inputs[0], dict.Get(inputs[0].Label()).Value.Bytes()
}

func readMACs(t *testing.T) []macCase {
	t.Helper()
	data, err := os.ReadFile(macFile)
	if err != nil {
		t.Fatal(err)
	}
	var file macFileFormat
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatal("no vectors found")
	}
	return file.Cases
}

// TestMACVectors checks that the signatures are plain HMACs over the bases, under the keys of the schedule's vectors.
// What a verifier makes of the messages is judged by the conformance run.
func TestMACVectors(t *testing.T) {
	if *update {
		writeMACs(t)
	}
	accepted := 0
	for _, tc := range readMACs(t) {
		t.Run(tc.ID, func(t *testing.T) {
			if tc.Expect != "accept" {
				if tc.Base != "" {
					t.Error("a refused case has a base")
				}
				return
			}
			accepted++
			in, signature := tc.Request.signature(t)
			base, err := httpsig.Base(tc.Request.message(), in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if string(base) != tc.Base {
				t.Errorf("got base %q, want %q", base, tc.Base)
			}
			h := hmac.New(sha256.New, tc.Key.K)
			h.Write([]byte(tc.Base))
			if got := h.Sum(nil); !bytes.Equal(got, signature) {
				t.Errorf("got MAC %x, want %x", got, signature)
			}
			if _, err := ParseCounter(in.Nonce()); err != nil {
				t.Error(err)
			}
			if want := readSchedule(t)[0].Request; !bytes.Equal(tc.Key.K, want) {
				t.Error("the key isn't that of the first case of the schedule")
			}
		})
	}
	if accepted == 0 {
		t.Error("no case is accepted")
	}
}

const macTime = 1_800_000_000

// macDraft returns an honest request of a session, yet unsigned.
func macDraft(t *testing.T, id, rule string) macCase {
	t.Helper()
	return macCase{
		ID: id, Rule: rule, Label: "pop", Alg: "hmac-sha256", Now: macTime + 2, Expect: "reject",
		Key: macKey{Kty: "oct", K: readSchedule(t)[0].Request},
		Request: macRequest{
			Method: "POST", URL: "https://api.example/transfers?account=7", Body: []byte(`{"to":"bob","amount":10}`),
			Headers: [][2]string{{"Authorization", "PoP-Session AQJzMQ"}, {"Content-Type", "application/json"}},
		},
		Policy: macPolicy{
			Tag: "pop-session", Params: []string{"created", "nonce"}, MaxAge: 60, Skew: 5,
			Components: []string{`"@method"`, `"@target-uri"`, `"authorization"`, `"content-digest"`},
		},
	}
}

// sign adds the digest and the signature.
func (c *macCase) sign(t *testing.T, tag, counter string, components ...string) {
	t.Helper()
	if c.Request.Body != nil {
		sum := sha256.Sum256(c.Request.Body)
		digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		c.Request.Headers = append(c.Request.Headers, [2]string{"Content-Digest", digest})
	}
	nonce := func() string { return counter }
	s, err := httpsig.NewSigner(httpsig.SignerConfig{
		Secret: c.Key.K, Label: c.Label, Tag: tag, Nonce: nonce, Components: httpsig.Components(components...),
		Now: func() time.Time { return time.Unix(macTime, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	fields, err := s.Sign(c.Request.message())
	if err != nil {
		t.Fatal(err)
	}
	c.Request.Headers = append(c.Request.Headers,
		[2]string{"Signature-Input", fields.SignatureInput}, [2]string{"Signature", fields.Signature})
}

func writeMACs(t *testing.T) {
	t.Helper()
	file := macFileFormat{Meta: map[string]string{
		"what":    "requests of a PoP session; the key is k_req of the first case of key-schedule.json",
		"note":    "the ticket in Authorization is no real one: it is only signed over",
		"licence": "CC0-1.0",
		"made by": "go test ./popsession -run Vectors -update",
	}}
	names := []string{"@method", "@target-uri", "authorization", "content-digest"}
	accept := func(c macCase) {
		c.Expect = "accept"
		in, _ := c.Request.signature(t)
		base, err := httpsig.Base(c.Request.message(), in, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Base = string(base)
		file.Cases = append(file.Cases, c)
	}
	post := macDraft(t, "ok-post", "method, URL, ticket and the digest of the body are covered")
	post.sign(t, "pop-session", "1", names...)
	accept(post)

	get := macDraft(t, "ok-get", "without a body there is no digest to cover")
	get.Request.Method, get.Request.Body, get.Request.Headers = "GET", nil, get.Request.Headers[:1]
	get.Policy.Components = get.Policy.Components[:3]
	get.sign(t, "pop-session", "9007199254740991", names[:3]...)
	accept(get)

	// Each of these differs from ok-post in one thing.
	for _, bad := range []struct {
		id, rule string
		change   func(*macCase)
	}{
		{"bad-method", "the method is covered", func(c *macCase) { c.Request.Method = "PUT" }},
		{"bad-query", "the query is covered", func(c *macCase) { c.Request.URL = "https://api.example/transfers?account=8" }},
		{"bad-ticket", "the ticket is covered", func(c *macCase) { c.Request.Headers[0][1] = "PoP-Session AQJzMg" }},
		{"bad-body", "the digest must match", func(c *macCase) { c.Request.Body = []byte(`{"to":"eve","amount":10}`) }},
		{"bad-key", "requests are signed with k_req, not k_res", func(c *macCase) { c.Key.K = readSchedule(t)[0].Response }},
		{"bad-counter-used", "a counter is good once", func(c *macCase) { c.Policy.Seen = []string{"1"} }},
		{"bad-old", "created is at most 60 s ago", func(c *macCase) { c.Now = macTime + 66 }},
		{"bad-future", "created is at most 5 s ahead", func(c *macCase) { c.Now = macTime - 6 }},
	} {
		c := post
		c.ID, c.Rule, c.Request.Headers = bad.id, bad.rule, slices.Clone(post.Request.Headers)
		bad.change(&c)
		file.Cases = append(file.Cases, c)
	}
	for _, bad := range []struct {
		id, rule, tag, counter string
		components             []string
	}{
		{"bad-tag", "signatures with other tags are not ours", "other", "1", names},
		{"bad-no-counter", "a counter must be there", "pop-session", "", names},
		{"bad-no-authorization", "the ticket must be covered", "pop-session", "1", slices.Delete(slices.Clone(names), 2, 3)},
		{"bad-no-digest", "the digest of a body must be covered", "pop-session", "1", names[:3]},
		{"bad-no-target", "the URL must be covered as a whole", "pop-session", "1", []string{"@method", "@path", "authorization", "content-digest"}},
	} {
		c := macDraft(t, bad.id, bad.rule)
		c.sign(t, bad.tag, bad.counter, bad.components...)
		file.Cases = append(file.Cases, c)
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(macFile, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
