"""Dashboard and alert rules: expressions that can be parsed, metrics that there are, and no sum over what every process tells
alike."""

import json
import re
from pathlib import Path

import promql_parser as promql
import yaml

from common import DEPLOY, REPOSITORY, OnceLoader

MONITORING = DEPLOY / "monitoring"
# What the program reads from the database when it is asked.
FROM_DATABASE = {
    "afterimage_database_dead_rows",
    "afterimage_database_oldest_snapshot_seconds",
    "afterimage_jobs_ended_total",
    "afterimage_queue_jobs",
    "afterimage_queue_oldest_wait_seconds",
    "afterimage_queue_running_jobs",
    "afterimage_queue_waiting_jobs",
    "afterimage_stored_bytes",
    "afterimage_webhooks_open",
}
SUFFIXES = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}


def check(problems, work):
    exported = exported_metrics()
    problems.unless(FROM_DATABASE <= exported, f"the program no longer exports {FROM_DATABASE - exported}")
    expressions = [*alerts(), *panels(problems)]
    used = set()
    for where, expression in expressions:
        try:
            tree = promql.parse(expression)
        except ValueError as error:
            problems.found.append(f"{where}: {error}: {expression}")
            continue
        for name, summed in metrics_in(tree):
            used.add(name)
            problems.unless(name in exported, f"{where}: {name} is not exported")
            alike = name in FROM_DATABASE
            problems.unless(not (alike and summed), f"{where}: {name} is the same in every process, take max")
    rules = [{"record": f"panel:{number}", "expr": expression} for number, (_, expression) in enumerate(expressions)]
    path = Path(work) / "expressions.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    return f"monitoring: {len(expressions)} expressions, {len(used)} metrics"


def exported_metrics():
    """Names of all samples that registries in the sources export, with the suffixes of their types."""
    names = set()
    for path in (REPOSITORY / "crates").glob("*/src/**/*.rs"):
        text = path.read_text()
        if "Registry" not in text:
            continue
        types = dict(re.findall(r"^\s*(?:pub )?(\w+): (?:Family<.*?\b)?(Counter|Gauge|Histogram)\b", text, re.M))
        for call in re.finditer(r"\.register(_with_unit)?\((.*?)\);", text, re.S):
            arguments = call[2]
            name = re.match(r'\s*"([a-z_]+)"', arguments)
            if not name:
                continue
            unit = re.search(r"Unit::(\w+)", arguments)
            full = "afterimage_" + name[1] + (f"_{unit[1].lower()}" if unit else "")
            kind = types.get(re.findall(r"(\w+)\.clone\(\)", arguments)[-1]) if ".clone()" in arguments else None
            # A type that cannot be told from the text: any of them.
            kinds = [kind] if kind else list(SUFFIXES)
            names.update(full + suffix for kind in kinds for suffix in SUFFIXES[kind])
    return names


def alerts():
    rules = yaml.load((MONITORING / "alerts.yaml").read_text(), OnceLoader)
    return [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]


def panels(problems):
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    problems.unless(len(ids) == len(set(ids)), "dashboard: two panels have one id")
    # What Grafana puts in place of variables.
    variables = {variable["name"]: ".*" for variable in dashboard["templating"]["list"]} | {"__rate_interval": "1m"}
    found = []
    for panel in dashboard["panels"]:
        problems.unless(panel["type"] == "row" or panel["targets"], f"dashboard: {panel['title']} shows nothing")
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(f"${name}", value)
            problems.unless("$" not in expression, f"dashboard: {panel['title']}: unknown variable in {expression}")
            found.append((f"dashboard: {panel['title']}", expression))
    return found


def metrics_in(tree, summed=False):
    """Every metric of an expression, and whether a sum stands right around it, with no max or the like in between."""
    if isinstance(tree, promql.VectorSelector):
        yield tree.name, summed
    elif isinstance(tree, promql.MatrixSelector):
        yield from metrics_in(tree.vector_selector, summed)
    elif isinstance(tree, promql.AggregateExpr):
        yield from metrics_in(tree.expr, str(tree.op) == "sum")
    elif isinstance(tree, promql.BinaryExpr):
        yield from metrics_in(tree.lhs, summed)
        yield from metrics_in(tree.rhs, summed)
    elif isinstance(tree, promql.Call):
        for argument in tree.args:
            yield from metrics_in(argument, summed)
    elif hasattr(tree, "expr"):
        yield from metrics_in(tree.expr, summed)
