-- Bytes of inputs, results and uploads by key, for quotas. Triggers, because nothing that stores or removes a file can
-- forget them. A file counts until it is gone: a job until it was swept, an upload until its row is forgotten.

CREATE TABLE key_bytes (
    key_id TEXT PRIMARY KEY NOT NULL REFERENCES keys (id),
    bytes BIGINT NOT NULL
);

-- Results from before they were counted; inputs of those jobs stay uncounted and go with them.
UPDATE jobs SET result_bytes = (
    SELECT COALESCE(SUM(json_extract(output.value, '$.bytes')), 0)
    FROM job_results, json_each(job_results.result, '$.outputs') AS output
    WHERE job_results.seq = jobs.seq
) WHERE state = 'succeeded' AND result_bytes = 0 AND NOT swept;

INSERT INTO key_bytes (key_id, bytes)
SELECT key_id, SUM(bytes) FROM (
    SELECT key_id, bytes FROM uploads WHERE bytes IS NOT NULL
    UNION ALL
    SELECT key_id, input_bytes + result_bytes FROM jobs
) AS kept GROUP BY key_id HAVING SUM(bytes) > 0;

CREATE TRIGGER jobs_bytes_new AFTER INSERT ON jobs
WHEN NEW.input_bytes + NEW.result_bytes <> 0
BEGIN
    INSERT INTO key_bytes (key_id, bytes) VALUES (NEW.key_id, NEW.input_bytes + NEW.result_bytes)
    ON CONFLICT (key_id) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER jobs_bytes_change AFTER UPDATE OF input_bytes, result_bytes ON jobs
WHEN NEW.input_bytes + NEW.result_bytes <> OLD.input_bytes + OLD.result_bytes
BEGIN
    INSERT INTO key_bytes (key_id, bytes)
    VALUES (NEW.key_id, NEW.input_bytes + NEW.result_bytes - OLD.input_bytes - OLD.result_bytes)
    ON CONFLICT (key_id) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER jobs_bytes_gone AFTER DELETE ON jobs
WHEN OLD.input_bytes + OLD.result_bytes <> 0
BEGIN
    UPDATE key_bytes SET bytes = bytes - OLD.input_bytes - OLD.result_bytes WHERE key_id = OLD.key_id;
END;

CREATE TRIGGER uploads_bytes_new AFTER INSERT ON uploads
WHEN NEW.bytes IS NOT NULL
BEGIN
    INSERT INTO key_bytes (key_id, bytes) VALUES (NEW.key_id, NEW.bytes)
    ON CONFLICT (key_id) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER uploads_bytes_change AFTER UPDATE OF bytes ON uploads
BEGIN
    INSERT INTO key_bytes (key_id, bytes) VALUES (NEW.key_id, COALESCE(NEW.bytes, 0) - COALESCE(OLD.bytes, 0))
    ON CONFLICT (key_id) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER uploads_bytes_gone AFTER DELETE ON uploads
WHEN OLD.bytes IS NOT NULL
BEGIN
    UPDATE key_bytes SET bytes = bytes - OLD.bytes WHERE key_id = OLD.key_id;
END;
