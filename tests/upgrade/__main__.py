"""Two servers and two workers of one database are replaced one at a time by another version while clients go on.

    python3 tests/upgrade --from PROGRAM --to PROGRAM

In the order of docs/scale-out.md: tables, workers, servers; then the programs go back, servers first, and the tables stay.
No request may fail, no acknowledged job may be lost, and each has one end. Needs Linux, PostgreSQL's server, and of Python
the standard library only. What was counted is printed as JSON.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from balancer import Balancer, is_ready
from clients import Client
from ledger import Ledger
from programs import Afterimage, Place, eventually
from receiver import Receiver
from tables import add_columns, fill, schema
from verdict import WITNESS, judge

KEY = "a-key-for-upgrades"

# Clients that go on at once: about what two workers can do.
CLIENTS = 8

# Seconds between the moment when a server gets no new requests and the one when it is asked to stop, as a proxy needs to
# hear of it.
LEAVES_WITHIN = 1.0


class Installation:
    """Servers and workers, and how one is replaced by another."""

    def __init__(self, place, balancer, ledger):
        self.place, self.balancer, self.ledger = place, balancer, ledger
        self.members = {"worker": [], "serve": []}
        self.count = 0
        # Seconds that each end and each start took.
        self.times = {"end": [], "start": []}

    def start(self, binary, role):
        """Starts one, and waits until it is ready."""
        self.count += 1
        member = Afterimage(binary, role, self.count, self.place)
        self.members[role].append(member)
        if role == "serve":
            self.balancer.add(member.address)
        took = eventually(f"{member.log.name} is ready", lambda: self._is_ready(member))
        self.times["start"].append(round(took, 2))

    def _is_ready(self, member):
        if member.process.poll() is not None:
            raise RuntimeError(f"{member.log.name} ended: {member.log.read_text()[-2000:]}")
        return self.balancer.is_ready(member.address) if member.role == "serve" else is_ready(member.address)

    def replace(self, binary, role):
        """Replaces the oldest."""
        member = self.members[role].pop(0)
        if role == "serve":
            self.balancer.take_out(member.address)
            time.sleep(LEAVES_WITHIN)
        member.ask_to_stop()
        self.times["end"].append(round(member.wait_for_end(), 2))
        self.start(binary, role)

    def replace_all(self, binary, role, pause):
        """Replaces all of them, one after another."""
        for _ in range(len(self.members[role])):
            self.replace(binary, role)
            time.sleep(pause)

    def kill(self):
        for member in self.members["worker"] + self.members["serve"]:
            member.kill()


def roll(installation, options, report):
    """There and back, while clients go on."""
    place, ledger = installation.place, installation.ledger

    def phase(name):
        ledger.phase = name
        print(f"{name}: {dict(ledger.states())}", file=sys.stderr)

    phase("before")
    time.sleep(options.pause)
    phase("tables")
    report["migrate_s"] = round(place.migrate(options.to), 2)
    if options.columns:
        add_columns(place.database)
    report["schema_after"] = schema(place.database)
    time.sleep(options.pause)
    for name, binary, roles in [("forth", options.to, ["worker", "serve"]), ("back", options.before, ["serve", "worker"])]:
        for role in roles:
            phase(f"{name}: {role}")
            installation.replace_all(binary, role, options.pause)
    phase("after")


def run(folder, options):
    """The report of a run in `folder`."""
    place = Place(folder, KEY)
    balancer, ledger, receiver = Balancer(), Ledger(), Receiver()
    installation = Installation(place, balancer, ledger)
    report = {"same_program": options.before == options.to, "rows": options.rows}
    try:
        place.migrate(options.before)
        place.database.query(WITNESS)
        report["schema_before"] = schema(place.database)
        fill(place.database, options.rows)
        for role in ["serve", "serve", "worker", "worker"]:
            installation.start(options.before, role)
        ended = threading.Event()
        clients = [Client(balancer, ledger, receiver.url, KEY, options.seed + number, ended) for number in range(CLIENTS)]
        began = time.monotonic()
        for client in clients:
            client.start()
        roll(installation, options, report)
        ended.set()
        for client in clients:
            client.join()
        report["seconds_under_load"] = round(time.monotonic() - began, 1)

        def all_are_told():
            told = receiver.states()
            return all(job in told for job, known in ledger.jobs.items() if known.has_webhook)

        eventually("webhooks arrive", all_are_told)
        report |= judge(place.database, ledger, receiver)
    finally:
        balancer.stop()
        receiver.stop()
        installation.kill()
        place.database.stop()
    # The tables are changed under the clients; at no other time is anybody sent away.
    for name, count in ledger.postponed.items():
        if name != "tables":
            ledger.violation(f"{count} requests were answered 503 while nothing was wrong ({name})")
    return report | {
        "replaced_end_s": installation.times["end"],
        "start_s": installation.times["start"],
        "requests": sum(ledger.requests.values()),
        "answered_503_with_retry_after": sum(ledger.postponed.values()),
        "synchronous_requests_sent_off": ledger.sent_off,
        "violations": ledger.violations,
    }


def program(text):
    """A program's path as all folders have it."""
    path = Path(text).resolve()
    if not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{path} is no program")
    return str(path)


def main():
    parser = argparse.ArgumentParser(prog="upgrade", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="before", type=program, required=True, metavar="PROGRAM", help="what runs at first")
    parser.add_argument("--to", type=program, required=True, metavar="PROGRAM", help="what it is replaced by")
    parser.add_argument("--rows", type=int, default=0, help="jobs that ended before, for the migration to go through")
    parser.add_argument("--columns", action="store_true", help="add a column to each table, as some version's migration will")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds after each change")
    parser.add_argument("--logs", metavar="FOLDER", help="gets the logs of all programs")
    parser.add_argument("--seed", type=int, default=1, help="of what clients do")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afterimage-upgrade") as folder:
        try:
            report = run(folder, options)
        finally:
            if options.logs is not None:
                Path(options.logs).mkdir(parents=True, exist_ok=True)
                for log in Path(folder).glob("*.log"):
                    shutil.copy(log, options.logs)
    print(json.dumps(report, indent=2))
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
