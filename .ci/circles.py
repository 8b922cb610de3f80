#!/usr/bin/env python3
"""Finds circles of files: file A uses something of file B, and B, directly or round about, something of A.

For every crate of the workspace, from `use` lines and from paths in code. A name that a module merely hands on
(`pub use child::Name`) counts for the file that defines it. So a parent that declares its children and hands on what
they have has no arrow down to them; one whose own code uses a child has, and a child that uses what the parent itself
defines then closes a circle. Code for tests (`#[cfg(test)]`) does not count.

Usage: circles.py [PACKAGE…]     all packages of the workspace by default; exit status 1 if there is a circle
       circles.py --self-test    the tests of this script
"""

import sys
from collections import deque
from pathlib import Path

from rust_modules import crate_roots, read_crate

# Paths into these never lead to a file of the crate.
ELSEWHERE = {"", "std", "core", "alloc", "Self"}


class Found:
    """What a path leads to: a module, or an item and the file that defines it."""

    def __init__(self, module, is_item):
        self.module, self.is_item = module, is_item


def start(module, path):
    """The module in which to look for the rest of `path`, and that rest; None if it lies elsewhere."""
    first = path[0]
    if first in ELSEWHERE:
        return None
    if first == "crate":
        return module.root(), path[1:]
    if first not in ("self", "super"):
        return module, path
    rest = path[1:] if first == "self" else path
    while rest and rest[0] == "super":
        if module.parent is None:
            return None
        module, rest = module.parent, rest[1:]
    return module, rest


def resolve(module, path, pending=frozenset()):
    """Follows `path` as code of `module` has it; None if it leads out of the crate."""
    begun = start(module, path)
    if begun is None:
        return None
    inside, rest = begun
    is_rooted = len(rest) < len(path)
    return look_up(inside, rest, pending, is_rooted)


def look_up(module, rest, pending, is_rooted):
    if not rest:
        return Found(module, False)
    name, after = rest[0], rest[1:]
    if after and name in module.children:
        return look_up(module.children[name], after, pending, True)
    if name in module.items or name in module.macros:
        return Found(module, True)
    for use in module.uses:
        key = (id(module), id(use), name)
        if key in pending:
            continue
        if use.name == name:
            found = resolve(module, use.path, pending | {key})
            return found and (found if found.is_item else look_up(found.module, after, pending | {key}, True))
    if name in module.children:
        return look_up(module.children[name], after, pending, True)
    for use in module.uses:
        key = (id(module), id(use), name)
        if use.name == "*" and key not in pending:
            target = resolve(module, use.path, pending | {key})
            found = target and not target.is_item and look_up(target.module, rest, pending | {key}, False)
            if found:
                return found
    # Made by a macro, or not of this crate.
    return Found(module, True) if is_rooted else None


def arrows(root):
    """{file: {other file: line}} of a crate; `line` is the first in `file` that uses something of the other."""
    graph = {}

    def add(module, found, line):
        if found and found.is_item and found.module.file != module.file:
            lines = graph.setdefault(module.file, {})
            lines[found.module.file] = min(line, lines.get(found.module.file, line))

    for module in root.everything():
        graph.setdefault(module.file, {})
        for use in module.uses:
            found = resolve(module, use.path, frozenset({(id(module), id(use), use.path[0] if use.path else "")}))
            if found is None:
                continue
            is_handed_on = use.is_public and found.module.is_inside(module)
            if use.name == "*" and not found.is_item:
                if not is_handed_on:
                    for name, _ in module.names.items():
                        if name not in module.items:
                            add(module, look_up(found.module, (name,), frozenset(), False), use.line)
            elif not is_handed_on or use.name in module.names:
                add(module, found, use.line)
        for path, line in module.paths:
            add(module, resolve(module, path), line)
        # Macros by rules are in scope below their definition without any path.
        for name, line in module.names.items():
            ancestor = module.parent
            while ancestor is not None:
                if name in ancestor.macros and name not in module.macros:
                    add(module, Found(ancestor, True), line)
                ancestor = ancestor.parent
    return graph


def components(graph):
    """The strongly connected components with more than one file (Tarjan's algorithm)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, {}):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            place = stack.index(node)
            component = stack[place:]
            del stack[place:]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def shortest_circle(graph, node, component):
    """The shortest way from `node` back to it."""
    before, waiting = {}, deque([node])
    while waiting:
        current = waiting.popleft()
        for other in sorted(graph[current]):
            if other == node:
                backwards = [node]
                while current != node:
                    backwards.append(current)
                    current = before[current]
                return [node, *reversed(backwards)]
            if other in component and other not in before:
                before[other] = current
                waiting.append(other)
    return []


def circles(root_file):
    """Circles of a crate as chains of (file, line of the arrow to the next); every file in a circle is in some chain."""
    graph = arrows(read_crate(root_file))
    chains = []
    for component in components(graph):
        covered = set()
        for node in component:
            if node in covered:
                continue
            chain = shortest_circle(graph, node, set(component))
            covered.update(chain)
            chains.append([(file, graph[file][other]) for file, other in zip(chain, chain[1:])])
    return chains


def main(arguments):
    if arguments == ["--self-test"]:
        import circles_test

        return circles_test.run()
    workspace = Path(__file__).resolve().parent.parent
    packages = [Path(argument).resolve() for argument in arguments] or sorted((workspace / "crates").iterdir())
    roots = [root for package in packages for root in crate_roots(package)]
    if not roots:
        print("circles: no crate found", file=sys.stderr)
        return 2
    seen, count = set(), 0
    for root in roots:
        for chain in circles(root):
            # Files that several tests share are told once.
            key = frozenset(file for file, _ in chain)
            if key in seen:
                continue
            seen.add(key)
            count += 1
            shown = [file.relative_to(workspace) if file.is_relative_to(workspace) else file for file, _ in chain]
            print(" -> ".join(str(file) for file in [*shown, shown[0]]))
            for name, (file, line) in zip(shown, chain):
                print(f"    {name}:{line}: {file.read_text(encoding='utf-8').splitlines()[line - 1].strip()}")
    print(f"{count} circles of files in {len(roots)} crates")
    return 1 if count else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
