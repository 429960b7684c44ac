-- What somebody thinks of an answer; the newest opinion of a principal replaces its earlier one.
CREATE TABLE marks (
    turn_id        TEXT NOT NULL,
    principal_kind TEXT NOT NULL,
    principal_id   TEXT NOT NULL,
    session_id     TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    mark           TEXT NOT NULL CHECK (mark IN ('good', 'bad')),
    note           TEXT NOT NULL DEFAULT '',
    time           TEXT NOT NULL,
    PRIMARY KEY (turn_id, principal_kind, principal_id)
) WITHOUT ROWID;

CREATE INDEX marks_of_session ON marks (session_id);
