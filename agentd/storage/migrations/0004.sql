-- What of an answer's text agentd itself said: its end, or all of it. It goes into no prompt.
ALTER TABLE messages ADD COLUMN notice TEXT NOT NULL DEFAULT '';

-- Answers of before, by their wording.
UPDATE messages SET notice = text WHERE role = 'assistant' AND (
    text LIKE 'The documents do not say. Ask in other words, or add documents that do%'
    OR text LIKE 'The documents do not say: there are none yet. Add some%'
    OR text LIKE 'Neither the text given nor the documents say. Ask with words%'
    OR text LIKE 'There are no documents of yours yet, and nobody is answered from those of somebody else.%'
    OR text LIKE 'The documents of this agentd are its owner''s, and nobody else is answered from them.%'
    OR text LIKE 'This is agentd without a language model: it cannot chat, %'
    OR text LIKE 'The language model cannot answer now; until it can, %'
    OR turn_id IN (SELECT turn_id FROM turns WHERE state IN ('error', 'notice'))
);
UPDATE messages SET notice = '(The model began to repeat itself and was stopped.)'
    WHERE role = 'assistant' AND text LIKE '%' || char(10) || '(The model began to repeat itself and was stopped.)';
UPDATE messages SET notice = '(The answer reached its length limit.)'
    WHERE role = 'assistant' AND text LIKE '%' || char(10) || '(The answer reached its length limit.)';
