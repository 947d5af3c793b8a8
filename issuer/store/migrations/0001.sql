-- Written in SQLite's dialect; dialect.go says what becomes of it on PostgreSQL. Times are microseconds since 1970 UTC,
-- hashes are SHA-256, and columns that are said to be JSON belong to the store's callers ('' where there is none).

CREATE TABLE clients (
	id           TEXT NOT NULL PRIMARY KEY,
	registration TEXT NOT NULL, -- JSON
	version      INTEGER NOT NULL,
	created      INTEGER NOT NULL,
	changed      INTEGER NOT NULL,
	deleted      INTEGER -- the row stays, so that nobody is given the id again
) STRICT;
CREATE INDEX clients_deleted ON clients (deleted);

CREATE TABLE pushed_requests (
	handle     BLOB NOT NULL PRIMARY KEY CHECK (length(handle) = 32),
	client_id  TEXT NOT NULL,
	parameters TEXT NOT NULL, -- JSON
	binding    TEXT NOT NULL, -- JSON
	created    INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	used       INTEGER
) STRICT;
CREATE INDEX pushed_requests_expires ON pushed_requests (expires);

CREATE TABLE interactions (
	id             BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
	cookie         BLOB NOT NULL CHECK (length(cookie) = 32),
	pushed_request BLOB REFERENCES pushed_requests (handle),
	request        TEXT NOT NULL, -- JSON
	state          TEXT NOT NULL, -- JSON
	version        INTEGER NOT NULL,
	created        INTEGER NOT NULL,
	expires        INTEGER NOT NULL,
	ended          INTEGER
) STRICT;
CREATE INDEX interactions_expires ON interactions (expires);
CREATE INDEX interactions_pushed_request ON interactions (pushed_request);

CREATE TABLE grants (
	id                    TEXT NOT NULL PRIMARY KEY,
	client_id             TEXT NOT NULL,
	subject               TEXT NOT NULL,
	scope                 TEXT NOT NULL, -- JSON array of strings
	resources             TEXT NOT NULL, -- JSON array of strings
	authorization_details TEXT NOT NULL, -- JSON
	extra                 TEXT NOT NULL, -- JSON
	auth_time             INTEGER,
	created               INTEGER NOT NULL,
	expires               INTEGER NOT NULL,
	revoked               INTEGER,
	revoked_why           TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX grants_client ON grants (client_id, id);
CREATE INDEX grants_subject ON grants (subject, id);
CREATE INDEX grants_expires ON grants (expires);

CREATE TABLE codes (
	hash         BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
	grant_id     TEXT NOT NULL UNIQUE REFERENCES grants (id) ON DELETE CASCADE,
	redirect_uri TEXT NOT NULL,
	challenge    TEXT NOT NULL,
	binding      TEXT NOT NULL, -- JSON
	nonce        TEXT NOT NULL,
	created      INTEGER NOT NULL,
	expires      INTEGER NOT NULL,
	used         INTEGER
) STRICT;
CREATE INDEX codes_expires ON codes (expires) WHERE used IS NULL;

-- One token a generation, so that no token can have two successors, whatever the code above does.
CREATE TABLE refresh_tokens (
	hash       BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
	grant_id   TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
	generation INTEGER NOT NULL,
	binding    TEXT NOT NULL, -- JSON
	created    INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	used       INTEGER,
	salt       BLOB CHECK (length(salt) = 32),
	successor  BLOB CHECK (length(successor) = 32),
	repeats    INTEGER NOT NULL DEFAULT 0,
	forget     INTEGER NOT NULL, -- when the row may go: expires, or sooner once it is used
	UNIQUE (grant_id, generation),
	CHECK ((used IS NULL) = (successor IS NULL)),
	CHECK ((used IS NULL) = (salt IS NULL))
) STRICT;
CREATE INDEX refresh_tokens_forget ON refresh_tokens (forget);

CREATE TABLE revoked_tokens (
	jti   TEXT NOT NULL PRIMARY KEY,
	until INTEGER NOT NULL
) STRICT;
CREATE INDEX revoked_tokens_until ON revoked_tokens (until);

CREATE TABLE single_uses (
	id    BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
	until INTEGER NOT NULL
) STRICT;
CREATE INDEX single_uses_until ON single_uses (until);

CREATE TABLE signing_keys (
	kid           TEXT NOT NULL PRIMARY KEY,
	algorithm     TEXT NOT NULL,
	period        INTEGER NOT NULL,
	sealed        BLOB NOT NULL,
	public        TEXT NOT NULL, -- JSON
	created       INTEGER NOT NULL,
	publish_from  INTEGER NOT NULL,
	sign_from     INTEGER NOT NULL,
	sign_until    INTEGER NOT NULL,
	publish_until INTEGER NOT NULL,
	UNIQUE (algorithm, period)
) STRICT;

CREATE TABLE users (
	id           TEXT NOT NULL PRIMARY KEY,
	name         TEXT NOT NULL UNIQUE,
	display_name TEXT NOT NULL,
	disabled     INTEGER NOT NULL CHECK (disabled IN (0, 1)),
	version      INTEGER NOT NULL,
	created      INTEGER NOT NULL,
	changed      INTEGER NOT NULL
) STRICT;

CREATE TABLE passkeys (
	id         BLOB NOT NULL PRIMARY KEY,
	user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	credential TEXT NOT NULL, -- JSON
	sign_count INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	used       INTEGER
) STRICT;
CREATE INDEX passkeys_user ON passkeys (user_id);

CREATE TABLE sessions (
	cookie         BLOB NOT NULL PRIMARY KEY CHECK (length(cookie) = 32),
	user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	authentication TEXT NOT NULL, -- JSON
	auth_time      INTEGER NOT NULL,
	created        INTEGER NOT NULL,
	expires        INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE invitations (
	hash    BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	used    INTEGER
) STRICT;
CREATE INDEX invitations_user ON invitations (user_id);
CREATE INDEX invitations_expires ON invitations (expires);

CREATE TABLE consents (
	user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	client_id TEXT NOT NULL,
	scope     TEXT NOT NULL, -- JSON array of strings
	details   TEXT NOT NULL, -- JSON
	granted   INTEGER NOT NULL,
	until     INTEGER NOT NULL,
	PRIMARY KEY (user_id, client_id)
) STRICT;
CREATE INDEX consents_until ON consents (until);
