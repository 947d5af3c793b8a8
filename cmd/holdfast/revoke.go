package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/holdfast-project/holdfast/internal/config"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/revocation"
)

type revokeCommand struct {
	Gateway    string `env:"HOLDFAST_REVOKE_GATEWAY" required:"" placeholder:"URL" group:"gateway" help:"The admin listener of the gateway, such as http://127.0.0.1:9090. Each node has its own."`
	SecretFile string `env:"HOLDFAST_REVOKE_SECRET_FILE" placeholder:"FILE" group:"gateway" help:"File with the operators' secret; the secret itself may be in HOLDFAST_REVOKE_SECRET."`
	CACert     string `name:"cacert" env:"HOLDFAST_REVOKE_CACERT" placeholder:"FILE" group:"gateway" help:"Certificates, PEM, that the gateway must chain to, instead of the system's."`

	TokenID     string        `xor:"what" required:"" placeholder:"JTI" group:"what" help:"An access token, by its jti and --issuer."`
	TokenSHA256 string        `name:"token-sha256" xor:"what" required:"" placeholder:"HASH" group:"what" help:"An access token without jti, by the SHA-256 of its text in base64url. Not for JWTs: the same claims can be signed in another text."`
	Session     string        `xor:"what" required:"" placeholder:"ID" group:"what" help:"A session, by its id in base64url. Its client may prove its key again."`
	Key         string        `xor:"what" required:"" placeholder:"JKT" group:"what" help:"All that a key proves, by its thumbprint as holdfast key show prints it."`
	Client      string        `xor:"what" required:"" placeholder:"ID" group:"what" help:"All tokens of a client, by its client_id and --issuer."`
	Subject     string        `xor:"what" required:"" placeholder:"SUB" group:"what" help:"All tokens for a subject, by its sub and --issuer."`
	Issuer      string        `placeholder:"URL" group:"what" help:"The issuer of the token, client or subject."`
	For         time.Duration `placeholder:"DURATION" group:"what" help:"How long it must be remembered: until the last token that it concerns has expired. Needed, except with --session."`
}

// Help implements kong.HelpProvider.
func (*revokeCommand) Help() string {
	return "Requests are refused from then on, and streams of events and WebSockets end at once. The issuer isn't told: keep it from giving a new token."
}

// Run revokes.
func (c *revokeCommand) Run(ctx context.Context, std streams) error {
	entry, err := c.entry(time.Now())
	if err != nil {
		return usageError{err}
	}
	secret, err := c.secret()
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := c.request(ctx, entry, secret)
	if err != nil {
		return usageError{err}
	}
	client, err := c.client()
	if err != nil {
		return usageError{err}
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := revokeRefusal(resp); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "revoked %s until %s\n", entry.Name, entry.Until.UTC().Format(time.RFC3339))
	return err
}

// entry is what the flags say.
func (c *revokeCommand) entry(now time.Time) (revocation.Entry, error) {
	var e revocation.Entry
	for kind, id := range map[revocation.Kind]string{
		revocation.KindToken: c.TokenID, revocation.KindTokenHash: c.TokenSHA256, revocation.KindSession: c.Session,
		revocation.KindKey: c.Key, revocation.KindClient: c.Client, revocation.KindSubject: c.Subject,
	} {
		if id == "" {
			continue
		}
		var err error
		if e.Name, err = revocation.ParseName(kind, c.Issuer, id); err != nil {
			return e, err
		}
		if c.For == 0 && kind == revocation.KindSession {
			c.For = popsession.MaxLifetime + time.Minute // for clocks that differ
		}
	}
	if e.Name == (revocation.Name{}) {
		return e, errors.New("what to revoke is empty")
	}
	if c.For <= 0 {
		return e, errors.New("--for is needed: until when do tokens live that this concerns?")
	}
	e.Until = now.Add(c.For)
	return e, nil
}

func (c *revokeCommand) secret() ([]byte, error) {
	if s, ok := os.LookupEnv("HOLDFAST_REVOKE_SECRET"); ok && c.SecretFile == "" {
		return []byte(s), nil
	}
	if c.SecretFile == "" {
		return nil, errors.New("give --secret-file or HOLDFAST_REVOKE_SECRET")
	}
	return config.ReadSecretFile(c.SecretFile)
}

func (c *revokeCommand) request(ctx context.Context, entry revocation.Entry, secret []byte) (*http.Request, error) {
	body, err := json.Marshal(entry)
	if err != nil {
		return nil, err
	}
	target, err := url.JoinPath(c.Gateway, "revocations")
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(secret))
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// client uses no proxy: the secret is for the gateway alone.
func (c *revokeCommand) client() (*http.Client, error) {
	t := &http.Transport{}
	if c.CACert != "" {
		roots, err := config.RootsFile(c.CACert)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = roots
	}
	return &http.Client{Transport: t, CheckRedirect: noRedirect}, nil
}

// revokeRefusal says why the gateway didn't revoke, if it didn't.
func revokeRefusal(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusNotFound:
		return errors.New("nothing can be revoked there: not an admin listener, or gateway.revocations.secret_file isn't set")
	}
	var problem struct {
		Reason string `json:"reason"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&problem); err != nil {
		return fmt.Errorf("not revoked: %s", resp.Status)
	}
	return fmt.Errorf("not revoked: %s (%s)", resp.Status, problem.Reason)
}
