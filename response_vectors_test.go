package holdfast_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/popstream"
)

var update = flag.Bool("update", false, "write the vector file anew")

// responseFile is in the format of vectors/README.md, so that the conformance run verifies it, too.
const responseFile = "vectors/popresponse/mac.json"

type responseVector struct {
	ID       string          `json:"id"`
	Rule     string          `json:"rule"`
	Label    string          `json:"label"`
	Key      responseKey     `json:"key"`
	Alg      string          `json:"alg"`
	Now      int64           `json:"now"`
	Request  *vectorMessage  `json:"request"`
	Response *vectorMessage  `json:"response"`
	Base     string          `json:"signature_base,omitempty"` // of accepted ones
	Frames   *responseFrames `json:"frames,omitempty"`
	Policy   responsePolicy  `json:"policy"`
	Expect   string          `json:"expect"`
}

type responseKey struct {
	Kty string `json:"kty"`
	K   string `json:"k"`
}

type vectorMessage struct {
	Method  string      `json:"method,omitempty"`
	URL     string      `json:"url,omitempty"`
	Status  int         `json:"status,omitempty"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body_b64,omitempty"`
}

type responsePolicy struct {
	Tag        string   `json:"tag"`
	Components []string `json:"required_components"`
	Params     []string `json:"required_params"`
}

// responseFrames are of a response in frames: its body is they.
type responseFrames struct {
	Signature string `json:"signature"` // base64url
	Payload   string `json:"payload"`
}

func (m *vectorMessage) header() http.Header {
	h := http.Header{}
	for _, line := range m.Headers {
		h.Add(line[0], line[1])
	}
	return h
}

func (v *responseVector) message() *httpsig.Message {
	return &httpsig.Message{
		Status: v.Response.Status, Header: v.Response.header(),
		Request: &httpsig.Message{Method: v.Request.Method, TargetURI: v.Request.URL, Header: v.Request.header()},
	}
}

func (v *responseVector) secret(t *testing.T) []byte {
	t.Helper()
	k, err := base64.RawURLEncoding.DecodeString(v.Key.K)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// makeResponseVectors makes the file.
func makeResponseVectors(t *testing.T) []responseVector {
	t.Helper()
	request := vectorMessage{Method: "GET", URL: "https://api.example/transfers?account=7", Headers: [][2]string{
		{"Authorization", "PoP-Session AQJzMQ"},
		{"Signature-Input", `sig1=("@method" "@target-uri" "authorization");created=1800000000;nonce="1";tag="pop-session"`},
		{"Signature", "sig1=:OPnesTSXVQmP++enQHMWmrhkhLmFNDvJnqmal0t0tao=:"},
	}}
	const payload = "event: one\nevent: two\n"
	make := func(id, rule string, status int, content, nonce string, headers ...[2]string) responseVector {
		r := request
		v := responseVector{
			ID: id, Rule: rule, Label: "pop-response", Alg: "hmac-sha256", Now: 1_800_000_002, Expect: "accept",
			Key:     responseKey{Kty: "oct", K: "pSFvIChtTKEFYzGm5QFYvTjzt3ybjrQqZCC6aC0K7lg"}, // k_res of popsession/key-schedule.json
			Request: &r, Response: &vectorMessage{Status: status, Headers: headers},
			Policy: responsePolicy{Tag: holdfast.TagResponse, Params: []string{"created", "tag"}},
		}
		covers := []string{`"@status"`, content, `"@method";req`, `"@target-uri";req`, `"signature";req;key="sig1"`}
		if content == `"pop-stream"` {
			v.Policy.Params = append(v.Policy.Params, "nonce")
		}
		v.Policy.Components = slices.DeleteFunc(covers, func(s string) bool { return s == "" })
		signer, err := httpsig.NewSigner(httpsig.SignerConfig{
			Secret: v.secret(t), Label: v.Label, Tag: v.Policy.Tag, Nonce: func() string { return nonce }, Components: httpsig.Components(v.Policy.Components...),
			Optional: httpsig.Components("content-type", "content-encoding", "location"), Now: func() time.Time { return time.Unix(1_800_000_001, 0) },
		})
		if err != nil {
			t.Fatal(err)
		}
		m := v.message()
		fields, err := signer.Sign(m)
		if err != nil {
			t.Fatal(err)
		}
		v.Response.Headers = append(v.Response.Headers, [2]string{"Signature-Input", fields.SignatureInput}, [2]string{"Signature", fields.Signature})
		fields.Add(m.Header)
		inputs, err := httpsig.ParseInputs(m.Header)
		if err != nil {
			t.Fatal(err)
		}
		base, err := httpsig.Base(m, inputs[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		v.Base = string(base)
		return v
	}
	body := []byte(`{"id":9}`)
	short := make("ok-digest", "status, content, request and its MAC are covered", 201, `"content-digest"`, "",
		[2]string{"Content-Type", "application/json"}, [2]string{"Location", "/transfers/9"}, [2]string{"Content-Digest", contentdigest.Sum(contentdigest.SHA256, body)})
	short.Response.Body = body
	stream := make("ok-frames", "the content is in frames, whose key the response's MAC makes, with a nonce of the server's in it", 200, `"pop-stream"`, "q83vASNFZ4mrze8BI0VniQ",
		[2]string{"Content-Type", "text/event-stream"}, [2]string{"PoP-Stream", "v=1, chunk=65536"})
	_, sent, _ := strings.Cut(stream.message().Header.Get("Signature"), "=:")
	octets, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(sent, ":"))
	if err != nil {
		t.Fatal(err)
	}
	var framed bytes.Buffer
	w := popstream.NewWriter(&framed, popstream.BodyKey(stream.secret(t), octets), popstream.Params{})
	io.WriteString(w, payload[:11])
	w.Flush()
	io.WriteString(w, payload[11:])
	w.Close()
	stream.Response.Body = framed.Bytes()
	stream.Frames = &responseFrames{Signature: base64.RawURLEncoding.EncodeToString(octets), Payload: payload}

	list := []responseVector{short, make("ok-none", "a response without content covers none", 204, "", ""), stream}
	changed := func(of responseVector, id, rule string, change func(v *responseVector)) {
		req, resp := *of.Request, *of.Response
		req.Headers, resp.Headers, resp.Body = slices.Clone(req.Headers), slices.Clone(resp.Headers), slices.Clone(resp.Body)
		of.ID, of.Rule, of.Expect, of.Base, of.Request, of.Response = id, rule, "reject", "", &req, &resp
		change(&of)
		list = append(list, of)
	}
	without := make("frames-without-nonce", "frames need a nonce of the server's in the response's MAC: two responses to one request may have one key", 200,
		`"pop-stream"`, "", [2]string{"Content-Type", "text/event-stream"}, [2]string{"PoP-Stream", "v=1, chunk=65536"})
	without.Expect, without.Base = "reject", ""
	list = append(list, without)
	changed(short, "status-changed", "the status is covered", func(v *responseVector) { v.Response.Status = 200 })
	changed(short, "type-changed", "content-type is covered where the response has it", func(v *responseVector) { v.Response.Headers[0][1] = "text/html" })
	changed(short, "location-changed", "location is covered where the response has it", func(v *responseVector) { v.Response.Headers[1][1] = "/transfers/8" })
	changed(short, "content-changed", "the digest must hold", func(v *responseVector) { v.Response.Body[6] = '8' })
	changed(short, "method-changed", "the method is covered", func(v *responseVector) { v.Request.Method = "HEAD" })
	changed(short, "url-changed", "the URL is covered", func(v *responseVector) { v.Request.URL += "1" })
	changed(short, "another-request", "the request's MAC is covered", func(v *responseVector) {
		v.Request.Headers[2][1] = "sig1=:APnesTSXVQmP++enQHMWmrhkhLmFNDvJnqmal0t0tao=:"
	})
	changed(short, "key-of-requests", "responses have a key of their own", func(v *responseVector) { v.Key.K = "kxhRv51HIUl7ELJ3lmSp6tLXw4YVTK0PftfeKqpZhHU" })
	return list
}

func TestResponseVectors(t *testing.T) {
	made := makeResponseVectors(t)
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(map[string]any{
		"meta": map[string]string{
			"what":    "responses in a PoP session (docs/protocol.md, section 8); the key is k_res of the first case of popsession/key-schedule.json",
			"frames":  "of a case with it, the body is frames; signature, in base64url, makes their key",
			"note":    "the request's ticket and MAC are no real ones: they are only signed over",
			"made by": "go test . -run ResponseVectors -update",
			"licence": "CC0-1.0",
		},
		"cases": made,
	})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(responseFile, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(responseFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(file), text.String()); diff != "" {
		t.Errorf("the file isn't what is made (-file +made):\n%s", diff)
	}
	for _, v := range made {
		if v.Frames == nil {
			continue
		}
		signature, err := base64.RawURLEncoding.DecodeString(v.Frames.Signature)
		if err != nil {
			t.Fatal(err)
		}
		r := popstream.NewReader(io.NopCloser(bytes.NewReader(v.Response.Body)), popstream.BodyKey(v.secret(t), signature), popstream.Params{})
		if got, err := io.ReadAll(r); string(got) != v.Frames.Payload || err != nil {
			t.Errorf("%s: got %q, %v", v.ID, got, err)
		}
	}
}
