-- A server may have several sets of models, each with engines of its own. Each set is a queue with a time of its own: one
-- that idles must not push on the time of another, or a burst would be passed by nobody. '' is the set without a name,
-- the only one that there was before.

ALTER TABLE jobs ADD COLUMN engine_model TEXT NOT NULL DEFAULT '';

CREATE TABLE queue_times (
    engine_model TEXT PRIMARY KEY NOT NULL,
    virtual_time BIGINT NOT NULL
);

INSERT INTO queue_times (engine_model, virtual_time) SELECT '', virtual_time FROM queue_time;
DROP TABLE queue_time;

ALTER TABLE turns RENAME TO turns_before;
-- Where a key's next job of a priority may start in a queue, after the one claimed last.
CREATE TABLE turns (
    engine_model TEXT NOT NULL,
    key_id TEXT NOT NULL REFERENCES keys (id),
    priority SMALLINT NOT NULL,
    claimed_end BIGINT NOT NULL,
    PRIMARY KEY (key_id, priority, engine_model)
);
INSERT INTO turns (engine_model, key_id, priority, claimed_end)
SELECT '', key_id, priority, claimed_end FROM turns_before;
DROP TABLE turns_before;

DROP INDEX jobs_due;
DROP INDEX jobs_due_by_key;
DROP INDEX jobs_last_due;
-- The next job of a queue, of all keys and of one.
CREATE INDEX jobs_due ON jobs (engine_model, due, seq)
    WHERE state = 'queued' AND ready_at IS NULL AND NOT awaits_sources;
CREATE INDEX jobs_due_by_key ON jobs (engine_model, key_id, due, seq)
    WHERE state = 'queued' AND ready_at IS NULL AND NOT awaits_sources;
-- The end of a chain, for a new job's tag. Fetching has one order for all queues; the next to fetch has an index of its
-- own, which begins with the key.
CREATE INDEX jobs_last_due ON jobs (key_id, priority, engine_model, due) WHERE state = 'queued' AND NOT awaits_sources;
CREATE INDEX jobs_last_awaiting ON jobs (priority, key_id, due) WHERE state = 'queued' AND awaits_sources;
