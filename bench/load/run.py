#!/usr/bin/env python3
"""Measures the server around the engine: submits, reads of a deep queue, claims, time added to a job, time to start.

Needs only the standard library. Build first:

    cargo build --release -p afterimage
    cargo build --release -p afterimage-server --example load
    cargo build --release -p afterimage-jobs --example queue_bench
"""

import argparse
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "a-key-for-measuring"


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % listener.getsockname()[1]


class Server:
    """A server in a process of its own."""

    def __init__(self, binary, data, workers):
        address = free_address()
        self.url = f"http://{address}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AFTERIMAGE_")}
        environment |= {"AFTERIMAGE_API_KEY": KEY, "RUST_LOG": "info"}
        command = [binary, "serve", "--data-dir", data, "--listen", address, "--admin-listen", "off"]
        command += ["--workers", str(workers)]
        self.log = open(data + ".log", "ab")
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=self.log)

    def wait_for(self, path):
        """Seconds from the start of the process until `path` answers 200."""
        while time.perf_counter() - self.began < 60:
            try:
                with urllib.request.urlopen(self.url + path, timeout=5):
                    return time.perf_counter() - self.began
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.002)
        sys.exit(f"{path} does not answer")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


def disk_flushes(folder):
    """Milliseconds that a plain append of 4 KiB and its flush take on this disk: the floor under every durable write."""
    times = []
    with open(f"{folder}/flushes", "ab", buffering=0) as file:
        for _ in range(300):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return {"p50_ms": round(times[150], 2), "p99_ms": round(times[297], 2), "max_ms": round(times[299], 2)}


def processor():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


class Bench:
    """The measurements; each starts what it needs in a folder of its own."""

    def __init__(self, options):
        self.options = options
        self.target = Path(options.target)
        self.binary = str(self.target / "afterimage")

    def load(self, server, *arguments):
        command = [str(self.target / "examples" / "load"), server.url, KEY, *map(str, arguments)]
        figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        print(*arguments, json.dumps(figures), flush=True)
        return figures

    def start(self, folder):
        """Time from the start of the process until it is ready, on new and on used folders."""
        seconds = []
        for number in range(10):
            with Server(self.binary, f"{folder}/data-{number % 2}", 1) as server:
                seconds.append(round(server.wait_for("/readyz"), 3))
        print("ready", seconds, flush=True)
        return {"ready_s": seconds}

    def jobs(self, folder):
        """Time that a job takes beyond the engine's own."""
        with Server(self.binary, f"{folder}/data", 1) as server:
            server.wait_for("/readyz")
            return self.load(server, "overhead", 50)

    def submits(self, folder):
        """Steady load on a server whose engine is idle."""
        with Server(self.binary, f"{folder}/data", 0) as server:
            server.wait_for("/healthz")
            return self.load(server, "submits", 200, self.options.seconds)

    def crowd(self, folder):
        """Submits for five minutes amid 1,000 connections of which half idle or hardly move; the server's memory meanwhile."""
        with Server(self.binary, f"{folder}/data", 0) as server:
            server.wait_for("/healthz")
            memory, ended = [], threading.Event()
            status = Path(f"/proc/{server.process.pid}/status")

            def watch():
                while not ended.wait(1):
                    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
                    memory.append(round(int(fields["VmRSS"].split()[0]) / 1024, 1))

            watcher = threading.Thread(target=watch)
            watcher.start()
            try:
                figures = self.load(server, "crowd", 200, self.options.crowd_seconds, 1000)
            finally:
                ended.set()
                watcher.join()
            later = memory[60:] or memory
            figures["memory_mib"] = {"at_60_s": later[0], "least_after": min(later), "most_after": max(later), "every_10_s": memory[::10]}
            print("memory", json.dumps(figures["memory_mib"]), flush=True)
            return figures

    def deep_queue(self, folder):
        """Reads and submits while many tasks wait."""
        with Server(self.binary, f"{folder}/data", 0) as server:
            server.wait_for("/healthz")
            fill = self.load(server, "fill", self.options.queued)
            reads = self.load(server, "reads", 500)
            return {"fill": fill, "reads": reads, "submits": self.load(server, "submits", 200, 20)}

    def claims(self, _):
        """The queue alone: claims, renewals and ends beside submits."""
        bench = [str(self.target / "examples" / "queue_bench"), str(self.options.queued), "20"]
        text = subprocess.run(bench, check=True, stdout=subprocess.PIPE, text=True).stdout
        print(text, flush=True)
        return text.splitlines()


MEASUREMENTS = ["start", "jobs", "submits", "crowd", "deep_queue", "claims"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ", ".join(MEASUREMENTS)
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENT", help=f"of {known}; default: all")
    parser.add_argument("--target", default=str(ROOT / "target" / "release"), help="folder with the built programs")
    parser.add_argument("--seconds", type=int, default=60, help="length of the steady load")
    parser.add_argument("--crowd-seconds", type=int, default=300, help="length of the load amid many connections")
    parser.add_argument("--queued", type=int, default=100_000, help="tasks waiting while reads are measured")
    parser.add_argument("--folder", help="on the disk to be measured; default: the temporary one")
    output = Path(__file__).parent / "results" / "load.json"
    parser.add_argument("--output", default=str(output), help="file of the results; those of measurements left out stay")
    options = parser.parse_args()
    chosen = options.measurements or MEASUREMENTS
    if unknown := set(chosen) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(unknown)}")

    bench = Bench(options)
    output = Path(options.output)
    results = json.loads(output.read_text(encoding="utf-8")) if options.measurements and output.exists() else {}
    results["machine"] = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()}
    for name in chosen:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            before = {"load_average": os.getloadavg()[0], "disk_flush": disk_flushes(folder)}
            figures = getattr(bench, name)(folder)
            results[name] = {"figures": figures, "before": before, "disk_flush_after": disk_flushes(folder)}
        output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
