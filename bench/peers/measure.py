"""Runs the jobs of plan.py, in turns, and keeps everything that they say."""

import datetime
import json
import time
from pathlib import Path

import afterimage
import plan
from environment import HERE, ROOT
from machine import call, facts, load, warn

PICTURE = ROOT / "docs/photos/lake.jpg"
BUNDLE = ROOT / "crates/afterimage-demo/bundle"
SCRIPTS = {"diffusers": "run_diffusers.py", "openvino": "run_openvino.py", "sdcpp": "run_sdcpp.py"}


class Measurement:
    """A run: `raw` is what the table is made of, and is written to `path` after each job."""

    def __init__(self, environment, options, path):
        self.environment, self.options, self.path = environment, options, path
        self.raw = {
            "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "machine": facts(ROOT, environment.python),
            "threads": options.threads, "rounds": options.rounds, "quick": options.quick, "tiny": options.tiny, "only": options.only,
            "missing": environment.missing, "records": [],
        }  # fmt: skip

    def run(self):
        sizes = plan.Sizes(self.options.quick, self.options.tiny)
        start = time.monotonic()
        for number in range(self.options.rounds):
            for job in plan.chosen(sizes, self.options.only, [*self.options.without, *self.environment.missing], number):
                began = time.monotonic()
                found = self.outcome(job)
                described = {name: value for name, value in job.items() if name not in ("cases", "rounds")}
                self.raw["records"] += [{**described, "round": number, "load_after": load(), **case} for case in found]
                self.raw["seconds"] = round(time.monotonic() - start)
                self.path.write_text(json.dumps(self.raw, indent=1) + "\n", encoding="utf-8")
                warn(f"[{self.raw['seconds']} s] {' '.join(job[name] for name in ('program', 'what', 'variant') if name in job)}: "
                     f"{'; '.join(map(shown, found))} ({time.monotonic() - began:.0f} s, load {load()[0]})")  # fmt: skip
        return self.raw

    def outcome(self, job):
        """A list of cases; of a job that fails, one that says so."""
        try:
            return self.measured(job)
        except (RuntimeError, OSError, ValueError, LookupError) as error:
            return [{"error": said(error, self.environment.work), "side": side, "context": context} for side, context in job.get("cases", [(0, 0)])]

    def measured(self, job):
        threads, count, program = self.options.threads, self.options.steps, self.environment.binary
        if job["what"] == "peak":
            peak = self.environment.peak_program()
            return [{"peak": json.loads(call([peak, threads])[0])}] if peak else [{"error": self.environment.missing["peak"]}]
        side, context = job["cases"][0]
        if job["what"] == "vary":
            return [{**self.vary(job, side), "side": side}]
        folder = self.environment.folder(job["subject"])
        if job["program"] != "afterimage":
            return self.peer(job, folder)
        if job["what"] == "decode":
            return [afterimage.decode(program, folder, job["variant"], side, threads, count)]
        return [afterimage.step(program, folder, job["variant"], side, context, job.get("spared", 0), threads, count)]

    def peer(self, job, folder):
        cases = [f"{side}:{context}" if context else str(side) for side, context in job["cases"]]
        command = [self.environment.python, HERE / SCRIPTS[job["program"]]]
        if job["program"] == "diffusers":
            command.append(job["what"])
        command += ["--folder", folder, "--cases", *cases, "--steps", self.options.steps, "--threads", self.options.threads]
        command += ["--patience", self.options.patience]
        if job["program"] == "sdcpp":
            command += ["--weights", job["variant"], "--vae", self.environment.folder("vae")]
        else:
            command += ["--dtype", job["variant"]]
        out, *_ = call(command, self.peers_environment())
        return json.loads(out.strip().splitlines()[-1])

    def vary(self, job, side):
        output = self.environment.work / f"vary-{job['program']}-{job['variant']}.png"
        if job["program"] == "afterimage":
            return afterimage.vary(self.environment.binary, job["variant"], PICTURE, side, job["steps"], self.options.threads, output)
        command = [self.environment.python, HERE / SCRIPTS["diffusers"], "vary", "--folder", BUNDLE, "--dtype", job["variant"], "--picture", PICTURE,
                   "--output", output, "--cases", side, "--steps", job["steps"], "--threads", self.options.threads]  # fmt: skip
        return afterimage.whole(command, self.peers_environment())

    def peers_environment(self):
        """Threads that wait sleep: spinning ones would count as work, and slow their neighbours."""
        return {"OMP_NUM_THREADS": str(self.options.threads), "OMP_WAIT_POLICY": "passive", "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1"}  # fmt: skip


def said(error, work):
    """What an error says at its end, without this machine's folders: raw results are published."""
    text = str(error)
    for folder, name in ((work, "WORK"), (ROOT, "PROJECT"), (Path.home(), "HOME")):
        text = text.replace(str(Path(folder).resolve()), name).replace(str(folder), name)
    return text[-1500:]


def shown(case):
    if "error" in case:
        return f"failed: {case['error'][-200:]}"
    if "peak" in case:
        return json.dumps(case["peak"])
    if case.get("skipped"):
        return f"{case['side']}² skipped, about {case['expected_seconds']} s"
    return f"{case['side']}² {case['wall'][-1]:.2f} s, {case['processor'][-1]:.2f} s of processors (others {case['others_cores']})"
