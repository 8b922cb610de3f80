-- What a job keeps on disk: its inputs until it is swept, its results from its end on. Uploads count in `uploads.bytes`.

ALTER TABLE jobs ADD COLUMN input_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN result_bytes BIGINT NOT NULL DEFAULT 0;
