#!/usr/bin/env python3
"""A preprocessor of mdBook: pages that lie outside of its folder become part of the site, and links follow.

The documents are written for whoever reads them as files of the repository: docs/SUMMARY.md names the README and others by
`../README.md`, and links lead to sources. mdBook wants all pages below its folder. So pages get a place in the site (a page
of `docs/` its own without `docs/`, another its path from the repository's root), links between pages follow, and what is no
page becomes a link to the repository where book.toml names one (`git-repository-url`), else plain text.

Usage: book.py supports RENDERER, or context and book on standard input, as mdBook calls it
       book.py --self-test
"""

import json
import posixpath
import sys
from pathlib import Path

from markdown import is_elsewhere, links, resolved

ROOT = Path(__file__).resolve().parent.parent


def place(document, source):
    """Where the page `document` stands in the site; READMEs are the pages of their folders."""
    inside = document.removeprefix(f"{source}/")
    folder, name = posixpath.split(inside)
    return posixpath.join(folder, "index.md") if name == "README.md" else inside


def relative(target, page):
    """The way from the page `page` to `target`, both from the site's root."""
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def moved(text, document, places, source, repository, root):
    """`text` of the page `document` with links that hold in the site."""
    page, edits = places[document], []
    for link in links(text):
        if is_elsewhere(link.target) or link.target.startswith("#"):
            continue
        path, anchor = resolved(document, link.target)
        anchor = f"#{anchor}" if anchor else ""
        # A folder of pages is the first of them.
        path = next((name for name in places if posixpath.dirname(name) == path), path)
        if path in places:
            edits.append((link.start, link.end, relative(places[path], page) + anchor))
        elif path.startswith(f"{source}/") and not path.endswith(".md") and (root / path).is_file():
            # mdBook copies what is no Markdown.
            edits.append((link.start, link.end, relative(place(path, source), page)))
        elif repository:
            kind = "tree" if (root / path).is_dir() else "blob"
            edits.append((link.start, link.end, f"{repository.rstrip('/')}/{kind}/main/{path}{anchor}"))
        elif link.closing is not None:
            # Its text alone. What has none stays as it is, and links.py finds it in the site.
            edits += [(link.first, text.index("[", link.first) + 1, ""), (link.closing, link.last, "")]
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def chapters(items):
    """All chapters with a file, those below others too."""
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter:
            if chapter.get("source_path"):
                yield chapter
            yield from chapters(chapter["sub_items"])


def preprocess(context, book, root=ROOT):
    """Changes `book` in place."""
    config = context["config"]
    source = config["book"].get("src", "src")
    repository = config.get("output", {}).get("html", {}).get("git-repository-url")
    # The field was renamed in mdBook 0.5.
    pages = list(chapters(book.get("items") or book.get("sections") or []))
    names = [posixpath.normpath(posixpath.join(source, page["source_path"])) for page in pages]
    places = {name: place(name, source) for name in names}
    for name, page in zip(names, pages):
        page["content"] = moved(page["content"], name, places, source, repository, root)
        page["path"] = places[name]


def self_test():
    def chapter(path, text, *below):
        return {"Chapter": {"source_path": path, "path": path, "content": text, "sub_items": list(below)}}

    def built(**html):
        text = "![p](docs/gallery/banner.jpg) [a](docs/architecture.md#b) [b](#c) [d](LICENSE-MIT) [`e`](deploy/helm) [f](x://y) [g](docs/contributing)"
        below = chapter("contributing/x.md", "[r](../../README.md) [g](../gallery/banner.jpg) [d](../../deploy/README.md#x)")
        book = {"items": [chapter("../README.md", text), "Separator", chapter("architecture.md", "[r](../README.md#c)", below)]}
        book["items"].append(chapter("../deploy/README.md", "[a](../docs/architecture.md)\n[x]: Dockerfile\n"))
        preprocess({"config": {"book": {"src": "docs"}, "output": {"html": html}}}, book)
        return [(page["path"], page["content"]) for page in chapters(book["items"])]

    linked = built(**{"git-repository-url": "https://host.example/o/r"})
    place_of = "https://host.example/o/r"
    assert linked == [
        (
            "index.md",
            f"![p](gallery/banner.jpg) [a](architecture.md#b) [b](#c) [d]({place_of}/blob/main/LICENSE-MIT) "
            f"[`e`]({place_of}/tree/main/deploy/helm) [f](x://y) [g](contributing/x.md)",
        ),
        ("architecture.md", "[r](index.md#c)"),
        ("contributing/x.md", "[r](../index.md) [g](../gallery/banner.jpg) [d](../deploy/index.md#x)"),
        ("deploy/index.md", f"[a](../architecture.md)\n[x]: {place_of}/blob/main/deploy/Dockerfile\n"),
    ], linked
    plain = built()
    assert plain[0][1] == "![p](gallery/banner.jpg) [a](architecture.md#b) [b](#c) d `e` [f](x://y) [g](contributing/x.md)", plain
    print("book: all as expected")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if arguments[:1] == ["supports"]:
        return 0 if arguments[1:] == ["html"] else 1
    context, book = json.load(sys.stdin)
    preprocess(context, book)
    json.dump(book, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
