package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Client is a client that was registered at run time (RFC 7591), by itself or by an administrator.
type Client struct {
	ID           string          // client_id
	Registration json.RawMessage // JSON object of the caller's: metadata, hashes of secrets
	Version      int64           // set by the store: 1, and one more with every change
	Created      time.Time       // set by the store
	Changed      time.Time       // set by the store
}

const clientColumns = "id, registration, version, created, changed"

func (c *Client) columns() []any {
	return []any{&c.ID, scanJSON{&c.Registration}, &c.Version, scanMicros{&c.Created}, scanMicros{&c.Changed}}
}

func (c *Client) check(now time.Time) error {
	k := checks{what: "client"}
	k.id("ID", c.ID)
	k.object("Registration", c.Registration)
	k.require(len(c.Registration) > 0, "Registration")
	k.time("now", now)
	return k.err
}

// CreateClient registers a client. Conflict: the id is taken, or belonged to a client that was deleted.
func (s *Store) CreateClient(ctx context.Context, now time.Time, c Client) error {
	if err := c.check(now); err != nil {
		return err
	}
	return s.update(ctx, "client", func(ctx context.Context, q queries) error {
		_, err := q.exec(ctx, "INSERT INTO clients ("+clientColumns+") VALUES ($1, $2, 1, $3, $3)",
			c.ID, string(c.Registration), micros(now))
		return err
	})
}

// Client returns a registered client, or NotFound.
func (s *Store) Client(ctx context.Context, id string) (Client, error) {
	var c Client
	err := s.view(ctx, "client", func(ctx context.Context, q queries) error {
		return q.row(ctx, "SELECT "+clientColumns+" FROM clients WHERE id = $1 AND deleted IS NULL", id).Scan(c.columns()...)
	})
	return c, err
}

// Clients returns up to limit (at most 1000) clients whose id is greater than after, in the order of their ids' bytes.
func (s *Store) Clients(ctx context.Context, after string, limit int) ([]Client, error) {
	k := checks{what: "client"}
	k.text("after", after)
	if k.limit(limit); k.err != nil {
		return nil, k.err
	}
	var list []Client
	err := s.view(ctx, "client", func(ctx context.Context, q queries) error {
		return q.list(ctx, func(rows *sql.Rows) error {
			var c Client
			err := rows.Scan(c.columns()...)
			list = append(list, c)
			return err
		}, "SELECT "+clientColumns+" FROM clients WHERE id > $1 AND deleted IS NULL ORDER BY id LIMIT $2", after, limit)
	})
	return list, err
}

// UpdateClient replaces a client's registration if its Version is still c.Version. Conflict: it was changed or deleted
// since c was read.
func (s *Store) UpdateClient(ctx context.Context, now time.Time, c Client) error {
	if err := c.check(now); err != nil {
		return err
	}
	return s.update(ctx, "client", func(ctx context.Context, q queries) error {
		return q.must(ctx, refused(Conflict, "client"), `UPDATE clients SET registration = $1, version = version + 1,
			changed = $2 WHERE id = $3 AND version = $4 AND deleted IS NULL`,
			string(c.Registration), micros(now), c.ID, c.Version)
	})
}

// DeleteClient deletes a client if its Version is still version; otherwise Conflict. Its id stays taken for 30 days, and
// for as long as a grant of it is stored: tokens that name it may still be about. Its grants are not revoked by this:
// see [Store.RevokeGrants].
func (s *Store) DeleteClient(ctx context.Context, now time.Time, id string, version int64) error {
	k := checks{what: "client"}
	k.id("ID", id)
	if k.time("now", now); k.err != nil {
		return k.err
	}
	return s.update(ctx, "client", func(ctx context.Context, q queries) error {
		return q.must(ctx, refused(Conflict, "client"), `UPDATE clients SET registration = '', version = version + 1,
			changed = $1, deleted = $1 WHERE id = $2 AND version = $3 AND deleted IS NULL`, micros(now), id, version)
	})
}
