-- What keys may see: an 'operator' also how the server is, a 'user', or one that is not here, what is its own. Of the
-- keys that there are, those become operators' that a server made for whoever started it: the first of all, and those
-- that were given by a flag or a variable. Whoever was given one of the others must not see more than before.

-- A table of its own: a column that is added to `keys` changes the answers of statements that running servers have
-- prepared, and the database then refuses them.
CREATE TABLE key_roles (
    key_id TEXT PRIMARY KEY REFERENCES keys (id),
    role TEXT NOT NULL
);

INSERT INTO key_roles (key_id, role)
SELECT id, 'operator' FROM keys WHERE revoked_at IS NULL AND (name = 'from the command line'
    OR (name = 'first' AND id = (SELECT id FROM keys ORDER BY created_at, id LIMIT 1)));

-- What keys had made, by the day of UTC (days since 1970) on which it ended. Sums outlive their jobs. The table of jobs
-- is left alone: servers of before work on it meanwhile, and what they end is not in these sums.
CREATE TABLE usage_days (
    day BIGINT NOT NULL,
    key_id TEXT NOT NULL REFERENCES keys (id),
    jobs BIGINT NOT NULL,
    pictures BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (day, key_id)
);

-- Changes, until they are added up: see `journal`, to which servers of before would not give these back.
CREATE TABLE usage_journal (
    day BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    jobs BIGINT NOT NULL,
    pictures BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
