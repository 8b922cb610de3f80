"""The tables: their version, rows for a migration to go through, and a change as later versions may make it."""

# Rows that one statement makes.
PORTION = 100_000

# Jobs that ended long ago. Without triggers: these jobs are not counted, and belong to a key that nobody has.
KEY = (
    "INSERT INTO keys (id, name, secret_sha256, created_at, revoked_at) "
    "VALUES ('filling', 'filling', 'none', queue_now(), queue_now())"
)
ROWS = (
    "SET session_replication_role = replica; "
    "INSERT INTO jobs (id, key_id, dialect, model, engine_model, priority, cost_micros, due, work, state, attempt, protocol, "
    "created_at, started_at, finished_at) "
    "SELECT 'filling' || number, 'filling', 'wavespeed', 'wavespeed-ai/flux-redux-dev', '', 0, 0, 0, 0, "
    "CASE WHEN number % 10 = 0 THEN 'cancelled' ELSE 'succeeded' END, 1, 1, queue_now(), queue_now(), queue_now() "
    "FROM generate_series({first}, {last}) AS number"
)

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('_sqlx_migrations', 'witnessed_ends')"

# For as long as `afterimage migrate` would.
COLUMN = "SET lock_timeout = '3s'; ALTER TABLE {table} ADD COLUMN of_a_later_version TEXT NOT NULL DEFAULT 'something'"


def schema(database):
    """The version of the tables, and the oldest program's that they serve."""
    query = "SELECT MAX(version), (SELECT value FROM settings WHERE name = 'oldest schema served') FROM _sqlx_migrations"
    [[version, oldest]] = database.query(query)
    return {"version": int(version), "oldest_program_served": int(oldest)}


def add_columns(database):
    """Adds a column to every table. Running programs have prepared statements that ask for all columns."""
    for [table] in database.query(TABLES):
        database.query(COLUMN.format(table=table))


def fill(database, rows):
    database.query(KEY)
    for first in range(1, rows + 1, PORTION):
        database.query(ROWS.format(first=first, last=min(rows, first + PORTION - 1)))
    database.query("ANALYZE jobs")
