-- One conversation of one principal. `newest` is the id of its newest message, 0 while it has none: it orders sessions
-- also when the clock goes back.
CREATE TABLE sessions (
    id             TEXT PRIMARY KEY,
    principal_kind TEXT NOT NULL,
    principal_id   TEXT NOT NULL,
    name           TEXT NOT NULL DEFAULT '',
    title          TEXT NOT NULL DEFAULT '',
    mode           TEXT NOT NULL DEFAULT 'queue',
    newest         INTEGER NOT NULL DEFAULT 0,
    created        TEXT NOT NULL,
    updated        TEXT NOT NULL
) WITHOUT ROWID;

CREATE UNIQUE INDEX sessions_by_name ON sessions (principal_kind, principal_id, name) WHERE name != '';
CREATE INDEX sessions_by_principal ON sessions (principal_kind, principal_id, newest);
CREATE INDEX sessions_by_newest ON sessions (newest);

CREATE TABLE messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id  TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    turn_id     TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    text        TEXT NOT NULL,
    citations   TEXT NOT NULL DEFAULT '[]',
    time        TEXT NOT NULL,
    interrupted INTEGER NOT NULL DEFAULT 0,
    unread      INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX messages_of_session ON messages (session_id, id);
CREATE INDEX messages_of_turn ON messages (turn_id);
CREATE INDEX messages_unread ON messages (session_id) WHERE unread = 1;

-- How each turn ended. It refers to no session, because it outlives it: this row is what makes a repeated offer of the
-- same message harmless, and what is published again after a crash.
CREATE TABLE turns (
    turn_id        TEXT PRIMARY KEY,
    dedupe_key     TEXT UNIQUE,
    content_digest TEXT NOT NULL,
    session_id     TEXT NOT NULL,
    state          TEXT NOT NULL,
    outbound_id    TEXT NOT NULL,
    outbound_json  TEXT NOT NULL,
    created        TEXT NOT NULL,
    ended          TEXT NOT NULL
);

CREATE INDEX turns_by_outbound ON turns (outbound_id);
CREATE INDEX turns_by_end ON turns (ended);

CREATE TABLE channel_state (
    channel TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (channel, key)
) WITHOUT ROWID;
