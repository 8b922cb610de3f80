-- What keys may see: an 'operator' also how the server is, a 'user', or one that is not here, what is its own. Of the
-- keys that there are, those become operators' that a server made for whoever started it: the first of all, and those
-- that were given by a flag or a variable. Whoever was given one of the others must not see more than before.

-- A table of its own, as in PostgreSQL.
CREATE TABLE key_roles (
    key_id TEXT PRIMARY KEY NOT NULL REFERENCES keys (id),
    role TEXT NOT NULL
);

INSERT INTO key_roles (key_id, role)
SELECT id, 'operator' FROM keys WHERE revoked_at IS NULL AND (name = 'from the command line'
    OR (name = 'first' AND id = (SELECT id FROM keys ORDER BY created_at, id LIMIT 1)));

-- What keys had made, by the day of UTC (days since 1970) on which it ended. Sums outlive their jobs.
CREATE TABLE usage_days (
    day BIGINT NOT NULL,
    key_id TEXT NOT NULL REFERENCES keys (id),
    jobs BIGINT NOT NULL,
    pictures BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (day, key_id)
);

-- As far as it is still kept. A result that is no JSON must not keep the server from starting.
INSERT INTO usage_days (day, key_id, jobs, pictures, failures, cost_micros)
SELECT jobs.finished_at / 86400000, jobs.key_id, SUM(jobs.state = 'succeeded'),
    SUM(CASE WHEN jobs.state = 'succeeded' AND json_valid(job_results.result) THEN COALESCE(
        json_array_length(job_results.result, '$.files'), json_array_length(job_results.result, '$.outputs'), 0) ELSE 0 END),
    SUM(jobs.state = 'failed'), SUM(CASE WHEN jobs.state = 'succeeded' THEN jobs.cost_micros ELSE 0 END)
FROM jobs LEFT JOIN job_results ON job_results.seq = jobs.seq
WHERE jobs.state IN ('succeeded', 'failed') GROUP BY 1, 2;
