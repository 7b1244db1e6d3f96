"""What every pod, job or held, and everything around it has to be."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
from cluster_build import (
    ROOT,
    Object,
    agents,
    container,
    is_agent,
    names,
    of_kind,
    ours,
    templates,
)
from cluster_registry import VERSION, differing, each, policy

PREFIX = "app.kubernetes.io/"


@policy
def memory_has_a_limit(objects: list[Object]) -> Iterator[str]:
    for _, template in ours(objects):
        resources = container(template)["resources"]
        yield from differing("request", resources["requests"].get("memory"), "128Mi")
        yield from differing("limit", resources["limits"].get("memory"), "128Mi")


@policy
def cpu_has_a_request_and_no_limit(objects: list[Object]) -> Iterator[str]:
    for _, template in templates(objects):
        resources = container(template)["resources"]
        if not re.fullmatch(r"[1-9][0-9]{0,2}m", str(resources["requests"].get("cpu"))):
            yield f"request: {resources['requests'].get('cpu')!r}"
        yield from differing("limit", resources["limits"].get("cpu"), None)


@policy
def no_token(objects: list[Object]) -> Iterator[str]:
    """Only vmagent looks for pods, and for nothing else."""
    for owner, template in templates(objects):
        wanted = is_agent(owner)
        found = template["spec"].get("automountServiceAccountToken")
        yield from differing(owner["metadata"]["name"], found, wanted)
    for one in of_kind(objects, "ServiceAccount"):
        yield from differing("account", one.get("automountServiceAccountToken"), False)
    for one in of_kind(objects, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        if not (list(agents(objects)) and one["kind"] in {"Role", "RoleBinding"}):
            yield f"{one['kind']} {one['metadata']['name']}: no rights are needed"


@policy
def restricted_pods(objects: list[Object]) -> Iterator[str]:
    """The Pod Security Standard "restricted", and our own user."""
    for owner, template in templates(objects):
        name, pod = owner["metadata"]["name"], template["spec"]
        security = pod["securityContext"]
        yield from differing(name, security.get("runAsNonRoot"), True)
        for key in ("runAsUser", "runAsGroup", "fsGroup"):
            yield from differing(key, security.get(key), 65532)
        yield from differing(name, security.get("seccompProfile"), {"type": "RuntimeDefault"})
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            yield from differing(key, pod.get(key, False), False)
        for volume in pod["volumes"]:
            if not set(volume) - {"name"} <= {"configMap", "emptyDir", "secret"}:
                yield f"{name}: a volume of another kind: {sorted(volume)}"
        if pod.get("initContainers") or pod.get("ephemeralContainers"):
            yield f"{name}: a container more"
        only = container(template)
        inner = only["securityContext"]
        yield from differing(name, inner.get("allowPrivilegeEscalation"), False)
        yield from differing(name, inner.get("privileged", False), False)
        yield from differing(name, inner.get("capabilities"), {"drop": ["ALL"]})
        for key in ("runAsUser", "runAsNonRoot", "runAsGroup", "seccompProfile", "procMount"):
            yield from differing(key, inner.get(key), None)
        if any("hostPort" in port for port in only.get("ports", [])):
            yield f"{name}: a port of the host"


@policy
def restricted_namespace(objects: list[Object]) -> Iterator[str]:
    (space,) = of_kind(objects, "Namespace")
    for mode in ("enforce", "audit", "warn"):
        label = f"pod-security.kubernetes.io/{mode}"
        yield from differing(label, space["metadata"]["labels"].get(label), "restricted")


@policy
def one_namespace(objects: list[Object]) -> Iterator[str]:
    (space,) = names(objects, "Namespace")
    for one in objects:
        if one["kind"] != "Namespace":
            yield from differing(one["kind"], one["metadata"].get("namespace"), space)


@policy
def nothing_is_written_to_disk(objects: list[Object]) -> Iterator[str]:
    for owner, template in ours(objects):
        name, only = owner["metadata"]["name"], container(template)
        yield from differing(name, only["securityContext"].get("readOnlyRootFilesystem"), True)
        mounts = {one["mountPath"]: one["name"] for one in only["volumeMounts"]}
        sizes = {}
        for volume in template["spec"]["volumes"]:
            if "emptyDir" in volume:
                yield from differing(name, volume["emptyDir"].get("medium"), "Memory")
                sizes[volume["name"]] = volume["emptyDir"].get("sizeLimit")
        if owner["kind"] == "CronJob":
            yield from differing("/results", sizes.get(mounts.get("/results", "")), "16Mi")
        total = sum(int(str(size).removesuffix("Mi")) for size in sizes.values())
        if total > 16:
            yield f"{name}: memory volumes of {total} Mi"


@policy
def no_service_links(objects: list[Object]) -> Iterator[str]:
    yield from each(objects, lambda pod: pod.get("enableServiceLinks"), False)


@policy
def few_look_ups(objects: list[Object]) -> Iterator[str]:
    wanted = [{"name": "ndots", "value": "2"}]
    yield from each(objects, lambda pod: pod.get("dnsConfig", {}).get("options"), wanted)
    yield from each(objects, lambda pod: pod.get("dnsPolicy", "ClusterFirst"), "ClusterFirst")


@policy
def recommended_labels(objects: list[Object]) -> Iterator[str]:
    labelled = [(one["kind"], one["metadata"]) for one in objects]
    labelled += [("pods of " + owner["kind"], one["metadata"]) for owner, one in templates(objects)]
    for what, metadata in labelled:
        labels = metadata.get("labels", {})
        yield from differing(what, labels.get(PREFIX + "name"), "t3probe")
        yield from differing(what, labels.get(PREFIX + "part-of"), "t3probe")
        yield from differing(what, labels.get(PREFIX + "managed-by"), "kustomize")
        yield from differing(what, labels.get(PREFIX + "version"), VERSION)
        for key in ("instance", "component"):
            if not re.fullmatch("[a-z0-9-]+", labels.get(PREFIX + key, "")):
                yield f"{what}: no {key}"
    for owner, template in templates(objects):
        notes = template["metadata"].get("annotations", {})
        said = notes.get("kubectl.kubernetes.io/default-container")
        yield from differing("default container", said, container(template)["name"])
        if not owner["metadata"].get("annotations", {}).get("kubernetes.io/description"):
            yield f"{owner['metadata']['name']}: no description"


@policy
def images_have_a_tag_or_a_digest(objects: list[Object]) -> Iterator[str]:
    for _, template in ours(objects):
        only = container(template)
        form = r"(?:[^/]+/)*[a-z0-9._-]+(?::([A-Za-z0-9._-]+)|@sha256:([0-9a-f]{64}))"
        match = re.fullmatch(form, only["image"])
        if match is None or match[1] == "latest" or (match[2] and len(set(match[2])) < 8):
            yield f"image {only['image']}"
        elif match[1] and match[1] != VERSION:
            yield f"image {only['image']} is not version {VERSION}"
        yield from differing("pull", only.get("imagePullPolicy"), "IfNotPresent")


@policy
def every_pod_has_a_network_policy(objects: list[Object]) -> Iterator[str]:
    for owner, template in templates(objects):
        labels = template["metadata"]["labels"].items()
        over = [
            one["spec"]
            for one in of_kind(objects, "NetworkPolicy")
            if one["spec"]["podSelector"]["matchLabels"].items() <= labels
        ]
        if len(over) != 1:
            yield f"{owner['metadata']['name']}: {len(over)} network policies"
            continue
        yield from differing("policyTypes", over[0].get("policyTypes"), ["Ingress", "Egress"])
        if any(not rule.get("to") or not rule.get("ports") for rule in over[0]["egress"]):
            yield "a rule that lets everything out"
        listens = {port["containerPort"] for port in container(template).get("ports", [])}
        let_in = {port["port"] for rule in over[0]["ingress"] for port in rule["ports"]}
        yield from differing("ingress", let_in, listens)
        if any(not rule.get("from") for rule in over[0]["ingress"]):
            yield "a rule that lets everybody in"


@policy
def alerts_are_the_tested_ones(objects: list[Object]) -> Iterator[str]:
    if list(agents(objects)):
        return  # whoever receives its series evaluates them
    (rules,) = of_kind(objects, "PrometheusRule")
    plain = yaml.safe_load((ROOT / "cronjob" / "rules" / "t3probe.rules.yml").read_text())
    if rules["spec"] != plain:
        yield "the PrometheusRule differs from cronjob/rules/t3probe.rules.yml"
