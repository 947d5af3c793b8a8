package holdfast_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/holdfast-project/holdfast"
)

// hostileCase is a request that is to cost as much as possible, and why it is refused.
type hostileCase struct {
	name     string
	reason   string
	make     func(v *victim) *http.Request
	verifier func(v *victim) *holdfast.Verifier
	longer   bool // than maxHostile
}

func usual(v *victim) *holdfast.Verifier    { return v.usual }
func generous(v *victim) *holdfast.Verifier { return v.generous }
func behind(v *victim) *holdfast.Verifier   { return v.behind }

const (
	malformed    = "signature-malformed"
	badSignature = "signature-invalid"
	// nearly is what a single field may have beside the token and the rest.
	nearly = 60 << 10
	// parsed is how much of the signature fields is parsed at most.
	parsed = 16 << 10
	// wanted are the parameters of a signature that the policy looks at.
	wanted = `;created=1800000000;nonce="n";tag="httpsig-oauth"`
	// longExponent is the longest RSA exponent that is taken.
	longExponent = "f____w"
	// minimum is what it must cover.
	minimum = `"@method" "@target-uri" "authorization"`
)

var garbage = "sig1=:" + strings.Repeat("AAAA", 21) + "AA==:"

func hostileCases() []hostileCase {
	var all []hostileCase
	for _, group := range [][]hostileCase{
		signatureFieldCases(), coverageCases(), dictionaryCases(), insiderCases(), proofCases(), rsaCases(), tokenCases(), urlCases(),
	} {
		all = append(all, group...)
	}
	return all
}

// signatureFieldCases are about the fields themselves: at the size that is parsed at most, and as long as they can be.
func signatureFieldCases() []hostileCase {
	var out []hostileCase
	for _, size := range []int{parsed, nearly} {
		suffix := fmt.Sprintf("/%dK", size>>10)
		for _, in := range signatureInputs(size) {
			reason := in.reason
			if size > parsed {
				reason = malformed
			}
			out = append(out, hostileCase{
				name: "Signature-Input/" + in.name + suffix, reason: reason, verifier: usual,
				make: func(v *victim) *http.Request { return v.withSignature("/", in.text, garbage) },
			})
		}
		for _, in := range signatures(size) {
			reason := in.reason
			if size > parsed {
				reason = malformed
			}
			out = append(out, hostileCase{
				name: "Signature/" + in.name + suffix, reason: reason, verifier: usual,
				make: func(v *victim) *http.Request { return v.withSignature("/", covering(), in.text) },
			})
		}
		out = append(out, hostileCase{
			name: "Signature-Input/lines" + suffix, reason: malformed, verifier: usual,
			make: func(v *victim) *http.Request {
				r := v.withSignature("/", covering(), garbage)
				for i := range size / 32 {
					r.Header.Add("Signature-Input", fmt.Sprintf(`a%d=()`, i))
				}
				return r
			},
		})
	}
	return out
}

// hostileText is a field value, and why it is refused where its length alone doesn't do it.
type hostileText struct{ name, reason, text string }

func signatureInputs(size int) []hostileText {
	n := size - 200
	return []hostileText{
		{"labels", malformed, fill(size, func(i int) string { return fmt.Sprintf(`a%d=();tag="httpsig-oauth",`, i) })},
		{"one label again", malformed, fill(size, func(int) string { return `a=();tag="httpsig-oauth",` })},
		{"parameters", malformed, "sig1=()" + fill(n, func(i int) string { return fmt.Sprintf(`;p%d`, i) })},
		{"one parameter again", malformed, "sig1=()" + fill(n, func(int) string { return `;tag="x"` })},
		{"components", malformed, "sig1=(" + fill(n, func(i int) string { return fmt.Sprintf(`"x-%d" `, i) }) + ")" + wanted},
		{"parameters of a component", malformed, `sig1=("x"` + fill(n, func(i int) string { return fmt.Sprintf(`;p%d`, i) }) + ")" + wanted},
		{"inner lists", malformed, innerLists(size, "1 ")},
		{"inner lists with parameters", "signature-missing", innerLists(size, `"a";b `)},
		{"parentheses", malformed, "sig1=" + strings.Repeat("(", n)},
		{"quotes", "signature-component", `sig1=("` + strings.Repeat(`\"`, n/2) + `")` + wanted},
		{"backslashes", "signature-component", `sig1=("` + strings.Repeat(`\\`, n/2) + `")` + wanted},
		{"spaces", badSignature, "sig1=(" + strings.Repeat(" ", n) + minimum + ")" + wanted},
		{"digits", malformed, "sig1=();created=" + strings.Repeat("9", n)},
		{"base64", "signature-coverage", "sig1=();pub=:" + strings.Repeat("A", n&^3) + ":" + wanted},
		{"no base64", malformed, "sig1=();pub=:" + strings.Repeat("!", n) + ":" + wanted},
		{"commas", malformed, strings.Repeat(",", size)},
		{"nonce", badSignature, "sig1=(" + minimum + `);nonce="` + strings.Repeat("n", n) + `";created=1800000000;tag="httpsig-oauth"`},
	}
}

func signatures(size int) []hostileText {
	n := size - 200
	return []hostileText{
		{"labels", malformed, fill(size, func(i int) string { return fmt.Sprintf(`a%d=:AAAA:,`, i) })},
		{"one label again", malformed, fill(size, func(int) string { return `sig1=:AAAA:,` })},
		{"parameters", malformed, "sig1=:AAAA:" + fill(n, func(i int) string { return fmt.Sprintf(`;p%d`, i) })},
		{"base64", badSignature, "sig1=:" + strings.Repeat("A", n&^3) + ":"},
		{"no base64", malformed, "sig1=:" + strings.Repeat("!", n) + ":"},
		{"strings", malformed, fill(size, func(i int) string { return fmt.Sprintf(`a%d="\\\"",`, i) })},
	}
}

// innerLists is a dictionary of inner lists, each as long as parsers take it.
func innerLists(size int, item string) string {
	const most = 250
	return fill(size, func(i int) string {
		return fmt.Sprintf("a%d=(%s),", i, strings.TrimRight(strings.Repeat(item, min(most, (size-20)/len(item))), " "))
	})
}

// covering is a Signature-Input that covers ids beside the minimum.
func covering(ids ...string) string {
	return "sig1=(" + minimum + " " + strings.Join(ids, " ") + ")" + wanted
}

// numbered repeats format for 0, 1, 2, ….
func numbered(n int, format string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i)
	}
	return out
}

// coverageCases let the signature cover as much as it can. It is no signature, but that is known only when the base is
// built.
func coverageCases() []hostileCase {
	lines := func(name string) (fields []string) {
		for range nearly / (len(name) + len(": \r\n")) {
			fields = append(fields, name, "")
		}
		return fields
	}
	return []hostileCase{
		{name: "covered/lines of one field", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			return v.withSignature("/", covering(`"x"`), garbage, lines("X")...)
		}},
		{name: "covered/lines of one field, bs", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			return v.withSignature("/", covering(`"x";bs`), garbage, lines("X")...)
		}},
		{name: "covered/lists of inner lists", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			names := []string{"accept-ch", "cache-groups", "cache-group-invalidation", "cache-status", "client-cert-chain", "proxy-status", "sec-ch-ua"}
			r := v.withSignature("/", covering(`"`+strings.Join(names, `";sf "`)+`";sf`), garbage)
			for _, name := range names {
				r.Header.Set(name, fill(4<<10, func(int) string { return "(" + strings.Repeat("1 ", 200) + "1), " }))
			}
			return r
		}},
		{name: "covered/digest of thousands", reason: "signature-component", verifier: usual, make: func(v *victim) *http.Request {
			return v.withSignature("/", covering(`"content-digest";sf`), garbage,
				"Content-Digest", fill(nearly, func(i int) string { return fmt.Sprintf("a%d=:AAAA:,", i) }))
		}},
		{name: "covered/10,000 query parameters", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			query := fill(nearly-4<<10, func(i int) string { return fmt.Sprintf("%d&", i) })
			return v.withSignature("/?"+query, covering(numbered(60, `"@query-param";name="%d"`)...), garbage)
		}},
		{name: "covered/query parameters in escapes", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			query := fill(nearly-4<<10, func(i int) string { return fmt.Sprintf("%%61%%6%d=%%2B&", i%10) })
			return v.withSignature("/?x=%41&"+query, covering(`"@query-param";name="x"`), garbage)
		}},
		{name: "covered/URL in all ways", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			return v.withSignature("/?x="+strings.Repeat("%41", nearly/3),
				covering(`"@path" "@query" "@request-target" "@authority" "@scheme" "@query-param";name="x"`), garbage)
		}},
		{name: "uncovered/fields", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			var fields []string
			for _, name := range numbered(nearly/12, "A%d") {
				fields = append(fields, name, "")
			}
			return v.withSignature("/", covering(), garbage, fields...)
		}},
		{name: "uncovered/Accept", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			return v.withSignature("/", covering(), garbage, "Accept", strings.Repeat("*/*;q=0.1,", nearly/10))
		}},
	}
}

// dictionaryCases let it cover a dictionary field, which must be parsed for that.
func dictionaryCases() []hostileCase {
	mixed := func(size int) string {
		return fill(size, func(i int) string { return fmt.Sprintf(`k%d=("\\\"" %d);x;y=:AA==:,`, i, i) })
	}
	members := func(format string) string {
		return fill(1<<10, func(i int) string { return fmt.Sprintf(format, i) })
	}
	keys := strings.Join(numbered(60, `"priority";key="k%d"`), " ")
	var out []hostileCase
	for _, in := range []struct{ name, reason, ids, value string }{
		{"in all ways", badSignature, `"priority" "priority";bs "priority";sf "priority";key="k1" "priority";key="k2"`, mixed(9 << 10)},
		{"sf", badSignature, `"priority";sf`, mixed(24 << 10)},
		{"sf, too long", "signature-component", `"priority";sf`, mixed(56 << 10)},
		{"60 keys", "signature-component", keys, mixed(56 << 10)},
		{"60 keys of a short one", "signature-component", keys, mixed(1 << 10)},
		{"60 keys, shortest members", "signature-component", keys, members("k%d,")},
		{"60 keys, inner lists", "signature-component", keys, members("k%d=(1 1 1 1 1 1 1),")},
		{"60 keys, parameters", "signature-component", keys, members("k%d;a;b;c;d;e;f;g;h,")},
		{"inner lists", "signature-component", `"priority";key="k"`, innerLists(30<<10, "1 ")},
		{"inner lists with parameters", "signature-component", `"priority";key="k"`, innerLists(30<<10, "1;a ")},
		{"one key again", "signature-component", `"priority";key="k"`, fill(30<<10, func(int) string { return "k=1," })},
	} {
		out = append(out, hostileCase{name: "dictionary/" + in.name, reason: in.reason, verifier: usual, make: func(v *victim) *http.Request {
			return v.withSignature("/", covering(in.ids), garbage, "Priority", in.value)
		}})
	}
	return out
}

// insiderCases come from somebody whose own token and signatures hold, as far as they go.
func insiderCases() []hostileCase {
	everything := []string{"@path", "@query", "@request-target", `"@query-param";name="x"`}
	return []hostileCase{
		{name: "insider/16 signatures", reason: "signature-ambiguous", verifier: usual, make: func(v *victim) *http.Request {
			return v.signed(v.request("/"), v.signer, v.sig, 16, true)
		}},
		{name: "insider/16 signatures of P-521", reason: "signature-ambiguous", verifier: usual, make: func(v *victim) *http.Request {
			return v.signed(v.request("/"), v.large, v.largeSig, 16, true)
		}},
		{name: "insider/signature of P-521 is none", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			return v.signed(v.request("/"), v.large, v.largeSig, 1, true)
		}},
		{name: "insider/signature over 50 KiB is none", reason: badSignature, verifier: usual, make: func(v *victim) *http.Request {
			return v.signed(v.request("/?x="+strings.Repeat("%41", 50<<10/3)), v.signer, v.sig, 1, true, everything...)
		}},
		{name: "insider/digest of thousands", reason: "digest-malformed", verifier: usual, make: func(v *victim) *http.Request {
			r := v.request("/", "Content-Digest", fill(nearly, func(i int) string { return fmt.Sprintf("a%d=:AAAA:,", i) }))
			return v.signed(r, v.signer, v.sig, 1, false, "content-digest")
		}},
		{name: "insider/digest of inner lists", reason: "digest-malformed", verifier: usual, make: func(v *victim) *http.Request {
			return v.signed(v.request("/", "Content-Digest", innerLists(nearly, "1 ")), v.signer, v.sig, 1, false, "content-digest")
		}},
		{name: "insider/long digests", reason: "digest-unsupported", verifier: usual, make: func(v *victim) *http.Request {
			r := v.request("/", "Content-Digest", fill(nearly-1<<10, func(i int) string { return fmt.Sprintf("a%d=:%s:,", i, strings.Repeat("AAAA", 20)) }))
			return v.signed(r, v.signer, v.sig, 1, false, "content-digest")
		}},
		{name: "insider/P-521 proof for another key's token", reason: "dpop-key-mismatch", verifier: generous, make: func(v *victim) *http.Request {
			return v.withProof(v.signedProof(v.large, v.bound, "a"))
		}},
		{name: "insider/huge jti", reason: "dpop-claim", verifier: generous, make: func(v *victim) *http.Request {
			return v.withProof(v.signedProof(v.signer, v.bound, strings.Repeat("j", 40<<10)))
		}},
		{name: "insider/RSA exponent of 31 bits", reason: "dpop-signature", verifier: generous, make: func(v *victim) *http.Request {
			r := v.withProof(rsaProof(512, longExponent))
			r.Header.Set("Authorization", "DPoP "+v.boundRSA)
			return r
		}},
	}
}

// proofCases are DPoP proofs, to a verifier that takes long ones.
func proofCases() []hostileCase {
	const size = 44 << 10 // of JSON: base64 makes it a third longer
	var out []hostileCase
	for _, in := range []struct{ name, reason, header, claims string }{
		{"deep header", "dpop-malformed", `,"x":` + strings.Repeat("[", size), ""},
		{"deep claims", "dpop-malformed", "", `,"x":` + strings.Repeat(`{"a":`, size/5)},
		{"header members", "dpop-signature", fill(size, func(i int) string { return fmt.Sprintf(`,"%d":0`, i) }), ""},
		{"many claims", "dpop-signature", "", fill(size, func(i int) string { return fmt.Sprintf(`,"%d":0`, i) })},
		{"one claim again", "dpop-malformed", "", fill(size, func(i int) string { return fmt.Sprintf(`,"%d":0`, i) }) + `,"0":0`},
		{"nested claims", "dpop-signature", "", `,"x":[` + strings.Repeat(`{"a":{"b":{}}},`, size/16) + `0]`},
		{"huge number", "dpop-signature", "", `,"x":` + strings.Repeat("9", size)},
		{"huge iat", "dpop-malformed", "", `,"iat":` + strings.Repeat("9", size)},
		{"huge exponent", "dpop-signature", "", `,"x":1e` + strings.Repeat("9", size)},
		{"escapes", "dpop-signature", "", `,"x":"` + strings.Repeat(`\u0041`, size/6) + `"`},
		{"escaped names", "dpop-signature", "", fill(size, func(i int) string { return fmt.Sprintf(`,"\u0041%d":0`, i) })},
		{"white space", "dpop-signature", "", strings.Repeat(" ", size)},
	} {
		out = append(out, hostileCase{name: "proof/" + in.name, reason: in.reason, verifier: generous, make: func(v *victim) *http.Request {
			return v.withProof(v.proof(in.header, in.claims))
		}})
	}
	return append(out,
		hostileCase{name: "proof/60 KiB", reason: "dpop-malformed", verifier: usual, make: func(v *victim) *http.Request {
			return v.withProof(v.proof("", `,"x":"`+strings.Repeat("x", size)+`"`))
		}},
		hostileCase{name: "proof/no base64", reason: "dpop-malformed", verifier: generous, make: func(v *victim) *http.Request {
			return v.withProof(strings.Repeat("!", nearly-10) + ".a.b")
		}},
		hostileCase{name: "proof/dots", reason: "dpop-malformed", verifier: generous, make: func(v *victim) *http.Request {
			return v.withProof(strings.Repeat(".", nearly))
		}},
		hostileCase{name: "proof/many fields", reason: "dpop-field-count", verifier: generous, make: func(v *victim) *http.Request {
			r := v.withProof("a.b.c")
			for range nearly / 13 {
				r.Header.Add("DPoP", "a.b.c")
			}
			return r
		}},
	)
}

// rsaCases bring keys that would cost seconds.
func rsaCases() []hostileCase {
	var out []hostileCase
	for _, in := range []struct {
		name     string
		modulus  int // bytes
		exponent string
		reason   string
		longer   bool
	}{
		{name: "modulus of 34 KiB", modulus: 34 << 10, exponent: "AQAB", reason: "dpop-jwk"},
		{name: "modulus of 50 KiB", modulus: 50 << 10, exponent: "AQAB", reason: "dpop-jwk", longer: true},
		{name: "modulus of 99 KiB", modulus: 99 << 10, exponent: "AQAB", reason: "dpop-jwk", longer: true},
		{name: "modulus of 513 bytes", modulus: 513, exponent: "AQAB", reason: "dpop-jwk"},
		{name: "modulus of 255 bytes", modulus: 255, exponent: "AQAB", reason: "dpop-jwk"},
		{name: "another key", modulus: 512, exponent: longExponent, reason: "dpop-key-mismatch"},
		{name: "exponent of 30 KiB", modulus: 512, exponent: strings.Repeat("_", 30<<10), reason: "dpop-jwk"},
		{name: "even exponent", modulus: 512, exponent: "AQAA", reason: "dpop-jwk"},
		{name: "exponent 1", modulus: 512, exponent: "AQ", reason: "dpop-jwk"},
		{name: "exponent 0", modulus: 512, exponent: "AA", reason: "dpop-jwk"},
	} {
		out = append(out, hostileCase{name: "RSA/" + in.name, reason: in.reason, verifier: generous, longer: in.longer, make: func(v *victim) *http.Request {
			return v.withProof(rsaProof(in.modulus, in.exponent))
		}})
	}
	return out
}

// tokenCases are about the Authorization field.
func tokenCases() []hostileCase {
	const size = 11 << 10 // of JSON within the longest token that is looked at
	var out []hostileCase
	for _, in := range []struct{ name, reason, value string }{
		{"one token", "token-malformed", "DPoP " + strings.Repeat("a", nearly)},
		{"padding", "credential-malformed", "DPoP " + strings.Repeat("=", nearly)},
		{"spaces", "credential-malformed", "DPoP" + strings.Repeat(" ", nearly)},
		{"long scheme", "credential-malformed", strings.Repeat("DPoP", nearly/4)},
		{"dots", "token-malformed", "DPoP " + strings.Repeat(".", nearly)},
		{"garbage", "credential-malformed", "DPoP " + strings.Repeat(`"\`, nearly/2)},
		{"deep JSON", "token-malformed", "DPoP " + compact(`{"x":`+strings.Repeat("[", size), "{}", 64)},
		{"header members", "token-alg", "DPoP " + compact(`{"alg":"none","typ":"at+jwt"`+fill(size, func(i int) string { return fmt.Sprintf(`,"%d":0`, i) })+"}", "{}", 64)},
		{"claims without signature", "token-signature", "DPoP " + compact(`{"alg":"ES256","typ":"at+jwt"}`, "{"+fill(size, func(i int) string { return fmt.Sprintf(`"%d":0,`, i) })+"}", 64)},
		{"huge kid", "token-unknown-key", "DPoP " + compact(`{"alg":"ES256","typ":"at+jwt","kid":`+jsonText(strings.Repeat("k", size))+`}`, "{}", 64)},
	} {
		out = append(out, hostileCase{name: "token/" + in.name, reason: in.reason, verifier: usual, make: func(v *victim) *http.Request {
			return v.request("/", "Authorization", in.value)
		}})
	}
	return append(out, hostileCase{name: "token/many fields", reason: "credential-ambiguous", verifier: usual, make: func(v *victim) *http.Request {
		r := v.request("/")
		for range nearly / 24 {
			r.Header.Add("Authorization", "DPoP a")
		}
		return r
	}})
}

// urlCases are about the request target and what a trusted peer forwards.
func urlCases() []hostileCase {
	out := []hostileCase{
		{name: "URL/dot segments", reason: "dpop-signature", verifier: usual, make: func(v *victim) *http.Request {
			r := v.withProof(v.proof("", ""))
			r.RequestURI = strings.Repeat("/..", nearly/3)
			return r
		}},
		{name: "URL/escaped names", reason: "credential-missing", verifier: usual, make: func(v *victim) *http.Request {
			return v.request("/?" + strings.Repeat("%61&", nearly/4))
		}},
		{name: "URL/ampersands", reason: "credential-missing", verifier: usual, make: func(v *victim) *http.Request {
			return v.request("/?" + strings.Repeat("&", nearly))
		}},
		{name: "URL/host", reason: "external-url", verifier: behind, make: func(v *victim) *http.Request {
			r := v.request("/")
			r.Host = strings.Repeat("A", nearly)
			return r
		}},
		{name: "URL/no origin form", reason: "external-url", verifier: usual, make: func(v *victim) *http.Request {
			r := v.request("/")
			r.RequestURI = strings.Repeat("a", nearly)
			return r
		}},
	}
	for _, in := range []struct{ name, field, value, reason string }{
		{"Forwarded pairs", "Forwarded", strings.Repeat("host=a;", nearly/7), "external-url"},
		{"Forwarded elements", "Forwarded", strings.Repeat("host=a,", nearly/7), "external-url"},
		{"Forwarded quotes", "Forwarded", "host=" + strings.Repeat(`"`, nearly), "credential-missing"},
		{"X-Forwarded-Host", "X-Forwarded-Host", strings.Repeat("a", nearly), "external-url"},
		{"X-Forwarded-Proto", "X-Forwarded-Proto", strings.Repeat("A", nearly), "external-url"},
	} {
		out = append(out, hostileCase{name: "peer/" + in.name, reason: in.reason, verifier: behind, make: func(v *victim) *http.Request {
			return v.request("/", in.field, in.value)
		}})
	}
	return append(out, hostileCase{name: "peer/Forwarded lines", reason: "external-url", verifier: behind, make: func(v *victim) *http.Request {
		r := v.request("/")
		for range nearly / 17 {
			r.Header.Add("Forwarded", "for=a")
		}
		return r
	}})
}
