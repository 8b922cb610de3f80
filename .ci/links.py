#!/usr/bin/env python3
"""Finds links of the documents that lead nowhere: no such file, or no such heading in it; and pages that the site lacks.

Usage: links.py                 every Markdown file of the repository
       links.py --site FOLDER   every page of a built site
       links.py --self-test

Exit status 1 and one line for each problem. Addresses elsewhere are not asked for.
"""

import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown import anchors, is_elsewhere, links, resolved

ROOT = Path(__file__).resolve().parent.parent

# Folders that hold nobody's documents.
PASSED_OVER = {".git", ".venv", ".whl", "__pycache__", "node_modules", "target", "work"}

# The site's table of contents, and whose Markdown files it has to name.
SUMMARY = "docs/SUMMARY.md"
LISTED = "docs"


def documents(root):
    """The names of all Markdown files below `root`."""
    names, folders = [], [root]
    while folders:
        for path in folders.pop().iterdir():
            if path.is_dir() and not path.is_symlink():
                if path.name not in PASSED_OVER and not path.name.startswith("target-"):
                    folders.append(path)
            elif path.suffix == ".md":
                names.append(path.relative_to(root).as_posix())
    return sorted(names)


def complaints(root):
    """What is wrong with the links of the documents below `root`."""
    texts = {name: (root / name).read_text(encoding="utf-8") for name in documents(root)}
    known = {name: anchors(text) for name, text in texts.items()}
    found, count, summary = [], 0, {SUMMARY}
    for name, text in texts.items():
        for link in links(text):
            if is_elsewhere(link.target):
                continue
            count += 1
            path, anchor = resolved(name, link.target)
            if name == SUMMARY:
                summary.add(path)
            problem = None
            if path.startswith(("/", "..")):
                problem = "leads out of the repository"
            elif not (root / path).exists():
                problem = "no such file"
            elif anchor and path in known and anchor not in known[path]:
                problem = "no such heading"
            if problem:
                found.append(f"{name}:{link.line}: {link.target}: {problem}")
    if SUMMARY in texts:
        missing = [name for name in texts if name.startswith(f"{LISTED}/") and name not in summary]
        found += [f"{name}: {SUMMARY} does not name it" for name in missing]
    if not count:
        found.append("no links were found")
    return found, f"links: {count} in {len(texts)} documents"


class Page(HTMLParser):
    """The links of a page, with their lines, and what can be named in it."""

    def __init__(self):
        super().__init__()
        self.targets, self.ids, self.base = [], set(), None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "base":
            self.base = attributes.get("href")
        self.ids.update(attributes[name] for name in ("id", "name") if attributes.get(name) and tag != "meta")
        for name in ("href", "src"):
            if tag != "base" and attributes.get(name):
                self.targets.append((attributes[name], self.getpos()[0]))


def site_complaints(folder):
    """What is wrong with the links of the pages below `folder`."""
    pages = {}
    for path in sorted(folder.rglob("*.html")):
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        pages[path.resolve()] = page
    found, count = [], 0
    for path, page in pages.items():
        # The page for what is not found is shown at any address.
        if page.base is not None:
            continue
        for target, line in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = place / "index.html" if place.is_dir() else place
            problem = None
            if not place.is_relative_to(folder.resolve()):
                problem = "leads out of the site"
            elif not place.exists():
                problem = "no such file"
            elif parts.fragment and place in pages and unquote(parts.fragment) not in pages[place].ids:
                problem = "no such anchor"
            if problem:
                found.append(f"{path.relative_to(folder.resolve())}:{line}: {target}: {problem}")
    if not count:
        found.append("no links were found")
    return found, f"site: {count} links in {len(pages)} pages"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "docs" / "node_modules").mkdir(parents=True)
        text = (
            "# A `b <c>` [d](x.md)!\n[1](#a-b-c-d) `[no](none)` [2](docs/e.md#f-1 'title')\n```sh\n# g\n[no](none)\n```\n"
            "[![3](docs/p.png)](docs/) <a id='h'></a> [4](#h) [5](https://none.example/#x) ``[no](`none)``\n"
            "<!-- [no](none) -->\n[6]: docs/e.md\n"
        )
        wrong = "[1](none.md)\n[2](README.md#none)\n\n[3](../none) [4](<docs/e.md#g>) [5](docs/e.md#g%20)"
        (root / "README.md").write_text(text, encoding="utf-8")
        (root / "x.md").write_text("", encoding="utf-8")
        (root / "docs/e.md").write_text("## f\n## f\n[1](../README.md#a-b-c-d)\n", encoding="utf-8")
        (root / "docs/p.png").write_bytes(b"")
        (root / "docs/node_modules/not.md").write_text("[1](none)", encoding="utf-8")
        assert complaints(root) == ([], "links: 8 in 3 documents"), complaints(root)
        (root / "x.md").write_text(wrong, encoding="utf-8")
        (root / "docs/SUMMARY.md").write_text("- [f](../README.md)", encoding="utf-8")
        expected = [
            "x.md:1: none.md: no such file",
            "x.md:2: README.md#none: no such heading",
            "x.md:4: ../none: leads out of the repository",
            "x.md:4: docs/e.md#g: no such heading",
            "x.md:4: docs/e.md#g%20: no such heading",
            "docs/e.md: docs/SUMMARY.md does not name it",
        ]
        assert complaints(root)[0] == expected, complaints(root)
        site = root / "site"
        (site / "a").mkdir(parents=True)
        right = "<h1 id='x'>x</h1><a href='a/#y'></a><img src='p.png'><a href='#x'></a><a href='https://none.example/'></a>"
        (site / "index.html").write_text(right, encoding="utf-8")
        (site / "p.png").write_bytes(b"")
        (site / "a/index.html").write_text("<p id='y'></p><a href='../index.html#x'></a>", encoding="utf-8")
        (site / "404.html").write_text("<base href='/'><a href='none'></a>", encoding="utf-8")
        assert site_complaints(site) == ([], "site: 4 links in 3 pages"), site_complaints(site)
        (site / "a/index.html").write_text("<a href='#y'></a>\n<a href='b.html'></a><a href='../../x'></a>", encoding="utf-8")
        expected = [
            "a/index.html:1: #y: no such anchor",
            "a/index.html:2: b.html: no such file",
            "a/index.html:2: ../../x: leads out of the site",
            "index.html:1: a/#y: no such anchor",
        ]
        assert site_complaints(site)[0] == expected, site_complaints(site)
    print("links: all as expected")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if arguments and (arguments[0] != "--site" or len(arguments) != 2):
        print(__doc__, file=sys.stderr)
        return 2
    found, summary = site_complaints(Path(arguments[1])) if arguments else complaints(ROOT)
    for complaint in found:
        print(complaint)
    print(summary)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
