-- A job whose pictures lie elsewhere waits for them: queued, but not to be claimed. `fetches` is the fencing token of
-- whoever fetches, `fetch_until` the end of that lease; neither has to do with a worker's claim.

ALTER TABLE jobs ADD COLUMN awaits_sources BOOLEAN NOT NULL DEFAULT FALSE
    CHECK (NOT awaits_sources OR state = 'queued');
ALTER TABLE jobs ADD COLUMN fetches BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN fetch_until BIGINT CHECK (fetch_until IS NULL OR awaits_sources);

-- The order of the queue counts in work done, see `order.rs`. `due` keeps its unit: what was spaced by a minute is now
-- spaced by the work of a usual job. Time starts at what would have been claimed next, so that jobs of before keep
-- their places and new ones stand among them. Running jobs count: they may be put back.

ALTER TABLE jobs ADD COLUMN work BIGINT NOT NULL DEFAULT 60000;

CREATE TABLE queue_time (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    virtual_time BIGINT NOT NULL
);

INSERT INTO queue_time (id, virtual_time)
SELECT 1, COALESCE(MIN(due), 0) FROM jobs WHERE state IN ('queued', 'running');

-- Where a key's next job of a priority may start, after the one claimed last.
CREATE TABLE turns (
    key_id TEXT NOT NULL REFERENCES keys (id),
    priority SMALLINT NOT NULL,
    claimed_end BIGINT NOT NULL,
    PRIMARY KEY (key_id, priority)
);

-- Workers do not fetch any more, so what was accepted with addresses waits for its pictures, also what was running: the
-- worker that ran it is gone or will be refused.
UPDATE jobs SET state = 'queued', awaits_sources = TRUE, worker = NULL, lease_until = NULL
WHERE state IN ('queued', 'running') AND NOT cancel_requested AND seq IN (
    SELECT job_inputs.seq FROM job_inputs, json_each(job_inputs.spec, '$.sources') AS source
    WHERE json_extract(source.value, '$.url') IS NOT NULL
);

DROP INDEX jobs_due;
DROP INDEX jobs_due_by_key;
DROP INDEX jobs_last_due;
CREATE INDEX jobs_due ON jobs (due, seq) WHERE state = 'queued' AND ready_at IS NULL AND NOT awaits_sources;
CREATE INDEX jobs_due_by_key ON jobs (key_id, due, seq)
    WHERE state = 'queued' AND ready_at IS NULL AND NOT awaits_sources;
-- The end of a chain, for a new job's tag.
CREATE INDEX jobs_last_due ON jobs (key_id, priority, awaits_sources, due) WHERE state = 'queued';
-- The next to fetch of each key, those to fetch before another one, and leases that ran out.
CREATE INDEX jobs_to_fetch ON jobs (key_id, due, seq)
    WHERE state = 'queued' AND awaits_sources AND ready_at IS NULL AND fetch_until IS NULL;
CREATE INDEX jobs_awaiting ON jobs (due, seq) WHERE state = 'queued' AND awaits_sources;
CREATE INDEX jobs_fetching ON jobs (fetch_until) WHERE fetch_until IS NOT NULL;
