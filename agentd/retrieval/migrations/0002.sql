-- What cannot be seen parts no word, and the Russian letter yo is ye (`agentd.text.language.searchable`): documents that were
-- stored before are indexed anew, so that questions still find them.
CREATE TEMP TABLE folded AS
SELECT '*[' || char(0x451, 0x401, 0xad, 0x200b, 0x200c, 0x200d, 0x2060, 0xfeff) || ']*' AS pattern;
CREATE TEMP TABLE touched AS SELECT 1 AS one FROM folded WHERE
    EXISTS (SELECT 1 FROM documents WHERE coalesce(title_terms, title) GLOB pattern)
    OR EXISTS (SELECT 1 FROM chunks WHERE coalesce(heading_terms, heading) GLOB pattern)
    OR EXISTS (SELECT 1 FROM chunks WHERE coalesce(text_terms, text) GLOB pattern);

UPDATE documents SET title_terms =
    replace(replace(replace(replace(replace(replace(replace(replace(coalesce(title_terms, title),
    char(0x451), char(0x435)), char(0x401), char(0x415)), char(0xad), ''), char(0x200b), ''), char(0x200c), ''),
    char(0x200d), ''), char(0x2060), ''), char(0xfeff), '')
WHERE coalesce(title_terms, title) GLOB (SELECT pattern FROM folded);
UPDATE chunks SET heading_terms =
    replace(replace(replace(replace(replace(replace(replace(replace(coalesce(heading_terms, heading),
    char(0x451), char(0x435)), char(0x401), char(0x415)), char(0xad), ''), char(0x200b), ''), char(0x200c), ''),
    char(0x200d), ''), char(0x2060), ''), char(0xfeff), '')
WHERE coalesce(heading_terms, heading) GLOB (SELECT pattern FROM folded);
UPDATE chunks SET text_terms =
    replace(replace(replace(replace(replace(replace(replace(replace(coalesce(text_terms, text),
    char(0x451), char(0x435)), char(0x401), char(0x415)), char(0xad), ''), char(0x200b), ''), char(0x200c), ''),
    char(0x200d), ''), char(0x2060), ''), char(0xfeff), '')
WHERE coalesce(text_terms, text) GLOB (SELECT pattern FROM folded);

INSERT INTO chunks_fts (chunks_fts) SELECT 'rebuild' FROM touched;
DROP TABLE touched;
DROP TABLE folded;
