-- What was said earlier in a session, for prompts that have no room for it. It tells of everything up to the turn
-- `through`; the messages themselves stay.
CREATE TABLE summaries (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    through    TEXT NOT NULL,
    text       TEXT NOT NULL,
    model      TEXT NOT NULL,
    time       TEXT NOT NULL
) WITHOUT ROWID;
