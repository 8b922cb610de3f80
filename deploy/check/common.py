"""What the checks share: problems that are gathered, YAML that refuses a key twice, flags that the program has."""

import re
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parent.parent
REPOSITORY = DEPLOY.parent

# A password between `//` and `@` of a URL.
URL_WITH_PASSWORD = re.compile(r"://[^/@\s:]*:[^/@\s]+@|[?&]password=")
# Names of environment variables that hold secrets.
SECRET_NAME = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|API_KEY|TOKEN|PGPASS")


class Problems:
    """Everything that is wrong, so that one run tells all of it."""

    def __init__(self):
        self.found = []

    def unless(self, holds, message):
        if not holds:
            self.found.append(message)


class OnceLoader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice; PyYAML would take the last one."""


def _mapping(loader, node, deep=False):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", node.start_mark)
    loader.flatten_mapping(node)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


OnceLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def documents(text):
    return [document for document in yaml.load_all(text, OnceLoader) if document is not None]


def pinned(image):
    """Whether an image is named with a version."""
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag not in ("", "latest")


def flags_of(command):
    """The flags in the command line's help in docs/cli.md; None while the program has no such command."""
    text = (REPOSITORY / "docs/cli.md").read_text()
    section = text.partition(f"\n$ afterimage {command} --help\n")[2].partition("\n$ afterimage ")[0]
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", section, re.M)) or None


def check_command(problems, where, words):
    """The program's arguments, the first of which is the command, name flags that it has."""
    known = flags_of(words[0])
    if known is None:
        return
    for word in words[1:]:
        flag = word.partition("=")[0]
        problems.unless(flag in known, f"{where}: `afterimage {words[0]}` has no {flag}")


def check_links(problems):
    """Links of the pages in deploy/ lead to files; those in docs/ are looked at by a test of the program."""
    for page in DEPLOY.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            exists = "://" in target or (page.parent / target).exists()
            problems.unless(exists, f"{page.relative_to(REPOSITORY)}: {target}: no such file")
