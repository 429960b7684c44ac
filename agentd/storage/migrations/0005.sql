-- Ways in for people and programs that are not on this machine. Of a secret only its SHA-256 is kept.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    way TEXT NOT NULL,
    name TEXT NOT NULL,
    principal_kind TEXT NOT NULL,
    principal_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created TEXT NOT NULL,
    used TEXT NOT NULL,
    expires TEXT NOT NULL,
    revoked TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked = '';
