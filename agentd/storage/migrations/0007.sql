-- A conversation is a tree of turns: `parent` is the turn that a message's turn follows, "" for a first one, and
-- `aside` is 1 for messages that are not on the branch that is shown.
ALTER TABLE messages ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN aside INTEGER NOT NULL DEFAULT 0;

-- What was said until now is one branch.
WITH ended AS (SELECT session_id, turn_id, max(id) AS last FROM messages GROUP BY session_id, turn_id),
     placed AS (
         SELECT turn_id, session_id, lag(turn_id, 1, '') OVER (PARTITION BY session_id ORDER BY last) AS parent
         FROM ended
     )
UPDATE messages SET parent = placed.parent FROM placed
    WHERE placed.turn_id = messages.turn_id AND placed.session_id = messages.session_id;

DROP INDEX messages_of_session;
CREATE INDEX messages_shown ON messages (session_id, aside, id);
CREATE INDEX messages_by_parent ON messages (session_id, parent);

-- A summary tells of one branch, up to the turn `through`: each branch may have its own.
ALTER TABLE summaries RENAME TO summaries_of_before;
CREATE TABLE summaries (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    through    TEXT NOT NULL,
    text       TEXT NOT NULL,
    model      TEXT NOT NULL,
    time       TEXT NOT NULL,
    PRIMARY KEY (session_id, through)
) WITHOUT ROWID;
INSERT INTO summaries SELECT session_id, through, text, model, time FROM summaries_of_before;
DROP TABLE summaries_of_before;
