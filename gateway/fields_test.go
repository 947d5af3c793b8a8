package gateway

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/keys"
)

func TestClean(t *testing.T) {
	rules, err := newFieldRules("Holdfast-Identity", "X-Holdfast-")
	if err != nil {
		t.Fatal(err)
	}
	const (
		always = iota // ends here
		proof         // ends here on routes with a proof
		never         // passes
	)
	for _, tc := range []struct {
		field string
		want  int
	}{
		{"Holdfast-Identity", always}, {"Holdfast_Identity", always}, {"HOLDFAST.IDENTITY", always},
		{"X-Holdfast-Subject", always}, {"X_Holdfast_Subject", always}, {"x-holdfast_subject", always},
		{"X-Forwarded-Host", always}, {"X_Forwarded_Host", always}, {"X-Forwarded-Anything", always}, {"Forwarded", always},
		{"X-Real-Ip", always}, {"X-Http-Method-Override", always}, {"X-Original-Url", always}, {"X-Rewrite-Url", always},
		{"Client-Cert", always}, {"Client_cert", always}, {"Ssl-Client-Verify", always}, {"X-Remote-User", always}, {"Proxy", always},
		{"Authorization", proof}, {"AUTHORIZATION", proof}, {"Dpop", proof}, {"DPoP", proof}, {"D-Pop", never},
		{"Signature", proof}, {"Signature-Input", proof}, {"Signature_Input", always}, {"Signature-Key", proof}, {"Pop-Session-Offer", proof},
		{"Content-Digest", never}, {"Content-Type", never}, {"Cookie", never}, {"X-Holdfas", never}, {"Accept-Signature", never},
		{"Traceparent", never}, {"Idempotency-Key", never}, {"X-Amount", never}, {"X_Amount", always}, {"X.Amount", always}, {"X~Amount", always},
	} {
		t.Run(tc.field, func(t *testing.T) {
			for _, proofsToo := range []bool{false, true} {
				h := http.Header{tc.field: {"v"}}
				rules.clean(h, proofsToo)
				want := tc.want == never || tc.want == proof && !proofsToo
				if got := len(h) == 1; got != want {
					t.Errorf("with proofs dropped %t: kept %t, want %t", proofsToo, got, want)
				}
			}
		})
	}
}

func TestFieldNamesRefused(t *testing.T) {
	for _, name := range []string{"", "X Holdfast", "X-Höldfast", "X_Holdfast", "X:Y", "X.Y"} {
		if _, err := newFieldRules(name, "X-Holdfast-"); err == nil {
			t.Errorf("%q accepted", name)
		}
	}
}

func TestCheckConnection(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		ok    bool
	}{
		{"none", nil, true},
		{"close", []string{"close"}, true},
		{"upgrade", []string{"keep-alive, Upgrade"}, true},
		{"empty elements", []string{" , close,"}, true},
		{"a field that a proof may cover", []string{"close, Content-Type"}, false},
		{"in a second line", []string{"close", "X-Amount"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if refusal := checkConnection(http.Header{"Connection": tc.lines}); (refusal == nil) != tc.ok {
				t.Errorf("refusal %v, want accepted %t", refusal, tc.ok)
			}
		})
	}
}

func TestTell(t *testing.T) {
	v := &holdfast.Verdict{
		Token:  &accesstoken.Token{Issuer: "https://as.example", Subject: "a\r\nX-Admin: 1 %ä", ClientID: "c", Scope: []string{"read", "wri te"}},
		Scheme: holdfast.SchemeDPoP, Key: keys.Thumbprint{1}, Covered: []string{"@method", `"x"`}, BodyCovered: true,
	}
	h := http.Header{}
	tell(h, "X-Holdfast-", v)
	want := http.Header{
		"X-Holdfast-Issuer":  {"https://as.example"},
		"X-Holdfast-Subject": {"a%0D%0AX-Admin:%201%20%25%C3%A4"},
		"X-Holdfast-Client":  {"c"},
		"X-Holdfast-Scope":   {"read wri%20te"},
		"X-Holdfast-Scheme":  {"DPoP"},
		"X-Holdfast-Key":     {v.Key.String()},
		"X-Holdfast-Covered": {`@method "x"`},
		"X-Holdfast-Body":    {"covered"},
	}
	if diff := cmp.Diff(h, want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}

// A bearer token proves no key: the zero thumbprint must not look like one.
func TestTellBearer(t *testing.T) {
	h := http.Header{}
	tell(h, "P-", &holdfast.Verdict{Token: &accesstoken.Token{Subject: "s"}, Scheme: holdfast.SchemeBearer})
	got := slices.Sorted(maps.Keys(h))
	if diff := cmp.Diff(got, []string{"P-Scheme", "P-Subject"}); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}
