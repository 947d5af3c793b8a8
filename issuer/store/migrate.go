package store

import (
	"context"
	"embed"
	"fmt"
	"time"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the text of each migration: the first takes an empty database to version 1, and so on. One that was
// released is never changed.
func migrations() ([]string, error) {
	entries, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(entries))
	for i, e := range entries {
		if want := fmt.Sprintf("%04d.sql", i+1); e.Name() != want {
			return nil, fmt.Errorf("store: migration %s stands where %s belongs", e.Name(), want)
		}
		text, err := migrationFiles.ReadFile("migrations/" + e.Name())
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	return texts, nil
}

// maxMigration bounds the migration of a database, together with the time that we wait for another node's.
const maxMigration = time.Hour

// migrate brings the database to the version of the last of texts, or refuses one that is beyond it. All migrations are
// one transaction: a node that dies on the way leaves what was there before.
func (s *Store) migrate(ctx context.Context, texts []string) error {
	// A role without the right to change the schema can run on one that is up to date.
	version, err := schemaVersion(ctx, queries{s.dialect, s.readers})
	if err != nil {
		return s.translate(ctx, "schema", err)
	}
	if version == len(texts) {
		return nil
	}
	err = s.attempt(ctx, maxMigration, func(ctx context.Context, q queries) error {
		if q.lockSchema != "" {
			if _, err := q.exec(ctx, q.lockSchema); err != nil {
				return err
			}
		}
		version, err := schemaVersion(ctx, q) // read again, now that nobody else changes it
		if err != nil {
			return err
		}
		if version > len(texts) {
			return refused(Newer, "schema")
		}
		return q.apply(ctx, version, texts)
	})
	return s.translate(ctx, "schema", err)
}

// schemaVersion is 0 for an empty database.
func schemaVersion(ctx context.Context, q queries) (version int, err error) {
	var tables int
	if err := q.row(ctx, q.hasSchema).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = q.row(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version)
	return version, err
}

// apply runs the migrations after version.
func (q queries) apply(ctx context.Context, version int, texts []string) error {
	if version == 0 {
		const table = "CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY) STRICT;"
		if _, err := q.exec(ctx, q.migration(table)); err != nil {
			return err
		}
	}
	for version < len(texts) {
		if _, err := q.exec(ctx, q.migration(texts[version])); err != nil {
			return fmt.Errorf("migration %d: %w", version+1, err)
		}
		version++
		if _, err := q.exec(ctx, "INSERT INTO schema_version (version) VALUES ($1)", version); err != nil {
			return err
		}
	}
	return nil
}
