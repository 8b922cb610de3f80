"""What must be so when all is over, by the database, the clients and the receiver of webhooks."""

import re
from collections import Counter

# Seconds that a statement may wait for somebody's lock.
LONGEST_WAIT = 3.0

# Notes every end, and refuses one that changes.
WITNESS = """
CREATE TABLE witnessed_ends (id TEXT NOT NULL, state TEXT NOT NULL);
CREATE FUNCTION witness() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
IF OLD.finished_at IS NOT NULL AND (NEW.state, NEW.finished_at) IS DISTINCT FROM (OLD.state, OLD.finished_at)
THEN RAISE EXCEPTION 'the end of % changed', OLD.id; END IF;
IF OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
THEN INSERT INTO witnessed_ends VALUES (NEW.id, NEW.state); END IF; RETURN NULL; END $$;
CREATE TRIGGER witness AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION witness();
"""

# What clients call the states.
NAMES = {"succeeded": "completed", "failed": "failed", "cancelled": "cancelled"}

WAITED = re.compile(r"acquired \w+ on .* after ([0-9.]+) ms")
GAVE_UP = re.compile(r"canceling statement due to lock timeout")


def waits_for_locks(database):
    """The longest one in seconds, and how many statements gave up."""
    log = database.log.read_text(errors="replace")
    waits = [float(milliseconds) / 1000 for milliseconds in WAITED.findall(log)]
    return max(waits, default=0.0), len(GAVE_UP.findall(log))


def judge(database, ledger, receiver):
    """Figures; what is wrong is added to the ledger."""
    ends = {}
    for job, state in database.query("SELECT id, state FROM witnessed_ends"):
        ends.setdefault(job, []).append(NAMES[state])
    told = receiver.states()
    for job, known in ledger.jobs.items():
        if ends.get(job) != [known.end]:
            ledger.violation(f"{job}: its client was told {known.end}, the database noted {ends.get(job)}")
        states = told.get(job, [])
        if known.has_webhook and (not states or set(states) != {known.end}):
            ledger.violation(f"{job}: ended as {known.end}, its webhooks said {states}")
    unknown = set(ends) - set(ledger.jobs)
    # Who was told to come again does not know whether there is a job now.
    if len(unknown) > sum(ledger.postponed.values()):
        ledger.violation(f"{len(unknown)} jobs that no client was told of: {sorted(unknown)[:3]}")
    sums = "SELECT COUNT(*), SUM(unclean_ends), MAX(attempt) FROM jobs WHERE key_id <> 'filling'"
    [[jobs, unclean_ends, attempts]] = database.query(sums)
    if unclean_ends != "0":
        ledger.violation(f"{unclean_ends} attempts ended uncleanly")
    longest, gave_up = waits_for_locks(database)
    if longest > LONGEST_WAIT:
        ledger.violation(f"a statement waited {longest:.1f} s for a lock")
    return {
        "jobs": int(jobs),
        "ends": dict(Counter(state for [state] in ends.values())),
        "most_attempts": int(attempts),
        "webhooks": {"wanted": sum(job.has_webhook for job in ledger.jobs.values()), "received": sum(map(len, told.values()))},
        "longest_wait_for_a_lock_s": longest,
        "statements_that_gave_up_on_a_lock": gave_up,
    }
