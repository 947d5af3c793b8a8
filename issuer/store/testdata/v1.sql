CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY) STRICT;
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
INSERT INTO schema_version (version) VALUES (1);
INSERT INTO clients (id, registration, version, created, changed, deleted) VALUES ('client', '{"client_name":"Tide tables"}', 1, 1893553445678901, 1893553445678901, NULL);
INSERT INTO pushed_requests (handle, client_id, parameters, binding, created, expires, used) VALUES (X'B77F399D988CDAEFDE8935E45FE96DC70FDD914B6B18D13BB87A84030B46FA5A', 'client', '{"scope":"read"}', '{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}', 1893553445678901, 1893553505678901, NULL);
INSERT INTO interactions (id, cookie, pushed_request, request, state, version, created, expires, ended) VALUES (X'3660315A9AF3DF255D8F19AB077E4797822B41488A0E2A04BC6AF71213C23274', X'5B6C92385BA8D65AA5583CBC14A02ACEE2A7EBA09066DAD3649F1029955066C0', X'B77F399D988CDAEFDE8935E45FE96DC70FDD914B6B18D13BB87A84030B46FA5A', '{"scope":"read"}', '{"step":"login"}', 1, 1893553445678901, 1893554045678901, NULL);
INSERT INTO interactions (id, cookie, pushed_request, request, state, version, created, expires, ended) VALUES (X'A116C9ED46D6207734A43317D30FD88F52AC8634C37D904BBF4E41D865F90475', X'60FACF24151DB3F7BCF4E5063C49DA01E23708F569ECE9E295E1F2A98F47EC7E', NULL, '{"scope":"read"}', '{"step":"login"}', 1, 1893553445678901, 1893554045678901, NULL);
INSERT INTO grants (id, client_id, subject, scope, resources, authorization_details, extra, auth_time, created, expires, revoked, revoked_why) VALUES ('code-grant', 'client', 'ada', '["read","write"]', '["https://api.example"]', '[{"type":"tide"}]', '{"acr":"phr"}', 1893553385678901, 1893553445678901, 1896145445678901, NULL, '');
INSERT INTO grants (id, client_id, subject, scope, resources, authorization_details, extra, auth_time, created, expires, revoked, revoked_why) VALUES ('grant', 'client', 'ada', '["read","write"]', '["https://api.example"]', '[{"type":"tide"}]', '{"acr":"phr"}', 1893553385678901, 1893553445678901, 1896145445678901, NULL, '');
INSERT INTO codes (hash, grant_id, redirect_uri, challenge, binding, nonce, created, expires, used) VALUES (X'5694D08A2E53FFCAE0C3103E5AD6F6076ABD960EB1F8A56577040BC1028F702B', 'code-grant', 'https://client.example/cb', 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', '{"jkt":"x"}', 'n-0S6_WzA2Mj', 1893553445678901, 1893553505678901, NULL);
INSERT INTO refresh_tokens (hash, grant_id, generation, binding, created, expires, used, salt, successor, repeats, forget) VALUES (X'82F3E9C695DC6B8D1B11818D5701919E286DE8D47F7C3EB3100C485F79E57828', 'grant', 1, '{"jkt":"x"}', 1893553445678901, 1894158245678901, 1893553445678901, X'07C4C532AED2823F9726F2685EEF1EC33071000963BAEF556D4F46ABD61D6137', X'DB77FD01AF957221A4989B64B3770A83A3C56068405B9F0E9408FEAE57FD17E4', 0, 1893639845678901);
INSERT INTO refresh_tokens (hash, grant_id, generation, binding, created, expires, used, salt, successor, repeats, forget) VALUES (X'DB77FD01AF957221A4989B64B3770A83A3C56068405B9F0E9408FEAE57FD17E4', 'grant', 2, '{"jkt":"x"}', 1893553445678901, 1894158245678901, NULL, NULL, NULL, 0, 1894158245678901);
INSERT INTO revoked_tokens (jti, until) VALUES ('jti', 1893553505678901);
INSERT INTO single_uses (id, until) VALUES (X'9945664A29D7D752196AB93A2A9C77CDCB8759805C8AA370A571A6CA97300CFA', 1893553505678901);
INSERT INTO signing_keys (kid, algorithm, period, sealed, public, created, publish_from, sign_from, sign_until, publish_until) VALUES ('k0', 'ES256', 0, X'0001FF', '{"kty":"EC"}', 1893553445678901, 1893553445678901, 1893557045678901, 1893643445678901, 1893647045678901);
INSERT INTO users (id, name, display_name, disabled, version, created, changed) VALUES ('ada', 'ada@example', 'Ada Lovelace', 0, 1, 1893553445678901, 1893553445678901);
INSERT INTO passkeys (id, user_id, credential, sign_count, created, used) VALUES (X'6B6579', 'ada', '{"alg":-7}', 7, 1893553445678901, NULL);
INSERT INTO sessions (cookie, user_id, authentication, auth_time, created, expires) VALUES (X'D7E83E28A04B537E64424546B14CAF9B67BAD2F28DABCE68116E0D372319FA00', 'ada', '{"amr":["hwk"]}', 1893553444678901, 1893553445678901, 1893582245678901);
INSERT INTO invitations (hash, user_id, created, expires, used) VALUES (X'A3013C082C75EDC913598C3BAAC1AFA18F7633FE8F014896AB2F1A72FF83D8BA', 'ada', 1893553445678901, 1893557045678901, NULL);
INSERT INTO consents (user_id, client_id, scope, details, granted, until) VALUES ('ada', 'client', '["read"]', '{"why":"asked"}', 1893553445678901, 1901329445678901);
