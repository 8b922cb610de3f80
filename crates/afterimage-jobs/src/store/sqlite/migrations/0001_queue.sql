-- Times are milliseconds since the epoch, given by the program. Types and statements are those that PostgreSQL knows
-- too, apart from AUTOINCREMENT.

CREATE TABLE keys (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    concurrency BIGINT,
    secret_sha256 TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- Narrow on purpose: payloads live beside it, so that a change of state rewrites little.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key_id TEXT NOT NULL REFERENCES keys (id),
    dialect TEXT NOT NULL,
    model TEXT NOT NULL,
    webhook_url TEXT,
    webhook_dialect TEXT,
    idempotency_key TEXT,
    idempotency_fingerprint TEXT,
    priority SMALLINT NOT NULL,
    user_name TEXT,
    cost_micros BIGINT NOT NULL,
    store_io BOOLEAN NOT NULL,
    start_by BIGINT,
    due BIGINT NOT NULL,
    ready_at BIGINT,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    attempt BIGINT NOT NULL DEFAULT 0,
    retries BIGINT NOT NULL DEFAULT 0,
    unclean_ends BIGINT NOT NULL DEFAULT 0,
    cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
    quarantined BOOLEAN NOT NULL DEFAULT FALSE,
    worker TEXT,
    lease_until BIGINT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    failure_kind TEXT,
    failure_field TEXT,
    failure_message TEXT,
    deleted BOOLEAN NOT NULL DEFAULT FALSE,
    swept BOOLEAN NOT NULL DEFAULT FALSE,
    CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CHECK ((state = 'failed') = (failure_kind IS NOT NULL)),
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'running')))
);

-- The next job, of all keys and of one.
CREATE INDEX jobs_due ON jobs (due, seq) WHERE state = 'queued' AND ready_at IS NULL;
CREATE INDEX jobs_due_by_key ON jobs (key_id, due, seq) WHERE state = 'queued' AND ready_at IS NULL;
-- The end of a key's queue, for a new job's due time.
CREATE INDEX jobs_last_due ON jobs (key_id, priority, due) WHERE state = 'queued';
CREATE INDEX jobs_ready ON jobs (ready_at) WHERE state = 'queued' AND ready_at IS NOT NULL;
CREATE INDEX jobs_start_by ON jobs (start_by) WHERE state = 'queued' AND attempt = 0 AND start_by IS NOT NULL;
CREATE INDEX jobs_running ON jobs (key_id, lease_until) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_idempotency ON jobs (key_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Covers filters of lists.
CREATE INDEX jobs_listing ON jobs (key_id, created_at, seq, state, model) WHERE NOT deleted;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL AND NOT deleted;
CREATE INDEX jobs_deleted ON jobs (swept, finished_at) WHERE finished_at IS NOT NULL AND deleted;

-- Lists tell how many jobs there are in all; counting 100,000 takes longer than a list may. Triggers, because no
-- change of state can forget them. Rows are pruned only after they were deleted, so that needs none.
CREATE TABLE job_counts (
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL,
    jobs BIGINT NOT NULL,
    PRIMARY KEY (key_id, model, state)
);

CREATE TRIGGER jobs_count_new AFTER INSERT ON jobs
BEGIN
    INSERT INTO job_counts (key_id, model, state, jobs) VALUES (NEW.key_id, NEW.model, NEW.state, 1)
    ON CONFLICT (key_id, model, state) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER jobs_count_change AFTER UPDATE OF state, deleted ON jobs
WHEN NOT OLD.deleted AND (NEW.deleted OR NEW.state <> OLD.state)
BEGIN
    UPDATE job_counts SET jobs = jobs - 1
    WHERE key_id = OLD.key_id AND model = OLD.model AND state = OLD.state;
    INSERT INTO job_counts (key_id, model, state, jobs) SELECT NEW.key_id, NEW.model, NEW.state, 1
    WHERE NOT NEW.deleted
    ON CONFLICT (key_id, model, state) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TABLE job_inputs (
    seq BIGINT PRIMARY KEY NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    input TEXT NOT NULL,
    spec TEXT NOT NULL
);

CREATE TABLE job_results (
    seq BIGINT PRIMARY KEY NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    result TEXT NOT NULL
);

-- Sums outlive their jobs. An absent user is ''.
CREATE TABLE spending (
    key_id TEXT NOT NULL REFERENCES keys (id),
    user_name TEXT NOT NULL,
    jobs BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (key_id, user_name)
);

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_seq BIGINT NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    url TEXT NOT NULL,
    dialect TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- When it is due; while somebody works on it, when that lease runs out.
    next_at BIGINT NOT NULL,
    finished_at BIGINT,
    given_up BOOLEAN NOT NULL DEFAULT FALSE,
    last_error TEXT
);

CREATE INDEX deliveries_due ON deliveries (next_at, id) WHERE finished_at IS NULL;
CREATE INDEX deliveries_by_job ON deliveries (job_seq);

CREATE TABLE uploads (
    id TEXT PRIMARY KEY NOT NULL,
    key_id TEXT NOT NULL REFERENCES keys (id),
    filename TEXT NOT NULL,
    declared_type TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    blob TEXT,
    content_type TEXT,
    bytes BIGINT,
    width BIGINT,
    height BIGINT,
    expired BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE INDEX uploads_age ON uploads (created_at) WHERE NOT expired;
CREATE INDEX uploads_expired ON uploads (created_at) WHERE expired;

CREATE TABLE settings (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);
