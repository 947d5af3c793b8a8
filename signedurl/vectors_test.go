package signedurl

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the vector file anew")

const vectorFile = "../vectors/signedurl/urls.json"

// vector is the target of a request, and what a recipient makes of it.
type vector struct {
	ID     string `json:"id"`
	Rule   string `json:"rule"`
	Method string `json:"method"` // of the request
	Now    int64  `json:"now"`    // the recipient's clock
	Secret string `json:"secret"` // of the session that the recipient knows
	Target string `json:"target"`
	Expect string `json:"expect"` // accept, unsigned, or the reason of the refusal
	Made   *made  `json:"made,omitempty"`
}

// made says how the target of an accepted vector was made.
type made struct {
	URL     string `json:"url"`
	Clean   string `json:"clean"` // what the recipient passes on
	Ticket  string `json:"ticket"`
	Created int64  `json:"created"`
	Expires int64  `json:"expires"`
	Nonce   string `json:"nonce"`
	Base    string `json:"signature_base"`
}

type vectorSet struct {
	Meta  map[string]string `json:"meta"`
	Cases []vector          `json:"cases"`
}

func (s *vectorSet) add(v vector) {
	if v.Method == "" {
		v.Method = "GET"
	}
	if v.Now == 0 {
		v.Now = testNow
	}
	if v.Secret == "" {
		v.Secret = hex.EncodeToString(testSecret)
	}
	s.Cases = append(s.Cases, v)
}

// accept adds what the draft makes.
func (s *vectorSet) accept(id, rule string, now int64, created, expires int64, change func(*draft)) {
	d := newDraft()
	d.input = draftInput(created, expires, testNonce)
	change(&d)
	s.add(vector{
		ID: id, Rule: rule, Method: d.method, Now: now, Expect: "accept",
		Target: strings.Replace(d.signed(), "wss://", "https://", 1),
		Made: &made{
			URL: d.url, Clean: strings.Replace(d.url, "wss://", "https://", 1), Ticket: d.ticket,
			Created: created, Expires: expires, Nonce: testNonce, Base: d.base(),
		},
	})
}

func makeVectors() vectorSet {
	set := vectorSet{Meta: map[string]string{
		"what":    "URLs signed for one use (package signedurl); secret is hexadecimal",
		"expect":  "accept; unsigned, where there is none of the three parameters; else the reason of the refusal",
		"made by": "go test ./signedurl -run Vectors -update",
		"licence": "CC0-1.0",
	}}
	set.addAccepted()
	set.addUnsigned()
	set.addMalformed()
	set.addRefused()
	return set
}

func (s *vectorSet) addAccepted() {
	url := func(u string) func(*draft) { return func(d *draft) { d.url = u } }
	usual := func(id, rule, u string) { s.accept(id, rule, testNow, testNow, testNow+30, url(u)) }
	usual("ok", "the usual one", testURL)
	usual("ok-no-query", "the query begins with the parameters", "https://app.example/images/7.png")
	usual("ok-empty-query", "a lone question mark stays", "https://app.example/images/7.png?")
	usual("ok-no-path", "the path of the request is /, also where the URL has none", "https://app.example/")
	usual("ok-port", "a port that isn't the default", "https://app.example:8443/x?y=z")
	usual("ok-plus", "octets stay as they are", "https://app.example/a+b%2Fc?q=a+b%20c&q=%2B")
	usual("ok-separators", "an ampersand in the path, a question mark and empty parameters in the query", "https://app.example/a&b?c?d&&e=&")
	usual("ok-names-alike", "other names are the application's", "https://app.example/?pop-x=1&Pop-Sig=2&xpop-sig=3&pop-sig2=4&%2570op-sig=5")
	usual("ok-websocket", "a WebSocket's URL is signed as that of its handshake", "wss://app.example/feed")
	s.accept("ok-head", "HEAD, signed for HEAD", testNow, testNow, testNow+30, func(d *draft) { d.method = "HEAD" })
	s.accept("ok-longest", "60 s of life", testNow, testNow, testNow+60, func(*draft) {})
	s.accept("ok-shortest", "1 s of life", testNow, testNow, testNow+1, func(*draft) {})
	s.accept("ok-clock-ahead", "created may lie 5 s ahead", testNow-5, testNow, testNow+30, func(*draft) {})
	s.accept("ok-clock-behind", "expires may have passed for 5 s", testNow+35, testNow, testNow+30, func(*draft) {})
}

func (s *vectorSet) addUnsigned() {
	for _, c := range [][3]string{
		{"unsigned-no-query", "no query", "https://app.example/images/7.png"},
		{"unsigned", "another query", testURL},
		{"unsigned-path", "the parameters in the path", "https://app.example/pop-ticket=a&pop-input=b&pop-sig=c"},
		{"unsigned-case", "names are case-sensitive", "https://app.example/?Pop-Ticket=a&POP-INPUT=b&pop-Sig=c"},
		{"unsigned-encoded-twice", "names are decoded once", "https://app.example/?%2570op-sig=c"},
		{"unsigned-value", "names in a value", "https://app.example/?next=pop-sig=c"},
	} {
		s.add(vector{ID: c[0], Rule: c[1], Target: c[2], Expect: "unsigned"})
	}
}

// addMalformed adds a row for each rule of form, which differs from ok in one thing.
func (s *vectorSet) addMalformed() {
	signed := newDraft().signed()
	replace := func(old, new string) string { return strings.Replace(signed, old, new, 1) }
	input := func(text string) string { return with(func(d *draft) { d.input = text }) }
	without := func(param string) string { return input(strings.Replace(newDraft().input, param, "", 1)) }
	front, query, _ := strings.Cut(signed, "&pop-ticket=")
	params := strings.Split("pop-ticket="+query, "&")
	order := func(i ...int) string {
		out := front
		for _, i := range i {
			out += "&" + params[i]
		}
		return out
	}
	for _, c := range [][3]string{
		{"no-ticket", "all three", order(1, 2)},
		{"no-input", "all three", order(0, 2)},
		{"no-sig", "all three", order(0, 1)},
		{"ticket-alone", "all three", order(0)},
		{"sig-alone", "all three", order(2)},
		{"ticket-twice", "each once", order(0, 0, 1, 2)},
		{"input-twice", "each once", order(0, 1, 1, 2)},
		{"sig-twice", "each once", order(0, 1, 2, 2)},
		{"all-twice", "each once", order(0, 1, 2, 0, 1, 2)},
		{"order-input-first", "in their order", order(1, 0, 2)},
		{"order-sig-first", "in their order", order(2, 0, 1)},
		{"order-sig-second", "in their order", order(0, 2, 1)},
		{"parameter-behind", "at the end", signed + "&x=1"},
		{"ampersand-behind", "at the end", signed + "&"},
		{"parameter-between", "at the end", replace("&pop-sig=", "&x=1&pop-sig=")},
		{"ampersand-between", "at the end", replace("&pop-sig=", "&&pop-sig=")},
		{"fragment-behind", "at the end", signed + "#x"},
		{"name-encoded", "names as they are written", replace("pop-sig=", "%70op-sig=")},
		{"name-encoded-ticket", "names as they are written", replace("pop-ticket=", "pop%2Dticket=")},
		{"name-encoded-lower", "names as they are written", replace("pop-input=", "pop%2dinput=")},
		{"name-encoded-twin", "each once, whatever the spelling", replace("?size", "?%70op-sig=x&size")},
		{"name-without-value", "names have values", replace("?size", "?pop-sig&size")},
		{"equals-sign-encoded", "names have values", replace("pop-sig=", "pop-sig%3D")},
		{"ticket-empty", "a ticket in base64url", with(func(d *draft) { d.ticket = "" })},
		{"ticket-alphabet", "a ticket in base64url", with(func(d *draft) { d.ticket = "dGlja2V0+/Ag" })},
		{"ticket-padded", "a ticket without padding", with(func(d *draft) { d.ticket = "dGlja2V0cw==" })},
		{"ticket-spelling", "a ticket in its one spelling", with(func(d *draft) { d.ticket = "dGlja2V0cx" })},
		{"ticket-encoded", "a ticket as it is written", replace("pop-ticket=d", "pop-ticket=%64")},
		{"sig-empty", "a signature of 32 octets", signed[:strings.Index(signed, "pop-sig=")+len("pop-sig=")]},
		{"sig-short", "a signature of 32 octets", signed[:len(signed)-1]},
		{"sig-31-octets", "a signature of 32 octets", signed[:len(signed)-2] + "A"},
		{"sig-long", "a signature of 32 octets", signed + "AAA"},
		{"sig-padded", "a signature without padding", signed + "="},
		{"sig-spelling", "a signature in its one spelling", respell(signed)},
		{"input-empty", "an input", input("")},
		{"input-lower-case", "octets encoded in upper case", replace("%3Bcreated", "%3bcreated")},
		{"input-plus", "a space is %20", replace("%22%20%22", "%22+%22")},
		{"input-bare", "everything reserved is encoded", replace("%28%22%40method", "(%22%40method")},
		{"input-over-encoded", "nothing unreserved is encoded", replace("created", "%63reated")},
		{"input-cut", "percent-encoding", replace("pop-signed-url%22&", "pop-signed-url%2&")},
		{"input-not-ascii", "a structured field", input(newDraft().input + "\u00e9")},
		{"input-two-members", "one member", input(newDraft().input + `, sig2=()`)},
		{"input-no-list", "an inner list", input("1")},
		{"input-no-method", "exactly the two components", input(strings.Replace(newDraft().input, `"@method" `, "", 1))},
		{"input-no-target", "exactly the two components", input(strings.Replace(newDraft().input, ` "@target-uri"`, "", 1))},
		{"input-third-component", "exactly the two components", input(strings.Replace(newDraft().input, `-uri"`, `-uri" "@query"`, 1))},
		{"input-other-component", "exactly the two components", input(strings.Replace(newDraft().input, "@target-uri", "@path", 1))},
		{"input-components-swapped", "the components in their order", input(strings.Replace(newDraft().input, `"@method" "@target-uri"`, `"@target-uri" "@method"`, 1))},
		{"input-no-created", "all four parameters", without(";created=1800000000")},
		{"input-no-expires", "all four parameters", without(";expires=1800000030")},
		{"input-no-nonce", "all four parameters", without(`;nonce="` + testNonce + `"`)},
		{"input-no-tag", "all four parameters", without(`;tag="pop-signed-url"`)},
		{"input-other-tag", "the tag", input(strings.Replace(newDraft().input, "pop-signed-url", "pop-session", 1))},
		{"input-alg", "no other parameter", input(newDraft().input + `;alg="hmac-sha256"`)},
		{"input-nonce-twice", "each parameter once", input(newDraft().input + `;nonce="` + testNonce + `"`)},
		{"input-created-zero", "numbers in their one spelling", input(strings.Replace(newDraft().input, "=18", "=018", 1))},
		{"input-created-string", "numbers", input(strings.Replace(newDraft().input, "1800000000", `"1800000000"`, 1))},
		{"input-nonce-short", "a nonce of 16 octets", input(draftInput(testNow, testNow+30, testNonce[:20]))},
		{"input-nonce-long", "a nonce of 16 octets", input(draftInput(testNow, testNow+30, testNonce+"AA"))},
		{"input-nonce-spelling", "a nonce in its one spelling", input(draftInput(testNow, testNow+30, testNonce[:21]+"x"))},
		{"input-nonce-token", "a nonce that is a string", input(strings.ReplaceAll(newDraft().input, `"`+testNonce+`"`, testNonce))},
	} {
		s.add(vector{ID: "neg-" + c[0], Rule: c[1], Target: c[2], Expect: string(Malformed)})
	}
}

// respell changes the two bits of the last character that encode nothing.
func respell(signed string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, signed[len(signed)-1])
	return signed[:len(signed)-1] + alphabet[last+1:last+2]
}

// addRefused adds a row for each other rule, which differs from ok in one thing.
func (s *vectorSet) addRefused() {
	signed := newDraft().signed()
	replace := func(old, new string) string { return strings.Replace(signed, old, new, 1) }
	life := func(created, expires int64) string {
		return with(func(d *draft) { d.input = draftInput(created, expires, testNonce) })
	}
	for _, v := range []vector{
		{ID: "too-long", Rule: "at most 16 KiB", Expect: string(TooLong), Target: with(func(d *draft) { d.url += strings.Repeat("a", maxLength) })},
		{ID: "post", Rule: "GET or HEAD", Expect: string(BadMethod), Method: "POST", Target: with(func(d *draft) { d.method = "POST" })},
		{ID: "lower-case-method", Rule: "GET or HEAD", Expect: string(BadMethod), Method: "get", Target: with(func(d *draft) { d.method = "get" })},
		{ID: "head-for-get", Rule: "the method that was signed", Expect: string(BadSignature), Method: "HEAD", Target: signed},
		{ID: "get-for-head", Rule: "the method that was signed", Expect: string(BadSignature), Target: with(func(d *draft) { d.method = "HEAD" })},
		{ID: "lifetime-61", Rule: "at most 60 s", Expect: string(BadLifetime), Target: life(testNow, testNow+61)},
		{ID: "lifetime-0", Rule: "at least 1 s", Expect: string(BadLifetime), Target: life(testNow, testNow)},
		{ID: "lifetime-negative", Rule: "at least 1 s", Expect: string(BadLifetime), Target: life(testNow, testNow-1)},
		{ID: "lifetime-huge", Rule: "at most 60 s", Expect: string(BadLifetime), Target: life(-999_999_999_999_999, 999_999_999_999_999)},
		{ID: "in-future", Rule: "created at most 5 s ahead", Expect: string(InFuture), Now: testNow - 6, Target: signed},
		{ID: "expired", Rule: "expires at most 5 s ago", Expect: string(Expired), Now: testNow + 36, Target: signed},
		{ID: "other-path", Rule: "the URL that was signed", Expect: string(BadSignature), Target: replace("7.png", "8.png")},
		{ID: "path-decoded", Rule: "the octets that were signed", Expect: string(BadSignature), Target: replace("7.png", "%37.png")},
		{ID: "other-query", Rule: "the URL that was signed", Expect: string(BadSignature), Target: replace("large", "small")},
		{ID: "parameter-added", Rule: "the URL that was signed", Expect: string(BadSignature), Target: replace("?", "?a=b&")},
		{ID: "parameter-dropped", Rule: "the URL that was signed", Expect: string(BadSignature), Target: replace("size=large&", "")},
		{ID: "empty-parameter-added", Rule: "the octets that were signed", Expect: string(BadSignature), Target: replace("&pop-ticket", "&&pop-ticket")},
		{ID: "other-host", Rule: "the URL that was signed", Expect: string(BadSignature), Target: replace("app.", "api.")},
		{ID: "host-case", Rule: "the octets that were signed", Expect: string(BadSignature), Target: replace("app.", "APP.")},
		{ID: "other-port", Rule: "the URL that was signed", Expect: string(BadSignature), Target: replace(".example", ".example:8443")},
		{ID: "other-scheme", Rule: "the URL that was signed", Expect: string(BadSignature), Target: replace("https", "http")},
		{ID: "other-ticket", Rule: "the ticket that was signed", Expect: string(BadSignature), Target: replace(testTicket, "b3RoZXI")},
		{ID: "other-nonce", Rule: "the nonce that was signed", Expect: string(BadSignature), Target: replace(testNonce, "AAAAAAAAAAAAAAAAAAAAAA")},
		{ID: "later-expires", Rule: "the time that was signed", Expect: string(BadSignature), Target: replace("1800000030", "1800000040")},
		{ID: "other-secret", Rule: "the session's key", Expect: string(BadSignature), Secret: strings.Repeat("00", 32), Target: signed},
		{ID: "request-target", Rule: "the absolute URL", Expect: string(BadTarget), Target: replace("https://app.example", "")},
		{ID: "user", Rule: "a URL without user", Expect: string(BadTarget), Target: replace("app.", "me@app.")},
		{ID: "websocket-scheme", Rule: "the URL of the handshake", Expect: string(BadTarget), Target: replace("https", "wss")},
		{ID: "fragment", Rule: "no fragment", Expect: string(BadTarget), Target: replace("size", "size#")},
		{ID: "space", Rule: "what a request line can hold", Expect: string(BadTarget), Target: replace("size", "si ze")},
	} {
		v.ID = "neg-" + v.ID
		s.add(v)
	}
}

// TestVectorsAreCurrent writes the file with -update, and otherwise checks that it is what would be written.
func TestVectorsAreCurrent(t *testing.T) {
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(makeVectors()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(vectorFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
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

func (v *vector) secret(t testing.TB) []byte {
	t.Helper()
	secret, err := hex.DecodeString(v.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			if got := verdict(t, v.Target, v.Method, v.secret(t), v.Now); got != v.Expect {
				t.Fatalf("got %s, want %s", got, v.Expect)
			}
			if v.Expect == "accept" {
				v.checkMade(t)
			}
		})
	}
}

// checkMade checks what was read of an accepted target, and that Sign makes the same one.
func (v *vector) checkMade(t *testing.T) {
	t.Helper()
	u, _, err := Parse(v.Target)
	if err != nil {
		t.Fatal(err)
	}
	got := made{v.Made.URL, u.Clean(), u.Ticket(), u.Created().Unix(), u.Expires().Unix(), u.Nonce(), v.Made.Base}
	if got != *v.Made {
		t.Errorf("got %+v, want %+v", got, *v.Made)
	}
	p := Params{
		Method: v.Method, Ticket: v.Made.Ticket, Secret: v.secret(t), Now: at(v.Made.Created),
		Lifetime: time.Duration(v.Made.Expires-v.Made.Created) * time.Second,
	}
	signed, err := p.sign(v.Made.URL, v.Made.Nonce)
	if err != nil || strings.Replace(signed, "wss://", "https://", 1) != v.Target {
		t.Errorf("signed: got %s, %v, want %s", signed, err, v.Target)
	}
}
