package popstream

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the vector file anew")

const vectorFile = "../vectors/popstream/frames.json"

// octets are hexadecimal in JSON.
type octets []byte

func (o octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

// vector is a framed body and what a recipient makes of it.
type vector struct {
	ID        string `json:"id"`
	Rule      string `json:"rule"`
	Key       octets `json:"key"`
	Signature octets `json:"signature"`
	BodyKey   octets `json:"body_key"`
	Field     string `json:"field"`
	Framed    octets `json:"framed"`
	Expect    string `json:"expect"` // accept, or the reason of the refusal
	Payload   octets `json:"payload"`
	// Full says that a sender that fills its chunks makes Framed from Payload.
	Full bool `json:"full,omitempty"`
}

type vectorSet struct {
	Meta  map[string]string `json:"meta"`
	Cases []vector          `json:"cases"`
}

// makeVectors makes the file, with the oracle alone.
func makeVectors() vectorSet {
	set := vectorSet{Meta: map[string]string{
		"what":    "bodies framed with PoP-Stream (package popstream); octets are hexadecimal",
		"payload": "what may be released: all of it where expect is accept, else what holds before the refusal",
		"full":    "a sender that fills every chunk frames payload so",
		"made by": "go test ./popstream -run Vectors -update",
		"licence": "CC0-1.0",
	}}
	add := func(v vector, chunk int) {
		v.Key, v.Field = testSecret, Params{Chunk: chunk}.Field()
		v.BodyKey = newOracle(v.Key, v.Signature).key
		set.Cases = append(set.Cases, v)
	}
	accept := func(id, rule string, framed [][]byte, n, chunk int, full bool) {
		add(vector{ID: id, Rule: rule, Signature: testSignature, Framed: join(framed), Expect: "accept", Payload: numbered(n), Full: full}, chunk)
	}
	full := func(n, chunk int) [][]byte { return testOracle.full(numbered(n), chunk) }
	accept("ok-empty", "an empty body is one empty last chunk", full(0, 16), 0, 16, true)
	accept("ok-one-octet", "chunks of one octet", full(3, 1), 3, 1, true)
	accept("ok-less-than-a-chunk", "the last chunk may be shorter", full(5, 65536), 5, 65536, true)
	accept("ok-exact", "the last chunk may be full", full(32, 16), 32, 16, true)
	accept("ok-three", "three chunks", full(37, 16), 37, 16, true)
	accept("ok-largest-chunk", "the largest size that may be announced", full(300, MaxChunk), 300, MaxChunk, true)
	accept("ok-small-chunks", "every chunk may be shorter than announced", testOracle.frames(numbered(10), 1, 2, 3), 10, 16, false)
	accept("ok-empty-last", "the last chunk may be empty behind others", testOracle.frames(numbered(16), 16), 16, 16, false)
	other := bytes.Repeat([]byte{0x5b}, 32)
	add(vector{ID: "ok-other-signature", Rule: "the key depends on the signature", Signature: other, Framed: join(otherFrames()),
		Expect: "accept", Payload: testPayload, Full: true}, testChunk)
	for _, a := range alters() {
		add(vector{ID: "neg: " + a.name, Rule: "differs from ok-three in one thing", Signature: testSignature, Framed: a.framed,
			Expect: string(a.want), Payload: testPayload[:a.released]}, testChunk)
	}
	return set
}

// TestVectorsAreCurrent writes the file with -update, and otherwise checks that it is what would be written.
func TestVectorsAreCurrent(t *testing.T) {
	want, err := json.MarshalIndent(makeVectors(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(vectorFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s isn't what would be made now: run with -update", vectorFile)
	}
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var set vectorSet
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&set); err != nil {
		t.Fatal(err)
	}
	if len(set.Cases) == 0 {
		t.Fatalf("%s: no cases", vectorFile)
	}
	return set.Cases
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			k := BodyKey(v.Key, v.Signature)
			if !bytes.Equal(k.secret[:], v.BodyKey) {
				t.Errorf("got body key %x, want %x", k.secret, v.BodyKey)
			}
			p, err := ParseParams([]string{v.Field})
			if err != nil || p.Field() != v.Field {
				t.Fatalf("got %s, %v, want %s", p.Field(), err, v.Field)
			}
			got, err := io.ReadAll(NewReader(io.NopCloser(bytes.NewReader(v.Framed)), k, p))
			verdict := "accept"
			if err != nil {
				verdict = string(reasonOf(t, err))
			}
			if verdict != v.Expect || !bytes.Equal(got, v.Payload) {
				t.Errorf("got %s of %x, want %s of %x", verdict, got, v.Expect, v.Payload)
			}
			if !v.Full {
				return
			}
			var framed bytes.Buffer
			w := NewWriter(&framed, k, p)
			w.Write(v.Payload)
			w.Close()
			if !bytes.Equal(framed.Bytes(), v.Framed) {
				t.Errorf("got frames %x, want %x", framed.Bytes(), v.Framed)
			}
		})
	}
}
