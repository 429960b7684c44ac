BEGIN TRANSACTION;
CREATE TABLE channel_state (
    channel TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (channel, key)
) WITHOUT ROWID;
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
INSERT INTO "messages" VALUES(1,'18ecb3a0782bfe7c-7eb9cf9d','18ecb3a078aeace2-df0d0091','user','What was decided already?','[]','2026-11-30T03:04:13.214925+00:00',0,0);
INSERT INTO "messages" VALUES(2,'18ecb3a0782bfe7c-7eb9cf9d','18ecb3a078aeace2-df0d0091','assistant','This answer was recorded.','[]','2026-11-30T03:04:13.336593+00:00',0,0);
INSERT INTO "messages" VALUES(3,'18ecb3a082a2fa09-17d6672e','18ecb3a08580e00d-3bd3c21a','user','A question from answered','[]','2026-11-30T03:04:13.430014+00:00',0,0);
INSERT INTO "messages" VALUES(4,'18ecb3a082a2fa09-17d6672e','18ecb3a08580e00d-3bd3c21a','assistant','An answer [1].','[{"n":1,"title":"Durability","source":"/docs/durability.md","heading":"Crash","start":0,"end":27}]','2026-11-30T03:04:13.461068+00:00',0,0);
INSERT INTO "messages" VALUES(5,'18ecb3a089599d7d-5e6c999a','18ecb3a08972b864-801e1ba2','user','A question from halfway','[]','2026-11-30T03:04:13.496160+00:00',0,0);
INSERT INTO "messages" VALUES(6,'18ecb3a089599d7d-5e6c999a','18ecb3a08972b864-801e1ba2','assistant','Part one, part two.','[]','2026-11-30T03:04:13.514091+00:00',0,0);
INSERT INTO "messages" VALUES(7,'18ecb3a096d89c9c-0e9d30a9','18ecb3a097d0ca34-3cd9ba1d','user','A question from deferred','[]','2026-11-30T03:04:13.737248+00:00',0,0);
INSERT INTO "messages" VALUES(8,'18ecb3a096d89c9c-0e9d30a9','18ecb3a097d0ca34-3cd9ba1d','assistant','An answer that had to wait.','[]','2026-11-30T03:04:13.800757+00:00',0,0);
INSERT INTO "messages" VALUES(9,'18ecb3a0ad5e7a81-f63c7eb9','18ecb3a0ad8be22f-cb04f75c','user','A question from buried','[]','2026-11-30T03:04:14.101804+00:00',0,0);
INSERT INTO "messages" VALUES(10,'18ecb3a0ad5e7a81-f63c7eb9','18ecb3a0ad8be22f-cb04f75c','assistant','An answer that nobody took.','[]','2026-11-30T03:04:14.109062+00:00',0,0);
INSERT INTO "messages" VALUES(11,'18ecb3a0b47765f8-d30081ca','18ecb3a0b60d960d-9bf1d35f','user','A question that was put aside.','[]','2026-11-30T03:04:14.244537+00:00',0,0);
INSERT INTO "messages" VALUES(12,'18ecb3a0b47765f8-d30081ca','18ecb3a0b60d960d-9bf1d35f','assistant','This message was put aside.','[]','2026-11-30T03:04:14.317909+00:00',0,0);
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
INSERT INTO "sessions" VALUES('18ecb3a06bc29d8f-6ddacaa7','chat','old:waiting','main','','queue',0,'2026-11-30T03:04:12.998092+00:00','2026-11-30T03:04:12.998092+00:00');
INSERT INTO "sessions" VALUES('18ecb3a06caed1c1-4caa9da0','chat','old:started','main','','queue',0,'2026-11-30T03:04:13.014107+00:00','2026-11-30T03:04:13.014107+00:00');
INSERT INTO "sessions" VALUES('18ecb3a0782bfe7c-7eb9cf9d','chat','old:recorded','main','What was decided already?','queue',2,'2026-11-30T03:04:13.206339+00:00','2026-11-30T03:04:13.336847+00:00');
INSERT INTO "sessions" VALUES('18ecb3a082a2fa09-17d6672e','chat','old:answered','main','A question from answered','queue',4,'2026-11-30T03:04:13.381919+00:00','2026-11-30T03:04:13.461319+00:00');
INSERT INTO "sessions" VALUES('18ecb3a089599d7d-5e6c999a','chat','old:halfway','main','A question from halfway','queue',6,'2026-11-30T03:04:13.494502+00:00','2026-11-30T03:04:13.514365+00:00');
INSERT INTO "sessions" VALUES('18ecb3a096d89c9c-0e9d30a9','chat','old:deferred','main','A question from deferred','queue',8,'2026-11-30T03:04:13.720932+00:00','2026-11-30T03:04:13.802794+00:00');
INSERT INTO "sessions" VALUES('18ecb3a0a3c586b4-48764694','chat','old:parked','main','','queue',0,'2026-11-30T03:04:13.938002+00:00','2026-11-30T03:04:13.938002+00:00');
INSERT INTO "sessions" VALUES('18ecb3a0ad5e7a81-f63c7eb9','chat','old:buried','main','A question from buried','queue',10,'2026-11-30T03:04:14.098796+00:00','2026-11-30T03:04:14.109299+00:00');
INSERT INTO "sessions" VALUES('18ecb3a0b47765f8-d30081ca','chat','old:poison','main','A question that was put aside.','queue',12,'2026-11-30T03:04:14.217884+00:00','2026-11-30T03:04:14.318162+00:00');
CREATE TABLE summaries (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    through    TEXT NOT NULL,
    text       TEXT NOT NULL,
    model      TEXT NOT NULL,
    time       TEXT NOT NULL
) WITHOUT ROWID;
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
INSERT INTO "turns" VALUES('18ecb3a078aeace2-df0d0091','73b9393247d91ebfea33115e4c2904e6','76d402ba42d05f9edec32f4db695fcae','18ecb3a0782bfe7c-7eb9cf9d','answer','18ecb3a07ff00a6b-b907b728','{"id":"18ecb3a07ff00a6b-b907b728","time":"2026-11-30T03:04:13.336593Z","turn_id":"18ecb3a078aeace2-df0d0091","session_id":"18ecb3a0782bfe7c-7eb9cf9d","type":"outbound","principal":{"kind":"chat","id":"old:recorded"},"address":{"channel":"old","account":"bot","chat":"recorded","thread":""},"answers":["18ecb3a078aeace2-df0d0091"],"in_reply_to":"m-recorded","outcome":"answer","text":"This answer was recorded.","citations":[],"model":"counting","error_code":"","usage":{"prompt_tokens":7,"cached_tokens":0,"completion_tokens":0,"read_seconds":0.0,"write_seconds":0.0,"first_text_seconds":0.0,"seconds":0.5}}','2026-11-30T03:04:13.214925+00:00','2026-11-30T03:04:13.336847+00:00');
INSERT INTO "turns" VALUES('18ecb3a08580e00d-3bd3c21a','fbf172bbd30ce0f280ac6877d6acdc7a','313b7217ce39736ab59697eb0810a968','18ecb3a082a2fa09-17d6672e','answer','18ecb3a0875b6d99-02b0d3ec','{"id":"18ecb3a0875b6d99-02b0d3ec","time":"2026-11-30T03:04:13.461068Z","turn_id":"18ecb3a08580e00d-3bd3c21a","session_id":"18ecb3a082a2fa09-17d6672e","type":"outbound","principal":{"kind":"chat","id":"old:answered"},"address":{"channel":"old","account":"bot","chat":"answered","thread":""},"answers":["18ecb3a08580e00d-3bd3c21a"],"in_reply_to":"m-answered","outcome":"answer","text":"An answer [1].","citations":[{"n":1,"title":"Durability","source":"/docs/durability.md","heading":"Crash","start":0,"end":27}],"model":"counting","error_code":"","usage":null}','2026-11-30T03:04:13.430014+00:00','2026-11-30T03:04:13.461319+00:00');
INSERT INTO "turns" VALUES('18ecb3a08972b864-801e1ba2','e9e4e333c26112f9ae5bbef47864454c','ff0594366c42e80b8c74725748b5f8ca','18ecb3a089599d7d-5e6c999a','answer','18ecb3a08a8463e6-7faee124','{"id":"18ecb3a08a8463e6-7faee124","time":"2026-11-30T03:04:13.514091Z","turn_id":"18ecb3a08972b864-801e1ba2","session_id":"18ecb3a089599d7d-5e6c999a","type":"outbound","principal":{"kind":"chat","id":"old:halfway"},"address":{"channel":"old","account":"bot","chat":"halfway","thread":""},"answers":["18ecb3a08972b864-801e1ba2"],"in_reply_to":"m-halfway","outcome":"answer","text":"Part one, part two.","citations":[],"model":"counting","error_code":"","usage":null}','2026-11-30T03:04:13.496160+00:00','2026-11-30T03:04:13.514365+00:00');
INSERT INTO "turns" VALUES('18ecb3a097d0ca34-3cd9ba1d','7f3af0731f3753b47297995d0918f153','cadcd87dc207be22fb91cd03847cbec2','18ecb3a096d89c9c-0e9d30a9','answer','18ecb3a09b987284-3571359b','{"id":"18ecb3a09b987284-3571359b","time":"2026-11-30T03:04:13.800757Z","turn_id":"18ecb3a097d0ca34-3cd9ba1d","session_id":"18ecb3a096d89c9c-0e9d30a9","type":"outbound","principal":{"kind":"chat","id":"old:deferred"},"address":{"channel":"old","account":"bot","chat":"deferred","thread":""},"answers":["18ecb3a097d0ca34-3cd9ba1d"],"in_reply_to":"m-deferred","outcome":"answer","text":"An answer that had to wait.","citations":[],"model":"counting","error_code":"","usage":null}','2026-11-30T03:04:13.737248+00:00','2026-11-30T03:04:13.802794+00:00');
INSERT INTO "turns" VALUES('18ecb3a0ad8be22f-cb04f75c','119b7626bc76d03068eed8bc70c93b86','2247704693807b71c2858c1e28c221f1','18ecb3a0ad5e7a81-f63c7eb9','answer','18ecb3a0adfb0aa6-d3d939ed','{"id":"18ecb3a0adfb0aa6-d3d939ed","time":"2026-11-30T03:04:14.109062Z","turn_id":"18ecb3a0ad8be22f-cb04f75c","session_id":"18ecb3a0ad5e7a81-f63c7eb9","type":"outbound","principal":{"kind":"chat","id":"old:buried"},"address":{"channel":"old","account":"bot","chat":"buried","thread":""},"answers":["18ecb3a0ad8be22f-cb04f75c"],"in_reply_to":"m-buried","outcome":"answer","text":"An answer that nobody took.","citations":[],"model":"counting","error_code":"","usage":null}','2026-11-30T03:04:14.101804+00:00','2026-11-30T03:04:14.109299+00:00');
INSERT INTO "turns" VALUES('18ecb3a0b60d960d-9bf1d35f','faff89f9cdbbde89a39acd62c87041ac','8d27398c56c34498ddab0ace99979208','18ecb3a0b47765f8-d30081ca','error','18ecb3a0ba6dc2f0-b50fb8af','{"id":"18ecb3a0ba6dc2f0-b50fb8af","time":"2026-11-30T03:04:14.317909Z","turn_id":"18ecb3a0b60d960d-9bf1d35f","session_id":"18ecb3a0b47765f8-d30081ca","type":"outbound","principal":{"kind":"chat","id":"old:poison"},"address":{"channel":"old","account":"bot","chat":"poison","thread":""},"answers":[],"in_reply_to":"m-poison","outcome":"error","text":"This message was put aside.","citations":[],"model":"counting","error_code":"poison","usage":null}','2026-11-30T03:04:14.244537+00:00','2026-11-30T03:04:14.318162+00:00');
CREATE UNIQUE INDEX sessions_by_name ON sessions (principal_kind, principal_id, name) WHERE name != '';
CREATE INDEX sessions_by_principal ON sessions (principal_kind, principal_id, newest);
CREATE INDEX sessions_by_newest ON sessions (newest);
CREATE INDEX messages_of_session ON messages (session_id, id);
CREATE INDEX messages_of_turn ON messages (turn_id);
CREATE INDEX messages_unread ON messages (session_id) WHERE unread = 1;
CREATE INDEX turns_by_outbound ON turns (outbound_id);
CREATE INDEX turns_by_end ON turns (ended);
CREATE INDEX marks_of_session ON marks (session_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('messages',12);
COMMIT;
PRAGMA user_version = 3;
