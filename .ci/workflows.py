#!/usr/bin/env python3
"""Compares .github/workflows/ci.yml with .ci/run: each step is in a job, and no job has one that is not there.

Usage: workflows.py
       workflows.py --scripts FOLDER   writes the scripts in all workflows to FOLDER, for shellcheck; needs PyYAML
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / ".github/workflows"


def complaints(run, workflow):
    steps = re.search(r"^steps=\(([^)]*)\)$", run, re.MULTILINE)[1].split()
    jobs = [name for line in re.findall(r"\bsteps: ([a-z][a-z -]*)\}", workflow) for name in line.split()]
    found = [f"no job of ci.yml has the step {name}" for name in steps if name not in jobs and name != "tools"]
    return found + [f"ci.yml has the step {name}, which .ci/run has not" for name in sorted(set(jobs) - set(steps))]


def write_scripts(folder):
    """Each script as GitHub runs it. What stands between `${{` and `}}` in one would be text of strangers in a program."""
    import yaml

    for path in sorted(WORKFLOWS.glob("*.yml")):
        for job, described in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            for number, step in enumerate(described["steps"]):
                if "run" in step:
                    assert "${{" not in step["run"], f"{path.name}, {job}: values come by env, not by {step['run']}"
                    script = folder / f"{path.stem}-{job}-{number}.sh"
                    script.write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{step['run']}\n", encoding="utf-8")


def self_test():
    run, workflow = "steps=(tools a b-c)\n", "- {os: x, steps: a}\n- {os: y, steps: a b-c}\n"
    assert complaints(run, workflow) == []
    assert complaints(run, workflow.replace("b-c", "d")) == [
        "no job of ci.yml has the step b-c",
        "ci.yml has the step d, which .ci/run has not",
    ]


def main(arguments):
    if arguments[:1] == ["--scripts"]:
        write_scripts(Path(arguments[1]))
        return 0
    self_test()
    found = complaints((ROOT / ".ci/run").read_text(), (WORKFLOWS / "ci.yml").read_text())
    for complaint in found:
        print(complaint)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
