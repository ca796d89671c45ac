-- A catalog of format version 1, as SQLite dumps it.
PRAGMA journal_mode=WAL;
BEGIN TRANSACTION;
CREATE TABLE group_offsets (
    group_id INTEGER NOT NULL REFERENCES groups (id),
    topic_id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    committed_us INTEGER NOT NULL,
    PRIMARY KEY (group_id, topic_id, partition)
) WITHOUT ROWID;
INSERT INTO "group_offsets" VALUES(1,X'000102030405060708090A0B0C0D0E0F',1,7,1700000000000000);
CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO "groups" VALUES(1,'billing');
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('format_version',1);
CREATE TABLE producer_positions (        -- where the next producer of that name reads on
    producer_id INTEGER NOT NULL REFERENCES producers (id),
    topic_id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    complete_sequence INTEGER NOT NULL,
    PRIMARY KEY (producer_id, topic_id, partition)
) WITHOUT ROWID;
CREATE TABLE producers (
    id INTEGER PRIMARY KEY,              -- random, 62 bits; batches carry it
    name TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,              -- of the newest producer of that name; others are fenced
    opened_us INTEGER NOT NULL
);
INSERT INTO "producers" VALUES(77,'loader',3,1700000000000000);
CREATE TABLE schemas (id INTEGER PRIMARY KEY, blob BLOB NOT NULL UNIQUE);
INSERT INTO "schemas" VALUES(1,X'50535343010000000200000010010000000004000000757365720B010000000006000000616D6F756E74');
CREATE TABLE topic_schemas (             -- every schema that a topic has had
    topic_id BLOB NOT NULL,
    version INTEGER NOT NULL,            -- from 1
    schema_id INTEGER NOT NULL REFERENCES schemas (id),
    since_us INTEGER NOT NULL,
    PRIMARY KEY (topic_id, version)
) WITHOUT ROWID;
INSERT INTO "topic_schemas" VALUES(X'000102030405060708090A0B0C0D0E0F',1,1,1700000000000000);
CREATE TABLE topics (
    id BLOB PRIMARY KEY,                 -- 16 random bytes: a deleted topic's name can come back
    name TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL,
    schema_id INTEGER NOT NULL REFERENCES schemas (id),
    is_typed INTEGER NOT NULL,
    key_columns TEXT NOT NULL,           -- JSON list of names
    configs TEXT NOT NULL,               -- JSON object
    created_us INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "topics" VALUES(X'000102030405060708090A0B0C0D0E0F','orders',3,1,1,'["user"]','{"compression": "none", "segment_bytes": 268435456, "timestamp_type": "create_time"}',1700000000000000);
COMMIT;
