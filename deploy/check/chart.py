"""The chart, rendered for every set of values: lint, schemas of Kubernetes and of the two custom resources, and house rules."""

import copy
import json
import re
from pathlib import Path

import cloudcoil.models.keda.v1alpha1 as keda
import cloudcoil.models.prometheus_operator.v1 as operator
import helm_python
import kubernetes_validate
import yaml

from common import DEPLOY, SECRET_NAME, URL_WITH_PASSWORD, check_command, documents, pinned

CHART = DEPLOY / "helm/afterimage"
VALUES = DEPLOY / "helm/values"
# The oldest that the chart allows with a schema at hand, and one that is new.
VERSIONS = ("1.30", "1.36")
CUSTOM = {"ScaledObject": keda.ScaledObject, "ServiceMonitor": operator.ServiceMonitor}


def check(problems, work):
    chart = helm_python.Chart.load(str(CHART))
    sets = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(VALUES.glob("*.yaml"))}
    count = 0
    for name, values in sets.items():
        report = helm_python.lint(str(CHART), values, strict=True, namespace="pictures")
        for message in [*report["errors"], *(m["error"] for m in report["messages"] if m["severity"] >= 2)]:
            problems.found.append(f"{name}: lint: {message}")
        rendered = render(chart, values)
        notes = rendered.pop("NOTES.txt")
        try:
            resources = [document for text in rendered.values() for document in documents(text)]
        except yaml.YAMLError as error:
            problems.found.append(f"{name}: {error}")
            continue
        (Path(work) / f"{name}.yaml").write_text(yaml.safe_dump_all(resources))
        for resource in resources:
            validate(problems, f"{name}: {resource['kind']} {resource['metadata']['name']}", resource)
        if problems.found:
            # What follows takes the resources for well-formed.
            continue
        house_rules(problems, name, resources)
        connections(problems, name, resources, notes)
        count += len(resources)
    if not problems.found:
        steps(problems, chart, sets["pools"])
    refusals(problems, chart, sets)
    return f"chart: {len(sets)} sets of values, {count} resources, {len(REFUSED)} refusals"


def render(chart, values):
    rendered = chart.render(values, name="pictures", namespace="pictures")
    return {path.rpartition("/")[2]: text for path, text in rendered.items()}


def validate(problems, where, resource):
    if resource["kind"] in CUSTOM:
        try:
            CUSTOM[resource["kind"]].model_validate(resource, extra="forbid")
        except ValueError as error:
            problems.found.append(f"{where}: {error}")
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            problems.found.append(f"{where}: Kubernetes {version}: {error}")


def pod_of(resource):
    return resource.get("spec", {}).get("template", {}).get("spec") if resource["kind"] in ("Deployment", "Job") else None


def house_rules(problems, name, resources):
    text = yaml.safe_dump_all(resources)
    problems.unless(not URL_WITH_PASSWORD.search(text), f"{name}: a URL holds a password")
    workloads = [resource for resource in resources if pod_of(resource)]
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in workloads]
    deployments = {resource["metadata"]["name"] for resource in resources if resource["kind"] == "Deployment"}
    ids = [(resource["kind"], resource["metadata"]["name"]) for resource in resources]
    problems.unless(len(ids) == len(set(ids)), f"{name}: a resource is there twice")
    for resource in resources:
        where = f"{name}: {resource['kind']} {resource['metadata']['name']}"
        spec = resource.get("spec", {})
        problems.unless(resource["kind"] != "Secret", f"{where}: the chart makes no Secret")
        if resource["kind"] == "Service":
            selects(problems, where, spec["selector"], labels)
        for key in ("selector", "podSelector"):
            if resource["kind"] in ("PodDisruptionBudget", "NetworkPolicy") and key in spec:
                selects(problems, where, spec[key].get("matchLabels", {}), labels)
        if "scaleTargetRef" in spec:
            problems.unless(spec["scaleTargetRef"]["name"] in deployments, f"{where}: there is no such Deployment")
            target = next(w for w in workloads if w["metadata"]["name"] == spec["scaleTargetRef"]["name"])
            problems.unless("replicas" not in target["spec"], f"{where}: the Deployment sets replicas, too")
    for workload in workloads:
        where = f"{name}: {workload['kind']} {workload['metadata']['name']}"
        pod_rules(problems, where, pod_of(workload))
        if workload["kind"] == "Deployment":
            deployment_rules(problems, where, workload)
    api = [d for d in deployments if d.endswith("-api")]
    budgets = {resource["metadata"]["name"] for resource in resources if resource["kind"] == "PodDisruptionBudget"}
    problems.unless(len(api) == 1 and set(api) <= budgets, f"{name}: one API Deployment with a budget is needed")


def selects(problems, where, wanted, labels):
    problems.unless(any(wanted.items() <= of_pod.items() for of_pod in labels), f"{where}: selects no pod")


def pod_rules(problems, where, pod):
    security = pod["securityContext"]
    problems.unless(security.get("runAsNonRoot") and security.get("seccompProfile"), f"{where}: pod's security context")
    problems.unless(pod.get("automountServiceAccountToken") is False, f"{where}: mounts a token")
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        security = container["securityContext"]
        problems.unless(
            security.get("readOnlyRootFilesystem") and security.get("allowPrivilegeEscalation") is False
            and security["capabilities"]["drop"] == ["ALL"],
            f"{where}: container's security context",
        )
        problems.unless(pinned(container["image"]), f"{where}: {container['image']} has no version")
        problems.unless("command" not in container, f"{where}: a command in place of the image's entry point")
        problems.unless({m["name"] for m in container["volumeMounts"]} <= volumes, f"{where}: mounts an unknown volume")
        resources = container["resources"]
        problems.unless("memory" in resources["limits"] and "cpu" in resources["requests"], f"{where}: resources")
        names = [variable["name"] for variable in container["env"]]
        problems.unless(len(names) == len(set(names)), f"{where}: a variable is there twice")
        for variable in container["env"]:
            inline = SECRET_NAME.search(variable["name"]) and "value" in variable
            problems.unless(not inline, f"{where}: {variable['name']} is given inline")
        check_command(problems, where, container["args"])


def deployment_rules(problems, where, deployment):
    pod = pod_of(deployment)
    (container,) = pod["containers"]
    rolling = deployment["spec"]["strategy"]["rollingUpdate"]
    problems.unless(container["livenessProbe"]["httpGet"]["path"] == "/healthz", f"{where}: liveness")
    problems.unless(container["readinessProbe"]["httpGet"]["path"] == "/readyz", f"{where}: readiness")
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        problems.unless(container[probe]["httpGet"]["port"] in ports, f"{where}: {probe} asks an unknown port")
    if container["args"][0] == "worker":
        finish = int(next(a for a in container["args"] if a.startswith("--finish-within=")).partition("=")[2])
        problems.unless(pod["terminationGracePeriodSeconds"] == finish + 15, f"{where}: grace is not finish-within and 15")
        gpus = any("gpu" in name for name in container["resources"]["limits"])
        problems.unless(rolling["maxSurge"] == (0 if gpus else 1), f"{where}: maxSurge")
        problems.unless(gpus == any(a.startswith("--device=cuda") for a in container["args"]), f"{where}: device")
    else:
        problems.unless(rolling["maxUnavailable"] == 0, f"{where}: maxUnavailable")
        problems.unless(container["lifecycle"]["preStop"]["sleep"]["seconds"] == 5, f"{where}: preStop")


def connections(problems, name, resources, notes):
    """The notes' sum, counted again from what was rendered: 4 and slots / 8 for each process, one that listens, 2 of migrate."""
    scaled = {r["spec"]["scaleTargetRef"]["name"]: r["spec"] for r in resources if "scaleTargetRef" in r.get("spec", {})}
    together = 2
    for deployment in (r for r in resources if r["kind"] == "Deployment"):
        (container,) = pod_of(deployment)["containers"]
        models = sum(a.startswith("--model=") for a in container["args"])
        processes = next((int(v["value"]) for v in container["env"] if v["name"] == "AFTERIMAGE_WORKERS"), 0)
        slots = processes * max(1, models)
        scaler = scaled.get(deployment["metadata"]["name"])
        if scaler:
            target = json.dumps(scaler.get("triggers") or scaler["metrics"])
            problems.unless(f'"{2 * slots}"' in target, f"{name}: {deployment['metadata']['name']}: the target is not 2 for each slot")
        pods = (scaler.get("maxReplicaCount") or scaler["maxReplicas"]) if scaler else deployment["spec"]["replicas"]
        pods += deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        together += pods * (4 + -(-slots // 8) + 1)
    told = re.search(r"together +(\d+)", notes)
    problems.unless(told and int(told[1]) == together, f"{name}: the notes tell {told and told[1]} connections, not {together}")


def steps(problems, chart, values):
    """An upgrade in steps, as docs/scale-out.md has it: with the old tag for API servers only workers are replaced."""
    before, between, after = (
        {
            resource["metadata"]["name"]: resource["spec"]["template"]
            for text in render(chart, merged(copy.deepcopy(values), change)).values()
            for resource in (documents(text) if "kind: Deployment" in text else [])
            if resource["kind"] == "Deployment"
        }
        for change in ({"image": {"tag": "1"}}, {"image": {"tag": "2"}, "api": {"imageTag": "1"}}, {"image": {"tag": "2"}})
    )
    for name in before:
        api = name.endswith("-api")
        problems.unless((before[name] == between[name]) == api, f"upgrade in steps: {name} in the first one")
        problems.unless((between[name] == after[name]) != api, f"upgrade in steps: {name} in the second one")


# Changes of values/demo.yaml that the chart has to refuse, and a word of why.
REFUSED = [
    ({"database": {"url": "postgres://a:secret@db/afterimage"}}, "/database/url"),
    ({"database": {"url": "postgres://a@db/afterimage?password=secret"}}, "/database/url"),
    ({"database": {"url": ""}}, "/database"),
    ({"database": {"url": "postgres://a@db/afterimage?pooler=transaction"}}, "directUrl"),
    ({"database": {"password": "secret"}}, "password"),
    ({"storage": {"url": "s3://key:secret@bucket/prefix"}}, "/storage/url"),
    ({"storage": {"secretAccessKey": "secret"}}, "secretAccessKey"),
    ({"apiKey": {"value": "secret"}}, "value"),
    ({"image": {"tag": "latest"}}, "/image/tag"),
    ({"replicas": 3}, "replicas"),
    ({"pools": []}, "/pools"),
    ({"pools": [{"name": "api"}]}, "/pools/0/name"),
    ({"pools": [{"name": "a", "autoscaling": {"minReplicas": 0}}]}, "minReplicas"),
    ({"pools": [{"name": "a", "autoscaling": {"kind": "hpa", "scaleToZero": True}}]}, "keda"),
    ({"pools": [{"name": "a", "autoscaling": {"kind": "keda", "scaleToZero": True, "source": "pool"}}]}, "source"),
    ({"pools": [{"name": "a", "base": "/m", "models": ["a=base=/m"]}]}, "not both"),
]


def refusals(problems, chart, sets):
    for change, word in REFUSED:
        values = merged(copy.deepcopy(sets["demo"]), change)
        try:
            chart.validate_schema(values)
            render(chart, values)
        except helm_python.HelmError as error:
            problems.unless(word in str(error), f"{change}: refused, but not for {word}: {error}")
        else:
            problems.found.append(f"the chart takes {change}")


def merged(values, change):
    for key, value in change.items():
        values[key] = merged(values.get(key, {}), value) if isinstance(value, dict) else value
    return values
