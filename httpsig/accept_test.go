package httpsig

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAcceptSignature(t *testing.T) {
	reqs := []Request{
		{Label: "sig1", Components: Components("@method", `"@query-param";name="a"`), Params: []RequestParam{{"created", ""}, {"nonce", ""}, {"tag", `a"b`}}},
		{Label: "sig2", Params: []RequestParam{{"nonce", "n"}, {"alg", "ed25519"}}},
		{Label: "sig3", Components: Components(`"content-type";req`)},
	}
	const want = `sig1=("@method" "@query-param";name="a");created;nonce;tag="a\"b", sig2=();nonce="n";alg="ed25519", sig3=("content-type";req)`
	text, err := AcceptSignature(reqs)
	if err != nil || text != want {
		t.Fatalf("got %s, %v; want %s", text, err, want)
	}
	got, err := ParseAcceptSignature([]string{text})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, reqs, cmp.AllowUnexported(Component{}), cmp.Transformer("empty", func(c []Component) []string { return ids(c) })); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

func TestAcceptSignatureRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		reqs []Request
	}{
		{"label", []Request{{Label: "Sig1"}}},
		{"label twice", []Request{{Label: "a"}, {Label: "a"}}},
		{"zero component", []Request{{Label: "a", Components: []Component{{}}}}},
		{"component twice", []Request{{Label: "a", Components: Components("x", "x")}}},
		{"parameter name", []Request{{Label: "a", Params: []RequestParam{{"X", ""}}}}},
		{"parameter twice", []Request{{Label: "a", Params: []RequestParam{{"nonce", ""}, {"nonce", ""}}}}},
		{"created with value", []Request{{Label: "a", Params: []RequestParam{{"created", "1"}}}}},
		{"keyid without value", []Request{{Label: "a", Params: []RequestParam{{"keyid", ""}}}}},
		{"value outside ASCII", []Request{{Label: "a", Params: []RequestParam{{"tag", "ü"}}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if text, err := AcceptSignature(tc.reqs); reasonOf(err) != Malformed {
				t.Errorf("got %s, %v; want %s", text, err, Malformed)
			}
		})
	}
}

func TestParseAcceptSignatureRefuses(t *testing.T) {
	for _, tc := range []struct{ name, ok, bad string }{
		{"not a Dictionary", `a=("x")`, `a=("x"),`},
		{"not an Inner List", `a=("x")`, `a="x"`},
		{"label twice", `a=(), b=()`, `a=(), a=()`},
		{"unknown component", `a=("@path")`, `a=("@paths")`},
		{"component twice", `a=("x" "y")`, `a=("x" "x")`},
		{"created with value", `a=();created`, `a=();created=1`},
		{"tag as a Token", `a=();tag="t"`, `a=();tag=t`},
		{"tag without value", `a=();tag="t"`, `a=();tag`},
		{"empty keyid", `a=();keyid="k"`, `a=();keyid=""`},
		{"unknown parameter of another type", `a=();x="1"`, `a=();x=1`},
		{"parameter twice", `a=();nonce`, `a=();nonce;nonce`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := ParseAcceptSignature([]string{tc.ok}); err != nil {
				t.Errorf("%s: %v", tc.ok, err)
			}
			got, err := ParseAcceptSignature([]string{tc.bad})
			if _, ok := err.(*Error); !ok {
				t.Errorf("%s: got %v, %v; want an *Error", tc.bad, got, err)
			}
		})
	}
}
