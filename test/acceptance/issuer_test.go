package acceptance

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	// authorityURL is what clients call every authority by. Where its nodes listen is theirs and the transports' affair.
	authorityURL = "http://localhost:8440"
	tokenURL     = authorityURL + "/token"
	callback     = "https://app.example/callback"
	verifier     = "a-code-verifier-that-has-forty-three-characters"
)

// databaseKinds make an empty database for an authority: a DSN of its own.
var databaseKinds = []struct {
	name string
	dsn  func(testing.TB) string
}{
	{"SQLite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "issuer.db") }},
	{"PostgreSQL", func(t testing.TB) string {
		server, err := postgres.server()
		if err != nil {
			t.Fatal(err)
		}
		return server.Database(t)
	}},
}

// authority is an authorization server: issuer processes on one database, with one secret.
type authority struct {
	dsn    string
	binary string
	config string // file
	secret string // of its confidential clients
	nodes  []*office
}

// office is a node of an authority, through its restarts.
type office struct {
	process *process
	address atomic.Value
	http    *http.Client
}

// authorityText is the configuration. Clients are public and confidential ones, bound by DPoP, and a resource server
// that introspects.
const authorityText = `
admin: {listen: "127.0.0.1:0", drain: 0s}
issuer:
  listen: 127.0.0.1:0
  url: URL
  database: "DSN"
  secret_file: DIR/fleet.secret
  require_nonce: true
  REPLAY
  login: {insecure_development_user: ada}
  clients:
    - {id: web, auth: client_secret_basic, secret_file: DIR/client.secret, APP}
    - {id: other-web, auth: client_secret_basic, secret_file: DIR/client.secret, APP}
    - {id: spa, auth: none, APP}
    - {id: other-spa, auth: none, APP}
    - {id: service, auth: client_secret_basic, secret_file: DIR/client.secret, audience: ["https://api.example"], binding: dpop}
    - {id: api, auth: client_secret_basic, secret_file: DIR/client.secret, introspect: ["https://api.example"]}
`

const appText = `grants: [authorization_code, refresh_token], redirect_uris: ["` + callback + `"], audience: ["https://api.example"],
      binding: dpop, skip_consent: true`

// olderAccepted is for tests in which no node starts again: they needn't wait until its memory of proofs has begun.
const olderAccepted = "replay: {insecure_accept_older: true}"

// openAuthority starts nodes on a database. replay is that entry of the configuration, or empty.
func openAuthority(t testing.TB, dsn string, nodes int, replay string) *authority {
	t.Helper()
	a := newAuthority(t, dsn, replay)
	for range nodes {
		a.addNode(t)
	}
	return a
}

// newAuthority writes what the nodes of an authority need.
func newAuthority(t testing.TB, dsn, replay string) *authority {
	t.Helper()
	dir := t.TempDir()
	a := &authority{dsn: dsn, config: filepath.Join(dir, "issuer.yaml"), secret: base64.RawURLEncoding.EncodeToString(random(33))}
	var err error
	if a.binary, err = binaries.asTests(); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("URL", authorityURL, "DSN", dsn, "DIR", dir, "REPLAY", replay, "APP", appText).Replace(authorityText)
	for name, content := range map[string]string{
		"issuer.yaml": text, "client.secret": a.secret, "fleet.secret": base64.RawURLEncoding.EncodeToString(random(33)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { a.stop(t) })
	return a
}

func (a *authority) addNode(t testing.TB) *office {
	t.Helper()
	o := newOffice(t)
	a.start(t, o)
	a.nodes = append(a.nodes, o)
	return o
}

// newOffice makes what reaches a node, wherever that listens at the moment.
func newOffice(t testing.TB) *office {
	o := &office{}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 256,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, o.address.Load().(string))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	o.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return o
}

func (a *authority) start(t testing.TB, o *office) {
	t.Helper()
	o.process = start(t, a.binary, "issuer", a.config)
	o.address.Store(o.process.at("issuer"))
}

func (a *authority) stop(t testing.TB) {
	var wg sync.WaitGroup
	for _, o := range a.nodes {
		wg.Go(func() { o.process.stop(t) })
	}
	wg.Wait()
}

// party is a client of an authority, with a key of its own.
type party struct {
	a      *authority
	id     string
	secret string // "" for a public client
	signer *keys.Signer
	nonce  atomic.Value // the last that it was told, a string
}

// newParty makes a client; those whose names end in "web" are confidential.
func (a *authority) newParty(t testing.TB, id string) *party {
	t.Helper()
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	p := &party{a: a, id: id, signer: signer}
	if !strings.HasSuffix(id, "spa") {
		p.secret = a.secret
	}
	p.nonce.Store("")
	return p
}

// answer is what a token or introspection request got.
type answer struct {
	status     int
	retryAfter string

	Error   string `json:"error"`
	Refresh string `json:"refresh_token"`
	Access  string `json:"access_token"`
	Active  bool   `json:"active"`
}

// String is what a test says of it: no tokens.
func (r answer) String() string { return fmt.Sprint(r.status, " ", r.Error) }

// request makes a token request with a proof by the party's key, made now.
func (p *party) request(form url.Values) (*http.Request, error) {
	proof, err := dpop.Sign(p.signer, dpop.Params{Method: http.MethodPost, TargetURI: tokenURL, Nonce: p.nonce.Load().(string)})
	if err != nil {
		return nil, err
	}
	return p.post(tokenURL, form, proof)
}

// post makes a request that the party authenticates, with this proof if it isn't empty.
func (p *party) post(target string, form url.Values, proof string) (*http.Request, error) {
	if p.secret == "" {
		form.Set("client_id", p.id)
	}
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	if p.secret != "" {
		r.SetBasicAuth(url.QueryEscape(p.id), url.QueryEscape(p.secret))
	}
	return r, nil
}

// send sends a request to a node and keeps the nonce of its answer.
func (p *party) send(o *office, r *http.Request) (answer, error) {
	res, err := o.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	if nonce := res.Header.Get("DPoP-Nonce"); nonce != "" {
		p.nonce.Store(nonce)
	}
	got := answer{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After")}
	return got, json.NewDecoder(res.Body).Decode(&got)
}

// ask sends a token request to a node, and once more if only the nonce was missing.
func (p *party) ask(o *office, form url.Values) (answer, error) {
	for again := false; ; again = true {
		r, err := p.request(form)
		if err != nil {
			return answer{}, err
		}
		got, err := p.send(o, r)
		if err != nil || again || got.Error != "use_dpop_nonce" {
			return got, err
		}
	}
}

// mustAsk is ask, and fails the test unless the answer has this status and code.
func (p *party) mustAsk(t testing.TB, o *office, form url.Values, status int, code string) answer {
	t.Helper()
	got, err := p.ask(o, form)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != status || got.Error != code {
		t.Fatalf("%s: got %s, want %d %s", p.id, got, status, code)
	}
	return got
}

// isActive asks whether an access token is, as its resource server does.
func (a *authority) isActive(t testing.TB, o *office, token string) bool {
	t.Helper()
	api := a.newParty(t, "api")
	r, err := api.post(authorityURL+"/introspect", url.Values{"token": {token}}, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := api.send(o, r)
	if err != nil || got.status != http.StatusOK {
		t.Fatalf("introspection: got %s, %v", got, err)
	}
	return got.Active
}

// code has a user log in and send the browser on for the party, whose key it names, and returns the code.
func (p *party) code(t testing.TB, o *office) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := *o.http
	browser.Jar = jar
	challenge := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {callback}, "dpop_jkt": {p.signer.Public().Thumbprint().String()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	if _, err := located(browser.PostForm(authorityURL+"/login/development", url.Values{})); err != nil {
		t.Fatal(err)
	}
	to, err := located(browser.Get(authorityURL + "/authorize?" + query.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	code := to.Query().Get("code")
	if code == "" {
		t.Fatalf("got no code: %s", to.Query().Get("error"))
	}
	return code
}

// located returns where an answer sends the browser.
func located(res *http.Response, err error) (*url.URL, error) {
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	to, err := res.Location()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", res.Status, err)
	}
	return to, nil
}

func redemption(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

func refreshment(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

// checkDatabase checks what an authority has written, past its code: the file, that rows have what they belong to, and
// each family of refresh tokens: generations without a gap, each used token followed by the one that it names, the newest
// alone unused.
func (a *authority) checkDatabase(t testing.TB) {
	t.Helper()
	db := a.openDatabase(t)
	checks := map[string]string{
		"families that are broken": `SELECT count(*) FROM refresh_tokens a LEFT JOIN refresh_tokens b
			ON b.grant_id = a.grant_id AND b.generation = a.generation + 1
			WHERE (a.used IS NULL) <> (b.hash IS NULL) OR (b.hash IS NOT NULL AND b.hash <> a.successor)`,
		"tokens without a grant":    "SELECT count(*) FROM refresh_tokens WHERE grant_id NOT IN (SELECT id FROM grants)",
		"codes without a grant":     "SELECT count(*) FROM codes WHERE grant_id NOT IN (SELECT id FROM grants)",
		"tokens repeated too often": "SELECT count(*) FROM refresh_tokens WHERE repeats > 3",
	}
	if strings.HasPrefix(a.dsn, "sqlite:") {
		checks["faults of the file"] = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"
		checks["rows without what they belong to"] = "SELECT count(*) FROM pragma_foreign_key_check"
	}
	for what, query := range checks {
		if n, err := count(t.Context(), db, query); err != nil || n != 0 {
			t.Errorf("%d %s, %v", n, what, err)
		}
	}
	if n, err := count(t.Context(), db, "SELECT count(*) FROM refresh_tokens"); err != nil || n == 0 {
		t.Errorf("%d refresh tokens, %v: nothing to check", n, err)
	}
}

// openDatabase opens what the nodes have open, for this test to read.
func (a *authority) openDatabase(t testing.TB) *sql.DB {
	t.Helper()
	driver, source := "pgx", a.dsn
	if file, ok := strings.CutPrefix(a.dsn, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+file+"?_busy_timeout=10000"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func count(ctx context.Context, db *sql.DB, query string) (n int, err error) {
	err = db.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

// pause waits a while before something is tried again.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
