-- Webhooks take turns by key. `failures` are attempts that failed; `attempts`, the fencing token, also counts those that
-- were put back because the receiver's lane was full, which is no failure. What was put back (`postponed`) comes first.

ALTER TABLE deliveries ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN postponed BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE deliveries SET key_id = (SELECT jobs.key_id FROM jobs WHERE jobs.seq = deliveries.job_seq),
    failures = CASE WHEN last_error IS NULL THEN 0 ELSE attempts END;
CREATE INDEX deliveries_turns ON deliveries (key_id, postponed, next_at, id) WHERE finished_at IS NULL;

-- How jobs ended, whether or not they are still kept. A trigger, because no end can forget it.
CREATE TABLE job_ends (
    state TEXT PRIMARY KEY NOT NULL,
    jobs BIGINT NOT NULL
);

INSERT INTO job_ends (state, jobs) SELECT state, COUNT(*) FROM jobs WHERE finished_at IS NOT NULL GROUP BY state;

CREATE TRIGGER jobs_count_end AFTER UPDATE OF state ON jobs
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
BEGIN
    INSERT INTO job_ends (state, jobs) VALUES (NEW.state, 1) ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;
