#!/usr/bin/env python3
"""Finds tests that sleep: what passes real time costs that time in every run, and proves nothing on a busy machine.

A test of what does not happen runs in tokio's paused time (`#[tokio::test(start_paused = true)]`) or waits for an
event after which it would have happened. Who waits for something uses `eventually` or `until` of
`afterimage-jobs/tests/support/waiting.rs`. A sleep that is left says why in the comment directly above it, with the
words "real time" (a peer's pace, a process of its own) or "paused time" (a helper that only paused tests call).

Calls of `sleep`, `sleep_until` and `park_timeout` are found, and `timeout(…).await.is_err()`: in `tests/` and in what
`src/` compiles for tests only.

Usage: sleeps.py                 exit status 1 if there is one, or if an entry of the list is no longer needed
       sleeps.py --self-test
"""

import re
import sys
import tempfile
from pathlib import Path

from rust_modules import CLOSING, tokens

NAMES = {"sleep", "sleep_until", "park_timeout"}
REASON = re.compile(r"//.*\b(real|paused) time\b", re.IGNORECASE)

# Path from the repository's root, or the beginning of several: why it may sleep anywhere.
ALLOWED = {
    "crates/afterimage-jobs/tests/support/waiting.rs": "the helper that waits for others",
    "crates/afterimage/tests/chaos": "moments by chance in the life of real processes are what it is about",
}


def group_end(found, start):
    """Index behind the bracket that closes the one at `start`."""
    open_brackets = []
    for index in range(start, len(found)):
        kind, text, _ = found[index]
        if kind == "mark" and text in CLOSING:
            open_brackets.append(CLOSING[text])
        elif kind == "mark" and open_brackets and text == open_brackets[-1]:
            open_brackets.pop()
            if not open_brackets:
                return index + 1
    return len(found)


def after_attributes(found, index):
    """Index of what the attributes that start at `index` stand before, and the file that one of them names."""
    path = None
    while [text for _, text, _ in found[index : index + 2]] == ["#", "["]:
        if [text for _, text, _ in found[index + 2 : index + 4]] == ["path", "="]:
            path = found[index + 4][1].strip('"')
        index = group_end(found, index + 1)
    return index, path


def attribute(found, index):
    """The words of the attribute that starts at `index`, if one does."""
    if [text for _, text, _ in found[index : index + 2]] != ["#", "["]:
        return []
    return [text for _, text, _ in found[index + 2 : group_end(found, index + 1) - 1]]


def test_parts(file, found):
    """Ranges of tokens of a file in `src/` that are for tests only, and the files of modules that are."""
    ranges, files = [], []
    for index in range(len(found)):
        words = attribute(found, index)
        if words[:3] != ["cfg", "(", "test"] and words[:5] != ["cfg", "(", "all", "(", "test"] and words[-1:] != ["test"]:
            continue
        item, path = after_attributes(found, index)
        end = item
        while end < len(found) and found[end][1] not in (";", "{", "}"):
            end = group_end(found, end) if found[end][1] in CLOSING else end + 1
        if end < len(found) and found[end][1] == "{":
            ranges.append(range(item, group_end(found, end)))
        elif found[item][1] == "mod":
            folder = file.parent if file.stem in ("lib", "main", "mod") else file.with_suffix("")
            files.append(file.parent / path if path else folder / f"{found[item + 1][1]}.rs")
    return ranges, files


def paused_parts(found):
    """Ranges of tokens of tests in paused time."""
    ranges = []
    for index in range(len(found)):
        words = attribute(found, index)
        if words[:3] == ["tokio", "::", "test"] and "start_paused" in words:
            end = after_attributes(found, index)[0]
            while end < len(found) and found[end][1] != "{":
                end = group_end(found, end) if found[end][1] in CLOSING else end + 1
            ranges.append(range(index, group_end(found, end)))
    return ranges


def has_reason(lines, line):
    """Whether a comment at `line` (from 1), or those directly above it, say why."""
    if REASON.search(lines[line - 1]):
        return True
    above = line - 2
    while above >= 0 and lines[above].lstrip().startswith("//"):
        if REASON.search(lines[above]):
            return True
        above -= 1
    return False


def sleeping(text, ranges):
    """Lines of `text` that sleep without a reason, in the ranges of tokens."""
    if not any(f"{name}(" in text for name in [*NAMES, "timeout"]):
        return []
    found, lines, bad = tokens(text), text.splitlines(), []
    paused = paused_parts(found)
    for index in range(1, len(found) - 1):
        name, line = found[index][1], found[index][2]
        if found[index + 1][1] != "(" or found[index - 1][1] in ("fn", "."):
            continue
        if name == "timeout":
            behind = group_end(found, index + 1)
            if [text for _, text, _ in found[behind : behind + 4]] != [".", "await", ".", "is_err"]:
                continue
        elif name not in NAMES:
            continue
        if any(index in part for part in ranges) and not any(index in part for part in paused) and not has_reason(lines, line):
            bad.append(line)
    return bad


def places(root):
    """[(file from `root`, line)] of all sleeps without a reason in the crates' tests."""
    bad, for_tests = [], set()
    sources = sorted(path for path in root.glob("crates/*/src/**/*.rs"))
    parts = {}
    for path in sources:
        text = path.read_text(encoding="utf-8")
        parts[path], files = test_parts(path, tokens(text)) if "test" in text else ([], [])
        for file in files:
            for candidate in (file, file.with_suffix("") / "mod.rs"):
                for_tests |= {candidate, *candidate.with_suffix("").glob("**/*.rs")}
                if candidate.name == "mod.rs":
                    for_tests |= set(candidate.parent.glob("**/*.rs"))
    for path in sources + sorted(root.glob("crates/*/tests/**/*.rs")):
        everything = path in for_tests or path not in parts
        text = path.read_text(encoding="utf-8")
        ranges = [range(len(text))] if everything else parts[path]
        bad += [(path.relative_to(root).as_posix(), line) for line in sleeping(text, ranges)]
    return bad


def complaints(found, allowed):
    """What is wrong, and which entries of `allowed` nothing needs any more."""
    lines = [
        f"{file}:{line}: a test sleeps; see .ci/sleeps.py"
        for file, line in found
        if not any(file.startswith(place) for place in allowed)
    ]
    for place in allowed:
        if not any(file.startswith(place) for file, _ in found):
            lines.append(f"{place}: listed as a place that may sleep, but it does not")
    return lines


PAUSED = """#[tokio::test(start_paused = true)]
#[allow(x)]
async fn paused() { sleep(SECOND).await; assert!(timeout(SECOND, f()).await.is_err()); }
"""

SELF_TEST = [
    ("a/tests/all.rs", "use tokio::time::sleep;\nfn f() {\n    sleep(x);\n    std::thread::sleep(y);\n}\n", [3, 4]),
    ("a/tests/deep/b.rs", PAUSED + "#[tokio::test]\nasync fn real() { sleep(SECOND).await; }\n", [5]),
    ("a/tests/deep/c.rs", "fn f() {\n    // Real time: why.\n    // More.\n    sleep(x);\n    // Why.\n    sleep(x);\n}", [6]),
    ("a/tests/deep/d.rs", "fn f() {\n    sleep(x); // in paused time\n    // Real time.\n\n    sleep(x);\n}", [5]),
    ("a/tests/e.rs", "fn f() {\n    timeout(a, b).await.unwrap();\n    timeout(a, b()).await.is_err();\n}", [3]),
    ("a/tests/f.rs", "fn sleep() {}\nfn f() {\n    x.sleep(1);\n    // sleep(x)\n    \"sleep(x)\";\n}", []),
    ("a/src/lib.rs", "fn f() { sleep(x) }\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod g { fn f() {\n sleep(x) } }\n", [6]),
    ("a/src/tests.rs", "mod deep;\nfn f() { sleep(x) }\n", [2]),
    ("a/src/tests/deep.rs", "fn f() { thread::sleep(x) }\n", [1]),
    ("a/src/b.rs", "#[cfg(test)]\nuse x;\nfn f() { sleep(x) }\n#[cfg(all(test, unix))]\nmod c {\nfn f() { sleep(x) }\n}", [6]),
    ("a/src/b/other.rs", "fn f() { sleep(x) }\n#[cfg(test)]\n#[path = \"there.rs\"]\nmod d;\n", []),
    ("a/src/b/there.rs", "fn f() { thread::park_timeout(x) }\n", [1]),
]


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text, _ in SELF_TEST:
            path = root / "crates" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        found = places(root)
    expected = sorted((f"crates/{name}", line) for name, _, lines in SELF_TEST for line in lines)
    assert sorted(found) == expected, found
    assert len(complaints(found, {})) == len(expected)
    assert len(complaints(found, {"crates/a/tests/deep": "a reason"})) == len(expected) - 3
    assert "listed" in complaints([], {"crates/a/tests/deep": "a reason"})[0]
    print("sleeps: all as expected")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    lines = complaints(places(Path(__file__).resolve().parent.parent), ALLOWED)
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
