"""Clients that submit, ask, download and cancel all the time, each one job after another."""

import base64
import json
import random
import struct
import threading
import time
import uuid
import zlib
from urllib.parse import urlsplit

from balancer import Failed

MODEL = "/api/v3/wavespeed-ai/flux-redux-dev"
SIDE = 256

# Seconds until a job has to have ended, with one worker left and other clients' jobs before it.
ENDS_WITHIN = 300

# What clients do, and how often.
KINDS = {"plain": 4, "twice": 3, "waits": 2, "uploads": 2, "cancels": 3}


def png(width, height):
    """A picture with some colours, as a file."""
    rows = b"".join(b"\0" + bytes((x * 4, y * 5, 90)[c] for x in range(width) for c in range(3)) for y in range(height))

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def size_of(file):
    """Width and height of a PNG file that is whole, else `None`."""
    if not file.startswith(b"\x89PNG\r\n\x1a\n") or b"IEND" not in file[-12:]:
        return None
    return struct.unpack(">II", file[16:24])


class Client(threading.Thread):
    """Goes on until `ended` is set, and then sees its last job through."""

    PICTURE = png(64, 48)
    INLINED = "data:image/png;base64," + base64.b64encode(PICTURE).decode()

    def __init__(self, balancer, ledger, hook, key, seed, ended):
        super().__init__(daemon=True)
        self.balancer, self.ledger, self.hook, self.key, self.ended = balancer, ledger, hook, key, ended
        self.random = random.Random(seed)

    def run(self):
        while not self.ended.is_set():
            kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
            try:
                getattr(self, kind)()
            except Failed as error:
                self.ledger.violation(str(error))
                # Not as fast as it fails.
                time.sleep(0.5)
            except (ValueError, KeyError, TypeError) as error:
                self.ledger.violation(f"{kind}: an answer of another form: {error!r}")
            time.sleep(self.random.uniform(0, 0.2))

    def plain(self):
        self.see_through(self.submit(self.task()))

    def twice(self):
        """The same request a second time, by another server, makes no second job."""
        task, headers = self.task(), {"Idempotency-Key": uuid.uuid4().hex}
        address = self.submit_address()
        first = self.submit(task, headers, address)
        time.sleep(self.random.uniform(0, 0.5))
        second = self.submit(task, headers, address)
        if first != second:
            self.ledger.violation(f"{first}: the same Idempotency-Key made {second}, too")
        self.see_through(first)

    def waits(self):
        self.see_through(self.submit(self.task() | {"enable_sync_mode": True}))

    def uploads(self):
        ticket = self.ask("POST", "/api/v3/media/uploads", {"filename": "picture.png"})
        self.send("PUT", path_of(ticket["upload"]["url"]), self.PICTURE, {})
        self.see_through(self.submit(self.task() | {"image": ticket["download_url"]}))

    def cancels(self):
        """A job that would take long, at any moment of its life."""
        job = self.submit(self.task() | {"size": "512*512", "num_inference_steps": 30})
        time.sleep(self.random.uniform(0, 2))
        self.ledger.to_be_cancelled(job)
        self.ask("POST", f"/api/v3/predictions/{job}/cancel", {})
        self.see_through(job)

    def task(self):
        seed = self.random.randrange(1 << 31)
        steps = self.random.randrange(1, 4)
        return {"image": self.INLINED, "size": f"{SIDE}*{SIDE}", "num_inference_steps": steps, "seed": seed, "output_format": "png"}

    def submit_address(self):
        return f"{MODEL}?webhook={self.hook}" if self.random.random() < 0.5 else MODEL

    def submit(self, task, headers=None, address=None):
        """The id of the job that was acknowledged."""
        address = address or self.submit_address()
        data = self.ask("POST", address, task, headers)
        self.ledger.acknowledged(data["id"], "webhook" in address)
        if data.get("code") == 5004:
            self.ledger.was_sent_off()
        return data["id"]

    def see_through(self, job):
        """Asks until the job has ended, and looks at what came of it."""
        deadline = time.monotonic() + ENDS_WITHIN
        while True:
            data = self.ask("GET", f"/api/v3/predictions/{job}")
            if data["status"] in ("completed", "failed", "cancelled"):
                break
            if time.monotonic() > deadline:
                self.ledger.violation(f"{job}: still {data['status']} after {ENDS_WITHIN} s")
                return
            time.sleep(self.random.uniform(0.05, 0.2))
        self.ledger.ended(job, data["status"])
        for address in data["outputs"]:
            size = size_of(self.send("GET", path_of(address), None, {}).body)
            if size not in ((SIDE, SIDE), (512, 512)):
                self.ledger.violation(f"{job}: {address} is no picture, or of another size: {size}")

    def ask(self, method, path, body=None, headers=None):
        """What the API says."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | (headers or {})
        answer = self.send(method, path, None if body is None else json.dumps(body), headers)
        return json.loads(answer.body)["data"]

    def send(self, method, path, body, headers):
        """An answer that is one. Who is told to come again does."""
        while True:
            answer = self.balancer.request(method, path, body, headers)
            self.ledger.answered(answer.is_postponed)
            if answer.is_postponed:
                time.sleep(min(float(answer.headers["retry-after"]), 2))
                continue
            if answer.status not in (200, 201, 204):
                raise Failed(f"{method} {path} was answered {answer.status}: {answer.body[:500]!r}")
            return answer


def path_of(address):
    """An address as one server takes it."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
