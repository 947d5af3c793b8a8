package httpsig

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// TestVerifyRefuses differs from an accepted attempt in one thing a row.
func TestVerifyRefuses(t *testing.T) {
	other, _ := testKey(t, Ed25519)
	p256, p256Key := testKey(t, ECDSAP256SHA256)
	for _, tc := range []struct {
		name   string
		change func(*attempt)
		want   Reason // "" if it is accepted
	}{
		{"nothing", func(*attempt) {}, ""},

		// Section 4: the fields.
		{"no signature", func(a *attempt) {
			a.after = func(m *Message) { m.Header.Del(inputField); m.Header.Del(signatureField) }
		}, Missing},
		{"no Signature-Input", func(a *attempt) { a.after = func(m *Message) { m.Header.Del(inputField) } }, Missing},
		{"no Signature", func(a *attempt) { a.after = func(m *Message) { m.Header.Del(signatureField) } }, Malformed},
		{"input isn't a Dictionary", func(a *attempt) { a.after = func(m *Message) { m.Header[inputField][0] += "," } }, Malformed},
		{"input isn't an Inner List", func(a *attempt) { a.input = `"@method";created=1776650875;nonce="n";tag="app"` }, Malformed},
		{"signature isn't a Byte Sequence", func(a *attempt) { a.after = func(m *Message) { m.Header[signatureField] = []string{`sig1="QUJD"`} } }, Malformed},
		{"other signature isn't a Byte Sequence", func(a *attempt) { a.after = func(m *Message) { m.Header.Add(signatureField, `x=1`) } }, Malformed},
		{"label twice in the input", func(a *attempt) {
			a.after = func(m *Message) { m.Header.Add(inputField, m.Header.Get(inputField)) }
		}, Malformed},
		{"label twice in the signature", func(a *attempt) {
			a.after = func(m *Message) { m.Header.Add(signatureField, m.Header.Get(signatureField)) }
		}, Malformed},
		{"another label", func(a *attempt) { a.label = "x" }, ""},
		{"labels differ", func(a *attempt) {
			a.after = func(m *Message) { m.Header[inputField][0] = "x" + m.Header[inputField][0] }
		}, Malformed},
		{"white space in the input", func(a *attempt) { a.input = strings.Replace(a.input, `" "`, `"   "`, 1) }, ""},
		{"input of 16 KiB", func(a *attempt) { a.after = func(m *Message) { m.Header.Add(inputField, padding(m, maxFieldLength)) } }, ""},
		{"longer input", func(a *attempt) {
			a.after = func(m *Message) { m.Header.Add(inputField, padding(m, maxFieldLength+1)) }
		}, Malformed},
		{"16 labels", func(a *attempt) { a.after = func(m *Message) { m.Header.Add(inputField, labels(15)) } }, ""},
		{"17 labels", func(a *attempt) { a.after = func(m *Message) { m.Header.Add(inputField, labels(16)) } }, Malformed},
		{"64 components", func(a *attempt) { a.input = manyComponents(a, 64) }, ""},
		{"65 components", func(a *attempt) { a.input = manyComponents(a, 65) }, Malformed},
		{"32 parameters", func(a *attempt) { a.input += manyParams(28) }, ""},
		{"33 parameters", func(a *attempt) { a.input += manyParams(29) }, Malformed},

		{"7 parameters on a component", func(a *attempt) {
			a.input = strings.Replace(a.input, `"authorization"`, `"authorization";a;b;c;d;e;f;g`, 1)
		}, Malformed},
		{"6 unknown parameters on a component", func(a *attempt) {
			a.input = strings.Replace(a.input, `"authorization"`, `"authorization";a;b;c;d;e;f`, 1)
		}, ComponentInvalid},

		// Section 3.2, step 1: what the policy selects.
		{"another tag", func(a *attempt) { a.cfg.Tag = "other" }, Missing},
		{"tag in other letters", func(a *attempt) { a.cfg.Tag = "App" }, Missing},
		{"tag as a Token", func(a *attempt) { a.input = strings.Replace(a.input, `"app"`, "app", 1) }, Missing},
		{"label of the policy", func(a *attempt) { a.cfg.Label = "sig1" }, ""},
		{"not the label of the policy", func(a *attempt) { a.cfg.Label = "sig2" }, Missing},
		{"second signature without the tag", func(a *attempt) { a.second(`("@path");tag="b"`, other) }, ""},
		{"second signature with the tag, by another key", func(a *attempt) {
			a.second(`("@method" "@target-uri");created=1776650875;nonce="m";tag="app"`, other)
		}, BadSignature},
		{"second signature with the tag", func(a *attempt) {
			a.second(`("@method" "@target-uri");created=1776650875;nonce="m";tag="app"`, a.signer)
		}, ""},
		{"second signature with the tag, one wanted", func(a *attempt) {
			a.cfg.One = true
			a.second(`("@method" "@target-uri");created=1776650875;nonce="m";tag="app"`, a.signer)
		}, TooMany},
		{"all wanted, label only in the input", func(a *attempt) {
			a.cfg.Tag = ""
			a.after = func(m *Message) { m.Header.Add(inputField, `x=("@path")`) }
		}, Malformed},
		{"all wanted, label only in the signature", func(a *attempt) {
			a.cfg.Tag = ""
			a.after = func(m *Message) { m.Header.Add(signatureField, `x=:AAAA:`) }
		}, Malformed},

		// Section 2.3: the parameters.
		{"created as a String", func(a *attempt) { a.input = strings.Replace(a.input, "1776650875", `"1776650875"`, 1) }, ParamRefused},
		{"created as a Date", func(a *attempt) { a.input = strings.Replace(a.input, "1776650875", `@1776650875`, 1) }, ParamRefused},
		{"nonce as a Token", func(a *attempt) { a.input = strings.Replace(a.input, `"n"`, "n", 1) }, ParamRefused},
		{"pub as a String", func(a *attempt) { a.input += `;pub="YQ=="` }, ParamRefused},
		{"pub", func(a *attempt) { a.input += `;pub=:YQ==:` }, ""},
		{"created twice", func(a *attempt) { a.input += `;created=1776650875` }, ParamRefused},
		{"unknown parameter", func(a *attempt) { a.input += `;x=1.5` }, ""},
		{"unknown parameter twice", func(a *attempt) { a.input += `;x=1;x=1` }, ParamRefused},
		{"no nonce", func(a *attempt) { a.input = strings.Replace(a.input, `;nonce="n"`, "", 1) }, ParamRefused},
		{"empty nonce", func(a *attempt) { a.input = strings.Replace(a.input, `"n"`, `""`, 1) }, ParamRefused},
		{"refused keyid", func(a *attempt) { a.cfg.RefusedParams = []string{"keyid"} }, ParamRefused},
		{"refused pub, absent", func(a *attempt) { a.cfg.RefusedParams = []string{"pub"} }, ""},
		{"refused unknown parameter", func(a *attempt) { a.cfg.RefusedParams = []string{"x"}; a.input += ";x=1" }, ParamRefused},
		{"refused unknown parameter, absent", func(a *attempt) { a.cfg.RefusedParams = []string{"x"} }, ""},

		// Section 3.2.1: age. The skew is 5 s.
		{"created absent", func(a *attempt) { a.input = strings.Replace(a.input, ";created=1776650875", "", 1) }, ParamRefused},
		{"created absent, any age", func(a *attempt) { a.input = strings.Replace(a.input, ";created=1776650875", "", 1); a.cfg.MaxAge = 0 }, ""},
		{"60 s old", func(a *attempt) { a.created(testNow - 60) }, ""},
		{"61 s old", func(a *attempt) { a.created(testNow - 61) }, TooOld},
		{"5 s ahead", func(a *attempt) { a.created(testNow + 5) }, ""},
		{"6 s ahead", func(a *attempt) { a.created(testNow + 6) }, InFuture},
		{"1 s ahead without skew", func(a *attempt) { a.created(testNow + 1); a.cfg.Skew = -1 }, InFuture},
		{"15 digits ahead", func(a *attempt) { a.created(999_999_999_999_999) }, InFuture},
		{"15 digits ago", func(a *attempt) { a.created(-999_999_999_999_999) }, TooOld},
		{"expires 5 s ago", func(a *attempt) { a.input += ";expires=" + seconds(testNow-5) }, ""},
		{"expires 6 s ago", func(a *attempt) { a.created(testNow - 50); a.input += ";expires=" + seconds(testNow-6) }, Expired},
		{"expires before created", func(a *attempt) { a.created(testNow + 5); a.input += ";expires=" + seconds(testNow+4) }, Expired},

		// Section 3.2.1: coverage.
		{"nothing covered", func(a *attempt) {
			a.input = strings.Replace(a.input, `"@method" "@target-uri" "authorization"`, "", 1)
			a.cfg.Required = nil
		}, CoverageMissing},
		{"nothing covered, insecure", func(a *attempt) {
			a.input = strings.Replace(a.input, `"@method" "@target-uri" "authorization"`, "", 1)
			a.cfg.Required, a.cfg.InsecureEmptyCoverage = nil, true
		}, ""},
		{"required component not covered", func(a *attempt) { a.cfg.Required = Components("@method", "content-type") }, CoverageMissing},
		{"required component covered", func(a *attempt) { a.cfg.Required = Components("authorization") }, ""},

		// Section 3.2, steps 5 and 6: key and algorithm.
		{"unknown key", func(a *attempt) { a.source = noKey }, UnknownKey},
		{"no key and no error", func(a *attempt) { a.source = only(nil) }, UnknownKey},
		{"zero key", func(a *attempt) { a.source = only(&Key{}) }, UnknownKey},
		{"alg agrees", func(a *attempt) { a.input += `;alg="ed25519"` }, ""},
		{"alg of another algorithm", func(a *attempt) { a.input += `;alg="ecdsa-p256-sha256"` }, AlgRefused},
		{"alg of the JOSE name", func(a *attempt) { a.input += `;alg="Ed25519"` }, AlgRefused},
		{"alg with a JOSE key", func(a *attempt) { a.input += `;alg="ed25519"`; a.key = joseKey(t, a.signer.Public()) }, AlgRefused},
		{"JOSE key", func(a *attempt) { a.key = joseKey(t, a.signer.Public()) }, ""},
		{"algorithm allowed", func(a *attempt) { a.cfg.Algorithms = []Algorithm{Ed25519} }, ""},
		{"algorithm not allowed", func(a *attempt) { a.cfg.Algorithms = []Algorithm{ECDSAP256SHA256} }, AlgRefused},
		{"JOSE key's algorithm allowed", func(a *attempt) { a.key = joseKey(t, a.signer.Public()); a.cfg.Algorithms = []Algorithm{Ed25519} }, ""},
		{"JOSE key's algorithm not allowed", func(a *attempt) {
			a.key = joseKey(t, a.signer.Public())
			a.cfg.Algorithms = []Algorithm{ECDSAP256SHA256}
		}, AlgRefused},

		// Section 3.2, steps 7 and 8: base and signature.
		{"another key", func(a *attempt) { a.signer = other }, BadSignature},
		{"key of another type", func(a *attempt) { a.signer = p256 }, BadSignature},
		{"another type on both sides", func(a *attempt) { a.signer, a.key = p256, p256Key }, ""},
		{"method changed", func(a *attempt) { a.after = func(m *Message) { m.Method = "PUT" } }, BadSignature},
		{"method in other letters", func(a *attempt) { a.after = func(m *Message) { m.Method = "Post" } }, BadSignature},
		{"covered field changed", func(a *attempt) { a.after = func(m *Message) { m.Header.Set("Authorization", "HTTPSig u") } }, BadSignature},
		{"covered field in two lines", func(a *attempt) { a.after = func(m *Message) { m.Header.Add("Authorization", "HTTPSig t") } }, BadSignature},
		{"covered field removed", func(a *attempt) { a.after = func(m *Message) { m.Header.Del("Authorization") } }, ComponentInvalid},
		{"other field changed", func(a *attempt) { a.after = func(m *Message) { m.Header.Set("X-Two", "x") } }, ""},
		{"parameter reordered", func(a *attempt) {
			a.after = func(m *Message) {
				m.Header[inputField][0] = strings.Replace(m.Header[inputField][0], `nonce="n";keyid="k"`, `keyid="k";nonce="n"`, 1)
			}
		}, BadSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAttempt(t)
			tc.change(a)
			sigs, err := a.run(t)
			if got := reasonOf(err); got != tc.want || (err == nil) != (tc.want == "") {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if (err == nil) != (len(sigs) > 0) {
				t.Errorf("%d signatures with error %v", len(sigs), err)
			}
		})
	}
}

func noKey(context.Context, *Input) (*Key, error) { return nil, errUnknown }

var errUnknown = errors.New("unknown")

func TestKeySourceErrorIsWrapped(t *testing.T) {
	a := newAttempt(t)
	a.source = noKey
	if _, err := a.run(t); !errors.Is(err, errUnknown) {
		t.Errorf("got %v, want it to wrap %v", err, errUnknown)
	}
}

// TestKeyLookups checks that keys are only looked up for selected signatures, and only once all of them pass the policy.
func TestKeyLookups(t *testing.T) {
	for _, tc := range []struct {
		name   string
		second string
		want   int
	}{
		{"not selected", `("@path");tag="other";keyid="x"`, 1},
		{"selected", `("@method" "@target-uri");created=1776650875;nonce="m";tag="app"`, 2},
		{"selected, too old", `("@method" "@target-uri");created=1;nonce="m";tag="app"`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAttempt(t)
			a.second(tc.second, a.signer)
			lookups := 0
			a.source = func(context.Context, *Input) (*Key, error) { lookups++; return a.key, nil }
			a.run(t)
			if lookups != tc.want {
				t.Errorf("%d lookups, want %d", lookups, tc.want)
			}
		})
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ok, bad Config
	}{
		{"zero component", Config{Required: Components("@method")}, Config{Required: []Component{{}}}},
		{"unknown parameter", Config{RequiredParams: []string{"nonce"}}, Config{RequiredParams: []string{"Nonce"}}},
		{"required and refused", Config{RequiredParams: []string{"nonce"}, RefusedParams: []string{"alg"}}, Config{RequiredParams: []string{"nonce"}, RefusedParams: []string{"nonce"}}},
		{"refused created with MaxAge", Config{RefusedParams: []string{"created"}}, Config{RefusedParams: []string{"created"}, MaxAge: time.Minute}},
		{"unknown algorithm", Config{Algorithms: []Algorithm{HMACSHA256}}, Config{Algorithms: []Algorithm{"rsa-pss-sha256"}}},
		{"negative MaxAge", Config{MaxAge: time.Second}, Config{MaxAge: -time.Second}},
		{"part of a second", Config{MaxAge: time.Second}, Config{MaxAge: time.Millisecond}},
		{"skew of part of a second", Config{Skew: time.Second}, Config{Skew: 1500 * time.Millisecond}},
		{"field in upper case", Config{Fields: map[string]FieldType{"x": List}}, Config{Fields: map[string]FieldType{"X": List}}},
		{"field without type", Config{Fields: map[string]FieldType{"x": Item}}, Config{Fields: map[string]FieldType{"x": 0}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := NewVerifier(tc.ok); err != nil {
				t.Errorf("refused the right one: %v", err)
			}
			if _, err := NewVerifier(tc.bad); err == nil {
				t.Error("accepted the wrong one")
			}
		})
	}
}

func joseKey(t *testing.T, pub *keys.Public) *Key {
	t.Helper()
	key, err := NewJOSEKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// second adds another signature after the first.
func (a *attempt) second(input string, signer *keys.Signer) {
	a.after = func(m *Message) {
		signature, err := signer.Sign(mustBase(m, input))
		if err != nil {
			panic(err)
		}
		addSignature(m, "second", input, signature)
	}
}

func (a *attempt) created(unix int64) {
	a.input = strings.Replace(a.input, "1776650875", seconds(unix), 1)
}
