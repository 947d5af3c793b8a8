package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/keys"
)

type requestCommand struct {
	Issuer     string   `env:"HOLDFAST_REQUEST_ISSUER" placeholder:"URL" group:"token" help:"Authorization server to get a token from, by client credentials."`
	Client     string   `env:"HOLDFAST_REQUEST_CLIENT" placeholder:"ID" group:"token" help:"The client_id there."`
	SecretFile string   `env:"HOLDFAST_REQUEST_SECRET_FILE" placeholder:"FILE" group:"token" help:"File with the client's secret; the secret itself may be in HOLDFAST_REQUEST_SECRET."`
	ClientKey  string   `env:"HOLDFAST_REQUEST_CLIENT_KEY" placeholder:"FILE" group:"token" help:"Private JWK to authenticate with instead, by private_key_jwt."`
	Scope      []string `sep:"none" group:"token" help:"Scope to ask for; may be repeated."`
	Resource   string   `placeholder:"URI" group:"token" help:"Resource to ask a token for (RFC 8707)."`
	TokenFile  string   `env:"HOLDFAST_REQUEST_TOKEN_FILE" placeholder:"FILE" group:"token" help:"File with an access token, instead of an issuer; --key or --cert then is what it is bound to."`

	Key           string   `env:"HOLDFAST_REQUEST_KEY" placeholder:"FILE" group:"proof" help:"Private JWK that the token is bound to. Without it, a key is made and forgotten."`
	Scheme        string   `env:"HOLDFAST_REQUEST_SCHEME" enum:"dpop,httpsig,mtls" default:"dpop" group:"proof" help:"Kind of proof: ${enum}."`
	Preregistered bool     `group:"proof" help:"With httpsig: name the key by its key id to an issuer that knows it, instead of introducing it."`
	Cover         []string `sep:"none" placeholder:"COMPONENT" group:"proof" help:"Component to sign wherever a request has it, such as @query or content-type; may be repeated."`
	Digest        bool     `group:"proof" help:"Cover the body with a Content-Digest."`

	trustFlags `group:"trust"`

	Method    string        `short:"X" group:"request" help:"Method; GET, or POST with --data."`
	Header    []string      `short:"H" sep:"none" placeholder:"K:V" group:"request" help:"Header field; may be repeated."`
	Data      *string       `short:"d" placeholder:"DATA" group:"request" help:"Body: text, @FILE, or - for standard input; sent as it is."`
	Verbose   bool          `short:"v" group:"output" help:"Show on standard error each attempt, what was signed, and why it was repeated. Tokens and signatures are left out."`
	Include   bool          `short:"i" group:"output" help:"Print status and header of the answer too."`
	Output    string        `short:"o" placeholder:"FILE" group:"output" help:"Write the answer's body to a file."`
	MaxTime   time.Duration `default:"30s" group:"request" help:"Give up after this time, token request included; 0s means never."`
	SignedURL bool          `name:"signed-url" group:"signed URL" help:"Print the URL with a proof inside, for one GET or HEAD request without headers, instead of making the request. Begins a session by a HEAD request. Whoever has what is printed can make that request."`
	TTL       time.Duration `name:"ttl" placeholder:"30s" group:"signed URL" help:"How long the signed URL is good, in whole seconds up to 60s; 30s if not given."`
	URL       string        `arg:"" help:"What to request. Redirects are not followed."`
}

// Help implements kong.HelpProvider.
func (*requestCommand) Help() string {
	return "Exit code 1 also means that the answer's status is 400 or more."
}

// Run makes the request.
func (c *requestCommand) Run(ctx context.Context, std streams) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.MaxTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.MaxTime)
		defer cancel()
	}
	transport, err := c.transport(ctx, std)
	if err != nil {
		return err
	}
	if c.SignedURL {
		signed, err := transport.SignURL(ctx, c.Method, c.URL, c.TTL)
		if err != nil {
			return explainTransport(err)
		}
		_, err = fmt.Fprintln(std.out, signed)
		return err
	}
	req, err := c.request(ctx, std.in)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport, CheckRedirect: noRedirect}).Do(req)
	if err != nil {
		return explainTransport(err)
	}
	defer resp.Body.Close()
	return c.answer(resp, std)
}

// check refuses flags that contradict each other or would be ignored.
func (c *requestCommand) check() error {
	switch {
	case c.TokenFile == "" && (c.Issuer == "" || c.Client == ""):
		return usagef("give --issuer and --client, or --token-file")
	case c.TokenFile != "" && c.Issuer != "":
		return usagef("give --issuer or --token-file, not both")
	case c.TokenFile != "" && c.Key == "" && c.Scheme != "mtls":
		return usagef("--token-file needs --key, the key that the token is bound to")
	case c.Key != "" && c.Scheme == "mtls":
		return usagef("with --scheme mtls the certificate is the key: leave out --key")
	case c.TokenFile != "" && (c.Client != "" || c.SecretFile != "" || c.ClientKey != "" || c.Resource != "" && !c.ResourceMetadata || len(c.Scope) > 0):
		return usagef("with --token-file no token is asked for: leave out --client, --secret-file, --client-key, --scope and --resource")
	case c.SecretFile != "" && c.ClientKey != "":
		return usagef("give --secret-file or --client-key, not both")
	case c.Preregistered && (c.Scheme != "httpsig" || c.Key == ""):
		return usagef("--preregistered needs --scheme httpsig and --key")
	case !c.SignedURL && c.TTL != 0:
		return usagef("--ttl needs --signed-url")
	case c.SignedURL && (c.Data != nil || len(c.Header) > 0 || c.Digest || c.Include || c.Output != ""):
		return usagef("a signed URL carries neither fields nor a body, and has no answer yet: leave out --data, --header, --digest, --include and --output")
	}
	return c.trustFlags.check(c.Scheme)
}

// transport wires the transports: one that asks for a token, inside one that uses it.
func (c *requestCommand) transport(ctx context.Context, std streams) (*holdfast.Transport, error) {
	base, leaf, err := c.base()
	if err != nil {
		return nil, usageError{err}
	}
	signer, err := c.signer()
	if err != nil {
		return nil, usageError{err}
	}
	var watch *watcher
	if c.Verbose {
		watch = &watcher{w: std.err}
	}
	t := &holdfast.Transport{Base: watch.around(base, "request"), Signer: signer, Cover: c.Cover, DigestBody: c.Digest, RequireSignedResponses: c.RequireSigned, Trace: watch.trace("request")}
	t.Certificate = leaf
	if t.ResourceKeys, err = c.resourceKeys(ctx, base, c.Resource, c.URL); err != nil {
		return nil, err
	}
	t.Source, err = c.source(ctx, base, signer, watch)
	return t, err
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// signer opens the key, or makes one. The key has a kid in either case. A certificate needs none beside it.
func (c *requestCommand) signer() (*keys.Signer, error) {
	if c.Scheme == "mtls" {
		return nil, nil
	}
	if c.Key == "" {
		return keys.Generate(keys.ES256)
	}
	return openSigner(c.Key)
}

// request makes the request that the flags describe.
func (c *requestCommand) request(ctx context.Context, stdin io.Reader) (*http.Request, error) {
	method := c.Method
	if method == "" && c.Data == nil {
		method = http.MethodGet
	} else if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL, nil)
	if err != nil {
		return nil, usageError{err}
	}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, usagef("--header %q: want K: V", name)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = strings.TrimSpace(value)
			continue
		}
		req.Header.Add(name, strings.TrimSpace(value))
	}
	if c.Data == nil {
		return req, nil
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, setBody(req, *c.Data, stdin)
}

// maxBuffered bounds how much of standard input is kept, so that it can be sent again. Longer input is sent as it comes.
const maxBuffered = 1 << 20

func setBody(req *http.Request, data string, stdin io.Reader) error {
	if name, ok := strings.CutPrefix(data, "@"); ok {
		return setFile(req, name)
	}
	text := []byte(data)
	if data == "-" {
		var err error
		if text, err = io.ReadAll(io.LimitReader(stdin, maxBuffered+1)); err != nil {
			return err
		}
		if len(text) > maxBuffered {
			req.Body, req.ContentLength = io.NopCloser(io.MultiReader(bytes.NewReader(text), stdin)), -1
			return nil
		}
	}
	req.ContentLength = int64(len(text))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	var err error
	req.Body, err = req.GetBody()
	return err
}

// setFile sends a file, which is opened anew for each attempt.
func setFile(req *http.Request, name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return usagef("--data @%s: not a regular file; use - for a stream", name)
	}
	req.ContentLength = info.Size()
	req.GetBody = func() (io.ReadCloser, error) { return os.Open(name) }
	req.Body, err = req.GetBody()
	return err
}

// answer prints the answer. Its body is copied as it comes.
func (c *requestCommand) answer(resp *http.Response, std streams) (err error) {
	out := std.out
	if c.Include {
		fmt.Fprintf(out, "%s %s\r\n", resp.Proto, resp.Status)
		if err := resp.Header.Write(out); err != nil {
			return err
		}
		fmt.Fprint(out, "\r\n")
	}
	if c.Output != "" {
		f, createErr := os.Create(c.Output)
		if createErr != nil {
			return createErr
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode >= 400 {
		why := resp.Header.Get("WWW-Authenticate")
		if why != "" {
			why = ": " + why
		}
		return fmt.Errorf("%s%s", resp.Status, why)
	}
	return nil
}

// explainTransport leaves out the method and URL that net/http puts before an error: the caller typed them.
func explainTransport(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("the issuer refused the token request: %s %s", e.ErrorCode, e.ErrorDescription)
	}
	return err
}
