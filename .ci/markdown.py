"""What links.py and book.py have to know of Markdown: where links stand, and which anchors headings have."""

import posixpath
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

# Opens or closes a block of code; whatever quotes or lists it stands in.
_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})(.*)$")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$")
_CODE = re.compile(r"(?<![`\\])(`+)(?!`)((?:(?!\n[ \t]*\n).)+?)(?<!`)\1(?!`)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TITLE = r"""(?:\s+(?:"[^"]*"|'[^']*'))?"""
_INLINE = re.compile(rf"\]\(\s*(<[^<>\n]*>|[^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*){_TITLE}\s*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]*(\S+)", re.MULTILINE)
_HTML = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)=["']([^"'\n]*)["']""")
_ID = re.compile(r"""<[a-z]+\b[^>]*?\b(?:id|name)=["']([^"'\n]*)["']""")


@dataclass(frozen=True)
class Link:
    """A link or picture: `text[start:end]` is its target, `text[first:last]` all of it, `text[closing]` the bracket that ends
    its text, where it has one."""

    target: str
    start: int
    end: int
    first: int
    last: int
    closing: int | None
    line: int


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def _without_blocks(text):
    """`text` with fenced blocks of code blanked, as long as before."""
    lines, fence = [], None
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence is None and mark and not ("`" in mark[1] and "`" in mark[2]):
            fence = mark[1]
            lines.append(_blank(line))
        elif fence is not None:
            lines.append(_blank(line))
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = None
        else:
            lines.append(line)
    return "\n".join(lines)


def prose(text):
    """`text` with everything blanked that is code or a comment, as long as before."""
    text = _COMMENT.sub(lambda found: _blank(found[0]), _without_blocks(text))
    return _CODE.sub(lambda found: _blank(found[0]), text)


def links(text):
    """The links and pictures of `text`, in order."""
    shown, found = prose(text), []

    def add(match, first, last, closing=None):
        (start, end), line = match.span(1), text.count("\n", 0, match.start()) + 1
        target = text[start:end].strip("<>")
        found.append(Link(target, start, end, first, last, closing, line))

    for match in _INLINE.finditer(shown):
        first = _opening(shown, match.start())
        if first is not None:
            add(match, first, match.end(), match.start())
    for pattern in (_DEFINITION, _HTML):
        for match in pattern.finditer(shown):
            add(match, *match.span())
    return sorted(found, key=lambda link: link.start)


def _opening(shown, closing):
    """Where the link begins whose text ends with the bracket at `closing`."""
    depth = 0
    for place in range(closing, -1, -1):
        depth += {"]": 1, "[": -1}.get(shown[place], 0)
        if depth == 0:
            return place - 1 if place and shown[place - 1] == "!" else place
    return None


def _slug(title):
    """A heading's anchor as GitHub makes it, and mdBook."""
    parts = []
    for number, part in enumerate(re.split(r"`+", title)):
        if number % 2 == 0:
            part = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", part)
            part = re.sub(r"<[^>]*>", "", part)
        parts.append(part)
    kept = (letter for letter in "".join(parts).strip().lower() if letter.isalnum() or letter in " -_")
    return "".join(kept).replace(" ", "-")


def anchors(text):
    """What `#…` may name in `text`."""
    found = set(_ID.findall(prose(text)))
    for line in _without_blocks(text).split("\n"):
        heading = _HEADING.match(line)
        if heading:
            slug = _slug(heading[1])
            number, free = 0, slug
            while free in found:
                number += 1
                free = f"{slug}-{number}"
            found.add(free)
    return found


def is_elsewhere(target):
    """Whether `target` is no place in this repository."""
    return bool(urlsplit(target).scheme) or target.startswith("//")


def resolved(document, target):
    """The path from the repository's root that a link of `document` names, and its anchor; `..` first: it leads out."""
    path, _, anchor = target.partition("#")
    path = unquote(path.partition("?")[0])
    if not path:
        return document, unquote(anchor)
    return posixpath.normpath(posixpath.join(posixpath.dirname(document), path)), unquote(anchor)
