"""The compose file, its example of an environment, and the image's Dockerfile: house rules beside what dclint looks at."""

import re

import yaml

from common import DEPLOY, SECRET_NAME, URL_WITH_PASSWORD, OnceLoader, check_command, pinned


def check(problems):
    text = (DEPLOY / "compose.yaml").read_text()
    compose = yaml.load(text, OnceLoader)
    problems.unless(not URL_WITH_PASSWORD.search(text), "compose: a URL holds a password")
    services = compose["services"]
    for name, service in services.items():
        where = f"compose: {name}"
        problems.unless(pinned(service["image"]), f"{where}: {service['image']} has no version")
        problems.unless("unless-stopped" not in service.get("restart", "") or "healthcheck" in service, f"{where}: no health check")
        for needed in service.get("depends_on", {}):
            problems.unless(needed in services, f"{where}: needs {needed}, which is not there")
        for variable, value in service.get("environment", {}).items():
            inline = SECRET_NAME.search(variable) and not str(value).startswith("${")
            problems.unless(not inline, f"{where}: {variable} is given inline")
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            known = source in compose["volumes"] or source.startswith("${") or (DEPLOY / source).is_file()
            problems.unless(known, f"{where}: there is no volume {source}")
        if service["image"].startswith("afterimage:"):
            own(problems, where, service)
    environment(problems, text)
    dockerfile(problems)
    return f"compose: {len(services)} services"


def own(problems, where, service):
    check_command(problems, where, service["command"])
    problems.unless(service["init"] and service["read_only"] and service["cap_drop"] == ["ALL"], f"{where}: is not confined")
    problems.unless("entrypoint" not in service, f"{where}: an entry point in place of the image's")
    finish = [int(a.partition("=")[2]) for a in service["command"] if a.startswith("--finish-within=")]
    if finish:
        problems.unless(service["stop_grace_period"] == f"{finish[0] + 15}s", f"{where}: grace is not finish-within and 15")
    problems.unless(bool(finish) == (service["command"][0] == "worker"), f"{where}: --finish-within")


def environment(problems, text):
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.M))
    problems.unless(used == set(example), f".env.example and compose.yaml differ in {sorted(used ^ set(example))}")
    for name, value in example.items():
        problems.unless(not SECRET_NAME.search(name) or value == "", f".env.example: {name} has a value")


def dockerfile(problems):
    text = (DEPLOY / "Dockerfile").read_text()
    for image in re.findall(r"^FROM (\S+)", text, re.M):
        problems.unless(pinned(image), f"Dockerfile: {image} has no version")
    last = text.rpartition("\nFROM ")[2]
    problems.unless(re.search(r"^USER [1-9]\d*:", last, re.M), "Dockerfile: the user is not a number above 0")
    problems.unless('\nENTRYPOINT ["/usr/local/bin/afterimage"]\n' in last, "Dockerfile: the entry point is not the program")
