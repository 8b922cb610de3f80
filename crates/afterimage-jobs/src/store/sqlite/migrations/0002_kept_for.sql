-- How long a job is kept after its end, and an upload after it was noted, where that is shorter than the general rule.
-- Milliseconds. Takes the place of a switch that nothing read.

ALTER TABLE jobs ADD COLUMN kept_for BIGINT;
UPDATE jobs SET kept_for = 3600000 WHERE NOT store_io;
ALTER TABLE jobs DROP COLUMN store_io;
CREATE INDEX jobs_kept_for ON jobs ((finished_at + kept_for))
    WHERE kept_for IS NOT NULL AND finished_at IS NOT NULL AND NOT deleted;

ALTER TABLE uploads ADD COLUMN kept_for BIGINT;
CREATE INDEX uploads_kept_for ON uploads ((created_at + kept_for)) WHERE kept_for IS NOT NULL AND NOT expired;
