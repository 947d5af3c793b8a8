package interop

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/keys"
)

var updateDocs = flag.Bool("update", false, "write the table of docs/conformance.md")

const (
	peerVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636, appendix B
	peerChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

	accepted = "accepted"
	goesOn   = "goes on" // to the user
)

// try is one server with a client's keys.
type try struct {
	t          *testing.T
	s          *asServer
	key, robot *keys.Signer // of proofs, of assertions
	nonce      string       // that the server's last answer named
}

// attempt is a request to an endpoint. A case changes one thing of a good one.
type attempt struct {
	endpoint, method string
	header           http.Header
	form             url.Values
	query            string
	proofs           []string
}

// jwt signs whatever it is given; a nil signer makes it unsigned.
func jwt(t *testing.T, signer *keys.Signer, header, claims map[string]any) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	if signer == nil {
		return text + "."
	}
	signature, err := signer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// edit changes the header and the claims of a JWT.
type edit func(header, claims map[string]any)

func claim(name string, value any) edit {
	return func(_, claims map[string]any) {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
}

// timed sets a claim to a time, counted from when the request is made.
func timed(name string, ahead time.Duration) edit {
	return func(_, claims map[string]any) { claims[name] = time.Now().Add(ahead).Unix() }
}

func headed(name string, value any) edit {
	return func(header, _ map[string]any) {
		if header[name] = value; value == nil {
			delete(header, name)
		}
	}
}

// proof makes a DPoP proof for an endpoint, by signer.
func (d *try) proof(endpoint string, signer *keys.Signer, edits ...edit) string {
	d.t.Helper()
	var jwk map[string]any
	text, err := json.Marshal(d.key.Public())
	if err != nil {
		d.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &jwk); err != nil {
		d.t.Fatal(err)
	}
	header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
	claims := map[string]any{"jti": rand.Text(), "htm": "POST", "htu": d.s.endpoint[endpoint], "iat": time.Now().Unix()}
	for _, e := range edits {
		e(header, claims)
	}
	if header["alg"] == "none" {
		signer = nil
	}
	return jwt(d.t, signer, header, claims)
}

// assertion makes a client assertion of the robot.
func (d *try) assertion(signer *keys.Signer, edits ...edit) string {
	d.t.Helper()
	now := time.Now().Unix()
	header := map[string]any{"alg": "ES256", "kid": d.robot.Public().KeyID()}
	claims := map[string]any{"iss": "robot", "sub": "robot", "aud": d.s.issuer, "jti": rand.Text(), "iat": now, "exp": now + 60}
	for _, e := range edits {
		e(header, claims)
	}
	if header["alg"] == "none" {
		signer = nil
	}
	return jwt(d.t, signer, header, claims)
}

// post starts a good request of a client, without a grant.
func (d *try) post(endpoint, client string) *attempt {
	a := &attempt{endpoint: endpoint, method: http.MethodPost, header: http.Header{}, form: url.Values{}}
	a.header.Set("Content-Type", "application/x-www-form-urlencoded")
	switch client {
	case "shop", "portal", "api":
		a.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(client+":"+peerSecret)))
	case "robot":
		a.form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		a.form.Set("client_assertion", d.assertion(d.robot))
	default:
		a.form.Set("client_id", client)
	}
	if endpoint == "token" || endpoint == "pushed_authorization_request" {
		a.proofs = []string{d.proof(endpoint, d.key)}
	}
	return a
}

// service is a good request for a token in a client's own name.
func (d *try) service(client string) *attempt {
	a := d.post("token", client)
	a.form.Set("grant_type", "client_credentials")
	a.form.Set("scope", peerScope)
	a.form.Set("resource", audience)
	return a
}

// asked is a good authorization request.
func asked(client string) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirectURI}, "scope": {peerScope}, "state": {"s"},
		"resource": {audience}, "code_challenge": {peerChallenge}, "code_challenge_method": {"S256"},
	}
}

// redemption is a good request for the tokens of a code that a user has just given. more is added to the request for it.
func (d *try) redemption(client string, more url.Values) *attempt {
	d.t.Helper()
	q := asked(client)
	maps.Copy(q, more)
	back := d.s.approve(d.t, q)
	if back.Get("code") == "" {
		d.t.Fatalf("%s: no code: %v", d.s.name, back)
	}
	a := d.post("token", client)
	a.form.Set("grant_type", "authorization_code")
	a.form.Set("code", back.Get("code"))
	a.form.Set("redirect_uri", redirectURI)
	a.form.Set("code_verifier", peerVerifier)
	return a
}

// refreshing is a good request by a refresh token that was just given.
func (d *try) refreshing(client string) *attempt {
	d.t.Helper()
	_, body := d.send(d.redemption(client, nil))
	token, _ := body["refresh_token"].(string)
	if token == "" {
		d.t.Fatalf("%s: no refresh token: %v", d.s.name, body)
	}
	a := d.post("token", client)
	a.form.Set("grant_type", "refresh_token")
	a.form.Set("refresh_token", token)
	return a
}

// pushing is a good pushed authorization request.
func (d *try) pushing(client string) *attempt {
	a := d.post("pushed_authorization_request", client)
	maps.Copy(a.form, asked(client))
	return a
}

// send sends a request and returns what came of it: accepted, or the status and the error code. A browser's request may
// also go on to the user, or be redirected to its client with an error.
func (d *try) send(a *attempt) (string, map[string]any) {
	d.t.Helper()
	target := d.s.endpoint[a.endpoint]
	if a.method == http.MethodGet {
		a.query = a.form.Encode()
	}
	if a.query != "" {
		target += "?" + a.query
	}
	var body io.Reader
	if a.method == http.MethodPost {
		body = strings.NewReader(a.form.Encode())
	}
	r, err := http.NewRequestWithContext(d.t.Context(), a.method, target, body)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header = a.header.Clone()
	r.Header["Dpop"] = a.proofs
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	d.nonce = resp.Header.Get("DPoP-Nonce")
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	var answer map[string]any
	_ = json.Unmarshal(text, &answer) // what isn't JSON has no code
	code, _ := answer["error"].(string)
	switch back, err := resp.Location(); {
	case resp.StatusCode >= 400:
		return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, code)), answer
	case err == nil && strings.HasPrefix(back.String(), redirectURI) && returned(back).Has("error"):
		return "redirect " + returned(back).Get("error"), answer
	case a.endpoint == "authorization":
		return goesOn, answer
	case answer["active"] == false:
		return "inactive", answer
	case answer["token_type"] == "Bearer" && a.endpoint == "token":
		return "accepted, unbound", answer
	}
	return accepted, answer
}

// returned is what a user brings back to a client, in the query or in the fragment.
func returned(u *url.URL) url.Values {
	if fragment, err := url.ParseQuery(u.Fragment); err == nil && len(fragment) > 0 {
		return fragment
	}
	return u.Query()
}

// TestDifferential sends the same requests, good ones and ones that are wrong in one thing, to three authorization
// servers. Whatever they disagree about is explained in docs/conformance.md.
func TestDifferential(t *testing.T) {
	robot := generate(t, keys.ES256)
	demanding := []*asServer{newHoldfast(t, robot, true), newNodeProvider(t, robot, true), newGoOIDC(t, robot)} // it has no nonces
	servers := []*asServer{newHoldfast(t, robot, false), newNodeProvider(t, robot, false), demanding[2]}
	var table differences
	seen := map[string]bool{}
	for _, tc := range slices.Concat(differentialCases, clientCases, grantCases, authorizationCases, endpointCases, nonceCases) {
		if seen[tc.name] {
			t.Errorf("%s: occurs twice", tc.name)
		}
		seen[tc.name] = true
		among := servers
		if strings.HasPrefix(tc.name, "nonce: ") {
			among = demanding
		}
		var outcomes []string
		for _, s := range among {
			d := &try{t: t, s: s, key: generate(t, keys.ES256), robot: robot}
			outcome, _ := d.send(tc.make(d))
			outcomes = append(outcomes, outcome)
		}
		if good := outcomes[0] == accepted || outcomes[0] == goesOn; tc.good != good {
			t.Errorf("%s: holdfast: %s", tc.name, outcomes[0])
		}
		differ := len(slices.Compact(slices.Sorted(slices.Values(outcomes)))) > 1
		why, explained := whyDifferent[tc.name]
		switch {
		case differ && !explained:
			t.Errorf("%s: not explained: %q", tc.name, outcomes)
		case !differ && explained:
			t.Errorf("%s: all agree: %s", tc.name, outcomes[0])
		}
		if differ {
			table.add(tc.name, strings.Join(outcomes, " | ")+" | "+why)
		}
	}
	for name := range whyDifferent {
		if !seen[name] {
			t.Errorf("%s: explained, but no case", name)
		}
	}
	checkTable(t, table.rows(), len(seen))
}

// differences are requests of different outcomes. Those of the same outcomes, for the same reason, share a row.
type differences struct {
	order []string            // outcomes and reason
	names map[string][]string // outcomes and reason → requests
}

func (d *differences) add(name, outcomes string) {
	if d.names == nil {
		d.names = map[string][]string{}
	}
	if d.names[outcomes] == nil {
		d.order = append(d.order, outcomes)
	}
	d.names[outcomes] = append(d.names[outcomes], name)
}

func (d *differences) rows() string {
	var b strings.Builder
	for _, outcomes := range d.order {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(d.names[outcomes], "; "), outcomes)
	}
	return b.String()
}

const (
	tableBegin = "<!-- differences: cd test/interop && go test -run TestDifferential . -update -->\n"
	tableEnd   = "<!-- end of differences -->\n"
)

func checkTable(t *testing.T, rows string, cases int) {
	t.Helper()
	const file = "../../docs/conformance.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), tableBegin)
	got, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatal("docs/conformance.md has no place for the differences")
	}
	want := fmt.Sprintf("\n%d requests; these have different outcomes:\n\n| requests | holdfast | oidc-provider | go-oidc | why |\n| --- | --- | --- | --- | --- |\n%s\n", cases, rows)
	if *updateDocs {
		if err := os.WriteFile(file, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("docs/conformance.md differs (-update writes it), -got +want\n%s", d)
	}
}
