-- A document is replaced as a whole, never updated; ids are never given twice, so that an old citation cannot point into
-- another document. `text` is last: reading the rest of a row does not touch its pages.
CREATE TABLE documents (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    principal_kind TEXT NOT NULL,
    principal_id   TEXT NOT NULL,
    source         TEXT NOT NULL,
    title          TEXT NOT NULL,
    title_terms    TEXT,
    content_hash   TEXT NOT NULL,
    metadata       TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
    bytes          INTEGER NOT NULL,
    modified       TEXT NOT NULL,
    added          TEXT NOT NULL,
    text           TEXT NOT NULL,
    UNIQUE (principal_kind, principal_id, source)
);

-- `text` is characters `start` to `end` of the document's text; `n` counts the chunks of a document from 0.
-- The columns `..._terms` hold what is indexed where that differs from what is shown (text without blanks).
CREATE TABLE chunks (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id   INTEGER NOT NULL REFERENCES documents (id),
    n             INTEGER NOT NULL,
    heading       TEXT NOT NULL,
    heading_terms TEXT,
    start         INTEGER NOT NULL,
    "end"         INTEGER NOT NULL,
    text          TEXT NOT NULL,
    text_terms    TEXT,
    UNIQUE (document_id, n)
);

CREATE VIEW chunks_indexed AS
SELECT
    chunks.id AS id,
    coalesce(documents.title_terms, documents.title) AS title,
    coalesce(chunks.heading_terms, chunks.heading) AS heading,
    coalesce(chunks.text_terms, chunks.text) AS text
FROM chunks JOIN documents ON documents.id = chunks.document_id;

-- The index holds no text of its own: https://www.sqlite.org/fts5.html#external_content_tables. The triggers below are
-- the only way in and out, so it cannot drift from the chunks.
CREATE VIRTUAL TABLE chunks_fts USING fts5 (
    title, heading, text,
    content = 'chunks_indexed', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('rank', 'bm25(2.0, 1.0, 1.0)');

-- How many chunks hold a word, for choosing the rarest of a long question.
CREATE VIRTUAL TABLE chunks_vocabulary USING fts5vocab (chunks_fts, 'row');

CREATE TRIGGER chunks_added AFTER INSERT ON chunks BEGIN
    INSERT INTO chunks_fts (rowid, title, heading, text)
    SELECT id, title, heading, text FROM chunks_indexed WHERE id = new.id;
END;

CREATE TRIGGER chunks_removed BEFORE DELETE ON chunks BEGIN
    INSERT INTO chunks_fts (chunks_fts, rowid, title, heading, text)
    SELECT 'delete', id, title, heading, text FROM chunks_indexed WHERE id = old.id;
END;

CREATE TRIGGER documents_removed BEFORE DELETE ON documents BEGIN
    DELETE FROM chunks WHERE document_id = old.id;
END;
