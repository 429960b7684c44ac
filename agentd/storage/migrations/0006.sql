-- The channel that opened a session for one question; '' if the session is in lists, as it is once it is continued.
ALTER TABLE sessions ADD COLUMN unlisted TEXT NOT NULL DEFAULT '';

CREATE INDEX sessions_unlisted ON sessions (id) WHERE unlisted != '';
CREATE INDEX turns_of_session ON turns (session_id);
