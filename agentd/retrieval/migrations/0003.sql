-- Documents up to this id were cut into chunks in an earlier way, so they are cut anew. A later change of that way adds a
-- migration that sets the id again.
CREATE TABLE cut_earlier (up_to INTEGER NOT NULL);
INSERT INTO cut_earlier SELECT coalesce(max(id), 0) FROM documents;
