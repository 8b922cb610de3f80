"""The modules of a Rust crate: which file each lies in, what it defines, imports and names.

Not a compiler: a scanner that knows comments, strings, attributes, `mod`, `use` and paths. What is compiled for tests
only (`#[cfg(test)]`, `#[test]`) is left out. What a macro expands to is not seen, except the paths in its arguments.
"""

import re
from pathlib import Path

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      |(?P<comment>/\*)
      |(?P<raw>[bc]?r(?P<hashes>\#*)"(?:.|\n)*?"(?P=hashes))
      |(?P<string>[bc]?"(?:\\(?:.|\n)|[^"\\])*")
      |(?P<char>b?'(?:\\(?:u\{[^}]*\}|.)[0-9a-fA-F]*|[^\\'])')
      |(?P<lifetime>'\w+)
      |(?P<name>(?:r\#)?[^\W\d]\w*)
      |(?P<number>\d\w*)
      |(?P<mark>::|=>|->|.)""",
    re.VERBOSE,
)
TYPES = {"struct", "enum", "union", "trait", "type"}
DEFINING = TYPES | {"fn", "const", "static"}
CLOSING = {"(": ")", "[": "]", "{": "}"}


def tokens(text):
    """(kind, text, line) of everything but space and comments."""
    found, position, line = [], 0, 1
    while position < len(text):
        match = TOKEN.match(text, position)
        end = match.end()
        if match.lastgroup == "comment":
            depth = 1
            while depth and end < len(text):
                step = re.compile(r"/\*|\*/").search(text, end)
                end = step.end() if step else len(text)
                depth += 0 if not step else 1 if step.group() == "/*" else -1
        elif match.lastgroup != "space":
            kind = "string" if match.lastgroup in ("raw", "hashes") else match.lastgroup
            found.append((kind, match.group().removeprefix("r#") if kind == "name" else match.group(), line))
        line += text.count("\n", position, end)
        position = end
    return found


class Use:
    """One imported name: `path as name`; a `name` of `*` stands for all."""

    def __init__(self, path, name, line, is_public):
        self.path, self.name, self.line, self.is_public = path, name, line, is_public


class Module:
    """A module, a file's own or one inside it."""

    def __init__(self, name, parent, file, folder):
        self.name, self.parent, self.file = name, parent, file
        # Where files of child modules are looked for.
        self.folder = folder
        self.children = {}
        self.uses = []
        # Names of items.
        self.items = set()
        # Those of them that are types or traits, with their lines.
        self.types = {}
        self.macros = set()
        # Paths in code: (segments, line).
        self.paths = []
        # Names that code mentions by themselves, with the first line.
        self.names = {}
        self.is_test = False

    def root(self):
        return self.parent.root() if self.parent else self

    def everything(self):
        yield self
        for child in self.children.values():
            yield from child.everything()

    def is_inside(self, other):
        return self is other or (self.parent is not None and self.parent.is_inside(other))


def read_crate(root_file):
    """The module tree of the crate whose root is `root_file` (`lib.rs`, `main.rs`, a test)."""
    root = Module("crate", None, root_file, root_file.parent)
    Reader(root, tokens(root_file.read_text(encoding="utf-8"))).read()
    return root


class Reader:
    """Reads one file into a module."""

    def __init__(self, module, found):
        self.found, self.at = found, 0
        self.module = module

    def text(self, ahead=0):
        index = self.at + ahead
        return self.found[index][1] if 0 <= index < len(self.found) else ""

    def kind(self, ahead=0):
        index = self.at + ahead
        return self.found[index][0] if 0 <= index < len(self.found) else ""

    def line(self):
        return self.found[min(self.at, len(self.found) - 1)][2]

    def group_end(self, start):
        """Index behind the bracket that closes the one at `start`."""
        open_brackets = []
        for index in range(start, len(self.found)):
            kind, text, _ = self.found[index]
            if kind != "mark":
                continue
            if text in CLOSING:
                open_brackets.append(CLOSING[text])
            elif open_brackets and text == open_brackets[-1]:
                open_brackets.pop()
                if not open_brackets:
                    return index + 1
        return len(self.found)

    def read(self, end=None):
        """Reads up to the token `end`."""
        end = len(self.found) if end is None else end
        depth, is_public, path_attribute = 0, False, None
        while self.at < end:
            text = self.text()
            if text == "#" and (self.text(1) == "[" or self.text(1) == "!" and self.text(2) == "["):
                is_inner = self.text(1) == "!"
                is_test, path = self.attribute()
                path_attribute = path or path_attribute
                if is_test and is_inner and depth == 0:
                    self.module.is_test = True
                elif is_test and not is_inner:
                    self.skip_item(end)
                continue
            if self.kind() != "name":
                depth += (text == "{") - (text == "}") if self.kind() == "mark" else 0
                self.at += 1
                is_public = False
                continue
            if text == "pub":
                is_public = True
                is_limited = self.text(1) == "(" and self.text(2) in ("crate", "super", "self", "in")
                self.at = self.group_end(self.at + 1) if is_limited else self.at + 1
                continue
            if text == "use" and self.text(1) != "<":
                self.use(is_public)
            elif text == "mod" and self.kind(1) == "name" and self.text(2) in (";", "{"):
                self.child(path_attribute)
            elif text == "macro_rules" and self.text(1) == "!" and self.kind(2) == "name":
                self.module.macros.add(self.text(2))
                self.at += 3
            elif text in DEFINING and self.kind(1) == "name" and self.text(1) not in DEFINING:
                if depth == 0:
                    self.module.items.add(self.text(1))
                    if text in TYPES:
                        self.module.types.setdefault(self.text(1), self.line())
                self.at += 2
            else:
                self.path()
            is_public, path_attribute = is_public and self.text(-1) in ("unsafe", "async", "const"), None

    def attribute(self):
        """Steps over an attribute. Whether it is for tests only, and the file it names."""
        start = self.at + (2 if self.text(1) == "!" else 1)
        end = self.group_end(start)
        inside = self.found[start + 1 : end - 1]
        words = [text for _, text, _ in inside]
        is_test = words[-1:] == ["test"] or words[:3] == ["cfg", "(", "test"] or words[:5] == ["cfg", "(", "all", "(", "test"]
        path = words[2].strip('"') if words[:2] == ["path", "="] else None
        # Paths that derives take as text: `#[serde(with = "super::base64")]`.
        for kind, text, line in inside if words[:1] == ["serde"] else []:
            segments = tuple(text.strip('"').split("::"))
            if kind == "string" and len(segments) > 1 and all(segment.isidentifier() for segment in segments):
                self.module.paths.append((segments, line))
        # What attributes themselves name (`#[derive(super::Derive)]`) is read as code.
        for index in range(start, end):
            if self.found[index][0] == "name" and self.found[index + 1][1] == "::" and words[:1] != ["doc"]:
                self.at = index
                self.path()
        self.at = end
        return is_test, path

    def skip_item(self, end):
        """Steps over what an attribute stands before: an item, a statement, a field, an arm."""
        while self.text() == "#":
            self.at = self.group_end(self.at + 1)
        while self.text() in ("pub", "unsafe", "async", "extern") or self.kind() == "string":
            self.at += 1
            if self.text(-1) == "pub" and self.text() == "(":
                self.at = self.group_end(self.at)
        keyword = self.text()
        ends_with_block = keyword in ("fn", "struct", "enum", "union", "trait", "impl", "mod", "macro_rules")
        ends_with_block |= keyword == "const" and self.text(1) in ("fn", "unsafe")
        ends_with_semicolon = keyword in ("use", "const", "static", "type", "let")
        while self.at < end:
            text = self.text()
            if text in (")", "]", "}"):
                return
            if text == ";" or text == "," and not ends_with_block and not ends_with_semicolon:
                self.at += 1
                return
            if text in CLOSING:
                self.at = self.group_end(self.at)
                if text == "{" and not ends_with_semicolon:
                    return
            else:
                self.at += 1

    def use(self, is_public):
        line = self.line()
        self.at += 1
        self.use_tree((), line, is_public)

    def use_tree(self, prefix, line, is_public):
        while True:
            if self.text() == "::":
                # From the root of all crates, when nothing stands before.
                prefix = prefix or ("",)
                self.at += 1
            elif self.text() == "{":
                self.at += 1
                while self.text() not in ("}", ""):
                    self.use_tree(prefix, self.line(), is_public)
                    if self.text() == ",":
                        self.at += 1
                self.at += 1
                return
            elif self.text() == "*":
                self.at += 1
                self.module.uses.append(Use(prefix, "*", line, is_public))
                return
            elif self.kind() == "name" and self.text() != "as":
                prefix += (self.text(),)
                self.at += 1
            else:
                break
        if len(prefix) > 1 and prefix[-1] == "self":
            prefix = prefix[:-1]
        name = prefix[-1] if prefix else ""
        if self.text() == "as":
            name = self.text(1)
            self.at += 2
        if prefix:
            self.module.uses.append(Use(prefix, name, line, is_public))

    def child(self, path_attribute):
        name, folder = self.text(1), self.module.folder / self.text(1)
        if self.text(2) == "{":
            end = self.group_end(self.at + 2)
            child = Module(name, self.module, self.module.file, folder)
            parent, self.module = self.module, child
            self.at += 3
            self.read(end - 1)
            self.module, self.at = parent, end
        else:
            self.at += 3
            file = next((path for path in self.files_of(name, path_attribute) if path.is_file()), None)
            if file is None:
                # Generated while building.
                return
            is_folders_own = path_attribute is not None or file.name == "mod.rs"
            child = Module(name, self.module, file, file.parent if is_folders_own else folder)
            Reader(child, tokens(file.read_text(encoding="utf-8"))).read()
        if not child.is_test:
            self.module.children[name] = child

    def files_of(self, name, path_attribute):
        if path_attribute is not None:
            return [self.module.file.parent / path_attribute]
        return [self.module.folder / f"{name}.rs", self.module.folder / name / "mod.rs"]

    def path(self):
        """Reads a path, or a name by itself."""
        before, line = self.text(-1) if self.at else "", self.line()
        segments = [self.text()]
        self.at += 1
        while self.text() == "::" and self.kind(1) == "name":
            segments.append(self.text(1))
            self.at += 2
        if before in (".", "::"):
            return
        if len(segments) > 1:
            self.module.paths.append((tuple(segments), line))
        is_field = self.text() == ":" and self.text(1) != ":"
        if not is_field or len(segments) > 1:
            self.module.names.setdefault(segments[0], line)


def crate_roots(package):
    """Root files of the crates of a package: library, programs, tests, examples, benchmarks."""
    package = Path(package)
    roots = [package / "src" / "lib.rs", package / "src" / "main.rs"]
    for folder in ("src/bin", "tests", "examples", "benches"):
        roots += sorted((package / folder).glob("*.rs"))
        roots += sorted((package / folder).glob("*/main.rs"))
    return [root for root in roots if root.is_file()]
