"""What clients were told, and what should not have been."""

import threading
from collections import Counter


class Job:
    """A job that was acknowledged."""

    def __init__(self, has_webhook):
        self.has_webhook = has_webhook
        self.to_be_cancelled = False
        self.end = None


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.jobs = {}
        self.violations = []
        self.requests = Counter()
        self.postponed = Counter()
        # Synchronous requests that were told to ask later because their server was about to end.
        self.sent_off = 0
        # What goes on at the moment.
        self.phase = "start"

    def acknowledged(self, job, has_webhook):
        with self.lock:
            self.jobs.setdefault(job, Job(has_webhook))

    def to_be_cancelled(self, job):
        with self.lock:
            self.jobs[job].to_be_cancelled = True

    def ended(self, job, state):
        with self.lock:
            known = self.jobs[job]
            before, known.end = known.end, state
        if before not in (None, state):
            self.violation(f"{job}: was {before} and is {state}")
        if state == "failed" or (state == "cancelled" and not known.to_be_cancelled):
            self.violation(f"{job}: {state}, which nobody asked for")

    def answered(self, is_postponed):
        with self.lock:
            (self.postponed if is_postponed else self.requests)[self.phase] += 1

    def was_sent_off(self):
        with self.lock:
            self.sent_off += 1

    def violation(self, text):
        with self.lock:
            self.violations.append(f"{self.phase}: {text}")

    def states(self):
        with self.lock:
            return Counter(job.end or "open" for job in self.jobs.values())
