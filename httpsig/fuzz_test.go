package httpsig

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// seedMessages returns the messages of the vectors.
func seedMessages(f *testing.F) []*Message {
	f.Helper()
	var list []*Message
	for _, c := range readVectors[verdictCase](f, "rfc9421/cases.json") {
		list = append(list, c.message())
	}
	for _, file := range []string{"rfc9421/signatures.json", "rfc9421/third-party.json", "oauth-httpsig-draft/examples.json"} {
		for _, c := range readVectors[signatureCase](f, file) {
			list = append(list, c.message())
		}
	}
	return list
}

func FuzzParseComponent(f *testing.F) {
	for _, c := range readVectors[valuesCase](f, "rfc9421/component-values.json") {
		for _, v := range c.Components {
			f.Add(v.Component)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseComponent(text)
		if err != nil {
			if reasonOf(err) != ComponentInvalid {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := ParseComponent(c.String())
		if err != nil || again != c || !again.same(&c) {
			t.Errorf("%q parses to %v, %v", c.String(), again, err)
		}
	})
}

func FuzzParseInputs(f *testing.F) {
	for _, m := range seedMessages(f) {
		f.Add(strings.Join(m.Header[inputField], ", "))
	}
	f.Fuzz(func(t *testing.T, text string) {
		inputs, err := ParseInputs(http.Header{inputField: {text}})
		if err != nil {
			if reasonOf(err) != Malformed {
				t.Fatalf("error %v", err)
			}
			return
		}
		for _, in := range inputs {
			again, err := ParseInputs(http.Header{inputField: {in.label + "=" + in.params}})
			if err != nil || len(again) != 1 || again[0].params != in.params {
				t.Fatalf("%s parses to %v, %v", in.params, again, err)
			}
			if diff := cmp.Diff(ids(again[0].components), ids(in.components)); diff != "" {
				t.Errorf("components differ:\n%s", diff)
			}
		}
	})
}

func FuzzParseAcceptSignature(f *testing.F) {
	for _, c := range readVectors[parseCase](f, "rfc9421/parse.json") {
		f.Add(c.Value)
	}
	f.Fuzz(func(t *testing.T, text string) {
		reqs, err := ParseAcceptSignature([]string{text})
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatalf("error %v", err)
			}
			return
		}
		once, err := AcceptSignature(reqs)
		if err != nil {
			t.Fatalf("parsed, but not serialised: %v", err)
		}
		again, err := ParseAcceptSignature([]string{once})
		if err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice, err := AcceptSignature(again); err != nil || twice != once {
			t.Errorf("serialised to %s, then to %s, %v", once, twice, err)
		}
	})
}

// FuzzVerify checks that no message panics, that errors are typed, and that only the holder of the key is believed.
func FuzzVerify(f *testing.F) {
	for _, m := range seedMessages(f) {
		f.Add(m.Header.Get(inputField), m.Header.Get(signatureField), m.TargetURI, m.Header.Get("Content-Digest"), m.Status)
	}
	_, key := testKey(f, Ed25519) // nobody signed with it
	v := newTestVerifier(f, Config{InsecureEmptyCoverage: true, Skew: -1})
	f.Fuzz(func(t *testing.T, input, signature, uri, field string, status int) {
		h := http.Header{inputField: {input}, signatureField: {signature}, "Content-Digest": {field}, "X": {field}}
		m := &Message{Method: "GET", TargetURI: uri, Header: h, Trailer: h, Status: status, Request: &Message{Method: "PUT", TargetURI: uri, Header: h}}
		sigs, err := v.Verify(t.Context(), m, only(key))
		if err == nil {
			t.Fatalf("verified %v", sigs)
		}
		if _, ok := err.(*Error); !ok {
			t.Errorf("untyped error %v", err)
		}
	})
}
