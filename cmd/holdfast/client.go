package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast/internal/config"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/store"
)

// issuerDatabase is the database that commands work on beside running issuers.
type issuerDatabase struct {
	Config string `short:"c" env:"HOLDFAST_CONFIG" placeholder:"FILE" help:"Configuration file of the issuer."`
}

// open opens the issuer's database.
func (c *issuerDatabase) open(ctx context.Context) (*config.File, *store.Store, error) {
	file, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		return nil, nil, usageError{err}
	}
	s, err := store.Open(ctx, file.Issuer.Database)
	if err != nil {
		return nil, nil, fmt.Errorf("issuer.database: %w", err)
	}
	return file, s, nil
}

type clientCommand struct {
	issuerDatabase

	Add    clientAdd    `cmd:"" help:"Register a client, or replace one."`
	List   clientList   `cmd:"" help:"List the registered clients."`
	Show   clientShow   `cmd:"" help:"Print a client's registration."`
	Remove clientRemove `cmd:"" help:"Remove a client."`
}

// Help implements kong.HelpProvider.
func (*clientCommand) Help() string {
	return "Works on issuer.database. Running issuers follow within half a minute. Clients in the configuration file are not concerned, and hide registered ones of the same id."
}

type clientAdd struct {
	File      string `arg:"" help:"The registration, JSON (docs/clients.md); - for standard input."`
	NewSecret bool   `help:"Make a secret for the client, and print it: only its hash is kept."`
	Replace   bool   `help:"Replace the client of the same id. Without --new-secret, the file must have the hash of its secret."`
}

// maxRegistration is more than any registration that the issuer takes.
const maxRegistration = 1 << 20

// Run registers the client.
func (c *clientAdd) Run(ctx context.Context, std streams, of *clientCommand) (err error) {
	text, err := readFile(c.File, std.in, maxRegistration)
	if err != nil {
		return err
	}
	client, err := issuer.ParseClient(text)
	if err != nil {
		return err
	}
	secret := ""
	if c.NewSecret {
		if client.SecretHash != (issuer.SecretHash{}) {
			return usagef("--new-secret: the registration has a client_secret_sha256")
		}
		if secret, client.SecretHash, err = newClientSecret(); err != nil {
			return err
		}
	}
	row := store.Client{ID: client.ID}
	if row.Registration, err = client.Registration(); err != nil {
		return err
	}
	file, s, err := of.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if slices.ContainsFunc(file.Issuer.Clients, func(c config.Client) bool { return c.ID == client.ID }) {
		return fmt.Errorf("client %s: is in the configuration, which would hide this one", client.ID)
	}
	if err := c.put(ctx, s, row); err != nil {
		return err
	}
	return c.tell(std.out, client.ID, secret)
}

func (c *clientAdd) put(ctx context.Context, s *store.Store, row store.Client) error {
	if !c.Replace {
		err := s.CreateClient(ctx, time.Now(), row)
		if hasReason(err, store.Conflict) {
			return fmt.Errorf("client %s: the id is taken, or was until lately (see --replace)", row.ID)
		}
		return err
	}
	old, err := findClient(ctx, s, row.ID)
	if err != nil {
		return err
	}
	row.Version = old.Version
	return s.UpdateClient(ctx, time.Now(), row)
}

// tell prints the id, and the secret if one was made, by the names of RFC 7591, section 3.2.1.
func (c *clientAdd) tell(out io.Writer, id, secret string) error {
	return printJSON(out, struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret,omitempty"`
	}{id, secret})
}

func newClientSecret() (string, issuer.SecretHash, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", issuer.SecretHash{}, err
	}
	secret := base64.RawURLEncoding.EncodeToString(b[:])
	hash, err := issuer.HashSecret(secret)
	return secret, hash, err
}

type clientList struct{}

// Run prints one client a line: its id, how it authenticates, its name.
func (*clientList) Run(ctx context.Context, std streams, of *clientCommand) (err error) {
	_, s, err := of.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return eachRow(ctx, s.Clients, func(row store.Client) (string, error) {
		client, err := issuer.ParseClient(row.Registration)
		if err != nil {
			return "", fmt.Errorf("client %s: %w", row.ID, err)
		}
		// Names may be any text: quoted, none can draw on a terminal.
		_, err = fmt.Fprintf(std.out, "%s\t%s\t%q\n", row.ID, client.AuthMethod, cmp.Or(client.Name, client.ID))
		return row.ID, err
	})
}

// eachRow calls do for each row of a list that comes in pages. It returns the row's id, which the next page begins after.
func eachRow[T any](ctx context.Context, list func(ctx context.Context, after string, limit int) ([]T, error), do func(T) (string, error)) error {
	const page = 1000
	for after := ""; ; {
		rows, err := list(ctx, after, page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if after, err = do(row); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
	}
}

type clientShow struct {
	ID string `arg:"" help:"The client_id."`
}

// Run prints the registration in the form that add takes.
func (c *clientShow) Run(ctx context.Context, std streams, of *clientCommand) (err error) {
	_, s, err := of.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	row, err := findClient(ctx, s, c.ID)
	if err != nil {
		return err
	}
	return printJSON(std.out, row.Registration)
}

type clientRemove struct {
	ID     string `arg:"" help:"The client_id. It stays taken for 30 days."`
	Revoke bool   `help:"Revoke what users granted it, too: its refresh tokens, and its access tokens where resource servers introspect."`
}

// Run removes the client first, so that no grant is made while they are revoked.
func (c *clientRemove) Run(ctx context.Context, std streams, of *clientCommand) (err error) {
	_, s, err := of.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	row, err := findClient(ctx, s, c.ID)
	if err != nil {
		return err
	}
	if err := s.DeleteClient(ctx, time.Now(), row.ID, row.Version); err != nil {
		return err
	}
	if !c.Revoke {
		_, err = fmt.Fprintf(std.out, "removed %s\n", row.ID)
		return err
	}
	const batch = 1000
	total := 0
	for n := batch; n == batch; total += n {
		if n, err = s.RevokeGrants(ctx, time.Now(), store.Parties{ClientID: row.ID}, "client removed", batch); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(std.out, "removed %s, revoked %d grants\n", row.ID, total)
	return err
}

// findClient says so if there is no such client.
func findClient(ctx context.Context, s *store.Store, id string) (store.Client, error) {
	row, err := s.Client(ctx, id)
	if hasReason(err, store.NotFound) {
		return row, fmt.Errorf("client %s: not registered", id)
	}
	return row, err
}

func hasReason(err error, reason store.Reason) bool {
	e, ok := errors.AsType[*store.Error](err)
	return ok && e.Reason == reason
}

func printJSON(out io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}
