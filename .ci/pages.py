#!/usr/bin/env python3
"""Finds names in docs/contributing that are in no source any more: files, functions, types, tests, variables.

Whatever stands there as code is looked at: a path has to be the end of a file's or folder's path in the repository, and each
word of four letters or more has to stand somewhere in the sources. `<!-- invented: … -->` lists words that a page makes up.

Usage: pages.py              exit status 1 if there is one
       pages.py --self-test
"""

import re
import sys
import tempfile
from pathlib import Path

from links import PASSED_OVER

ROOT = Path(__file__).resolve().parent.parent
PAGES = "docs/contributing"

SOURCES = {".rs", ".py", ".sh", ".toml", ".sql", ".yml", ".yaml", ".json", ".mjs", ".js", ".md", ".svg", ""}
# What has the words of the pages from the pages themselves.
NOT_SOURCES = {"docs", ".github"}
LARGE = 1 << 20

_PATH = re.compile(r"^[\w.*-]+(/[\w.*-]+)+/?$|^[\w-]+/$|^[\w-]+\.(rs|py|md|toml|sh|sql|json|txt|yml|js|mjs)$")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{3,}")
_INVENTED = re.compile(r"<!-- invented: (.*?) -->", re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def tree(root):
    """All files and folders below `root`, as paths from it."""
    found, folders = [], [root]
    while folders:
        for path in folders.pop().iterdir():
            if path.name in PASSED_OVER or path.name.startswith("target-") or path.is_symlink():
                continue
            found.append(path.relative_to(root).as_posix())
            if path.is_dir():
                folders.append(path)
    return found


def words(root, names):
    """Every word of the sources, and every part of a file's name."""
    found = set()
    for name in names:
        found.update(_WORD.findall(name))
        path = root / name
        is_source = path.suffix in SOURCES and name.split("/")[0] not in NOT_SOURCES
        if is_source and path.is_file() and path.stat().st_size <= LARGE:
            found.update(_WORD.findall(path.read_text(encoding="utf-8", errors="ignore")))
    return found


def blanked(text):
    """`text` without blocks and comments, each line where it was."""
    for pattern in (_BLOCK, _INVENTED):
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text


def complaints(root):
    """Names that the pages of `root` have and its sources have not."""
    names = tree(root)
    ends = {"/".join(parts[start:]) for parts in (name.split("/") for name in names) for start in range(len(parts))}
    known, found, count = words(root, names), [], 0
    for page in sorted((root / PAGES).glob("*.md")):
        text = page.read_text(encoding="utf-8")
        invented = " ".join(_INVENTED.findall(text)).split()
        for match in _CODE.finditer(blanked(text)):
            code, line = match[1], text.count("\n", 0, match.start()) + 1
            if any(word in code for word in invented):
                continue
            count += 1
            if _PATH.match(code):
                wrong = [] if "*" in code or code.strip("/") in ends else [code]
            else:
                wrong = [word for word in _WORD.findall(code) if word not in known]
            found += [f"{page.relative_to(root)}:{line}: `{word}` is nowhere" for word in wrong]
    if not count:
        found.append(f"{PAGES} names nothing")
    return found, f"pages: {count} names"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / PAGES).mkdir(parents=True)
        (root / "crates/a/src").mkdir(parents=True)
        (root / "crates/a/src/lib.rs").write_text("pub fn known() {}", encoding="utf-8")
        page = "<!-- invented: acme -->\n`src/lib.rs` `lib.rs` `src/` `known(x)` `acme/none.rs`\n```\n`nothing`\n```\n"
        (root / PAGES / "x.md").write_text(page, encoding="utf-8")
        assert complaints(root) == ([], "pages: 4 names"), complaints(root)
        (root / PAGES / "x.md").write_text("`src/none.rs`\n`known` `unknown::known`\n`none/`", encoding="utf-8")
        lines = [line.removeprefix(f"{PAGES}/x.md:").removesuffix(" is nowhere") for line in complaints(root)[0]]
        assert lines == ["1: `src/none.rs`", "2: `unknown`", "3: `none/`"], lines
    print("pages: all as expected")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    found, summary = complaints(ROOT)
    for complaint in found:
        print(complaint)
    print(summary)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
