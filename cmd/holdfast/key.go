package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/holdfast-project/holdfast/keys"
)

type keyCommand struct {
	New        keyNew        `cmd:"" help:"Make a private key file. It is never overwritten."`
	Show       keyShow       `cmd:"" help:"Print the public JWK, and its thumbprint to standard error."`
	Thumbprint keyThumbprint `cmd:"" help:"Print the SHA-256 thumbprint (RFC 7638), as in cnf.jkt."`
	Secret     keySecret     `cmd:"" help:"Make a file with a random secret, and print the SHA-256 for the issuer's configuration."`
}

type keyNew struct {
	Alg  string `default:"ES256" enum:"ES256,ES384,ES512,Ed25519,PS256,RS256" help:"Algorithm that it signs with: ${enum}."`
	File string `arg:"" help:"File to write, readable by its owner only."`
}

// Run prints the thumbprint, which names the key everywhere else.
func (c *keyNew) Run(std streams) error {
	signer, err := keys.CreateFile(c.File, keys.Algorithm(c.Alg))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, signer.Public().Thumbprint())
	return err
}

type keyShow struct {
	JWKS bool   `name:"jwks" help:"As a JWK Set, for a client's jwks_file; a key without kid gets its thumbprint as one."`
	File string `arg:"" help:"Key file, private or public, or - for standard input."`
}

// Run never prints a private member.
func (c *keyShow) Run(std streams) error {
	public, err := readPublic(c.File, std.in)
	if err != nil {
		return err
	}
	var shown any = public
	if c.JWKS {
		if public, err = withKeyID(public); err != nil {
			return err
		}
		shown = map[string][]*keys.Public{"keys": {public}}
	}
	jwk, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s\n", jwk)
	fmt.Fprintf(std.err, "thumbprint %s\n", public.Thumbprint())
	return err
}

type keyThumbprint struct {
	File string `arg:"" help:"Key file, private or public, or - for standard input."`
}

// Run prints the thumbprint.
func (c *keyThumbprint) Run(std streams) error {
	public, err := readPublic(c.File, std.in)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, public.Thumbprint())
	return err
}

type keySecret struct {
	File string `arg:"" help:"File to write, readable by its owner only."`
}

// Run writes 32 random bytes in base64url.
func (c *keySecret) Run(std streams) error {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	secret := base64.RawURLEncoding.EncodeToString(b[:])
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(secret + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(secret))
	_, err = fmt.Fprintf(std.out, "secret_sha256: %s\n", hex.EncodeToString(sum[:]))
	return err
}

// maxKeyFile bounds a key file: an RSA key of 4096 bits takes a twentieth of it.
const maxKeyFile = 64 << 10

// readPublic reads the public half of a key file.
func readPublic(name string, stdin io.Reader) (*keys.Public, error) {
	text, err := readFile(name, stdin, maxKeyFile)
	if err != nil {
		return nil, err
	}
	public, err := keys.ParsePublic(text)
	if err == nil {
		return public, nil
	}
	signer, signerErr := keys.ParseSigner(text)
	if signerErr != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return signer.Public(), nil
}

// withKeyID returns the key with its thumbprint as kid, if it has none.
func withKeyID(p *keys.Public) (*keys.Public, error) {
	if p.KeyID() != "" {
		return p, nil
	}
	return keys.NewPublic(p.Key(), p.Thumbprint().String(), p.Algorithm())
}

// readFile reads a file, or standard input for -, of at most limit bytes.
func readFile(name string, stdin io.Reader, limit int64) ([]byte, error) {
	r := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, limit)
	}
	return b, nil
}
