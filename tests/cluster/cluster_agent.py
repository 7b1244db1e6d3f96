"""What the agent that scrapes the held mode has to be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

import yaml
from cluster_build import Object, agents, container, of_kind
from cluster_network import Target, allowed
from cluster_registry import differing, policy

MIB = 1 << 20


@policy
def one_agent_with_bounds(objects: list[Object]) -> Iterator[str]:
    for owner, template in agents(objects):
        yield from differing("replicas", owner["spec"].get("replicas"), 1)
        yield from differing("strategy", owner["spec"].get("strategy"), {"type": "Recreate"})
        limits = container(template)["resources"]["limits"]
        yield from differing("memory", limits.get("memory"), "256Mi")
        image = container(template)["image"]
        if not re.fullmatch(r"victoriametrics/vmagent:v[0-9]+\.[0-9]+\.[0-9]+", image):
            yield f"image {image}"


@policy
def the_agent_keeps_order_and_little(objects: list[Object]) -> Iterator[str]:
    for _, template in agents(objects):
        only = container(template)
        flags = dict(one.split("=", 1) for one in only["args"])
        volumes = {one["name"]: one for one in template["spec"]["volumes"]}
        mounts = {one["mountPath"]: one for one in only["volumeMounts"]}
        yield from differing("queues", flags.get("-remoteWrite.queues"), "1")
        queue = mounts[flags["-remoteWrite.tmpDataPath"]]["name"]
        yield from differing("queue", volumes[queue], {"name": queue, "emptyDir": _SIZE})
        most = re.fullmatch("([0-9]+)MB", flags.get("-remoteWrite.maxDiskUsagePerURL", ""))
        if most is None or not 500 <= int(most[1]) < 512 * MIB / 1e6:
            yield "the queue is not kept below its volume's limit"
        yield from differing(
            "read-only", only["securityContext"].get("readOnlyRootFilesystem"), True
        )


_SIZE = {"sizeLimit": "512Mi"}


@policy
def the_agents_token_is_a_file(objects: list[Object]) -> Iterator[str]:
    for _, template in agents(objects):
        only = container(template)
        flags = dict(one.split("=", 1) for one in only["args"])
        url, file = flags.get("-remoteWrite.url", ""), flags["-remoteWrite.bearerTokenFile"]
        if not re.fullmatch(r"https://[a-z0-9.-]+(:[0-9]+)?/[a-z0-9/]+", url):
            yield f"no gate to send to over TLS: {url!r}"
        folder = file.rpartition("/")[0]
        (mount,) = [one for one in only["volumeMounts"] if one["mountPath"] == folder]
        yield from differing("read-only", mount.get("readOnly"), True)
        (volume,) = [one for one in template["spec"]["volumes"] if one["name"] == mount["name"]]
        yield from differing("secret", volume.get("secret"), {"secretName": "t3probe-ingest"})
        secret = [one for one in flags if re.search("(?i)token$|password$|bearerToken$", one)]
        if secret or only.get("env"):
            yield f"a secret on the command line: {secret}"


@policy
def the_agent_finds_pods_and_nothing_else(objects: list[Object]) -> Iterator[str]:
    for owner, template in agents(objects):
        (role,), (bound,) = of_kind(objects, "Role"), of_kind(objects, "RoleBinding")
        verbs = ["get", "list", "watch"]
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]
        yield from differing("rules", role.get("rules"), rules)
        account = template["spec"]["serviceAccountName"]
        space = owner["metadata"]["namespace"]
        subjects = [{"kind": "ServiceAccount", "name": account, "namespace": space}]
        yield from differing("subjects", bound.get("subjects"), subjects)
        yield from differing("role", bound["roleRef"]["name"], role["metadata"]["name"])
        yield from differing("role", bound["roleRef"]["kind"], "Role")


@policy
def the_agent_scrapes_the_held_mode(objects: list[Object]) -> Iterator[str]:
    for _, template in agents(objects):
        named = [
            one["configMap"]["name"] for one in template["spec"]["volumes"] if "configMap" in one
        ]
        (one,) = [
            yaml.safe_load(found["data"]["scrape.yml"])["scrape_configs"]
            for found in of_kind(objects, "ConfigMap")
            if [found["metadata"]["name"]] == named
        ]
        (job,) = one
        yield from differing("job", job.get("job_name"), "t3-probe")
        yield from differing("honor_labels", job.get("honor_labels"), True)
        (found,) = job["kubernetes_sd_configs"]
        wanted = "app.kubernetes.io/name=t3probe,app.kubernetes.io/component=watch"
        yield from differing("pods", [s["label"] for s in found["selectors"]], [wanted])
        yield from differing("where", found["namespaces"], {"own_namespace": True})
        (renamed,) = job["metric_relabel_configs"]
        yield from differing("vantage", renamed.get("replacement"), "$1-held")


@policy
def the_agent_reaches_four_places(objects: list[Object]) -> Iterator[str]:
    """DNS, the API server, the held mode, one public address; and nobody reaches it but the held
    mode's policy lets it in."""
    for owner, _ in agents(objects):
        space = owner["metadata"]["namespace"]
        specs = {
            one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: one["spec"]
            for one in of_kind(objects, "NetworkPolicy")
        }
        mine, held = specs["vmagent"], specs["watch"]
        pods = {
            name: (("app.kubernetes.io/name", "t3probe"), ("app.kubernetes.io/component", name))
            for name in ("vmagent", "watch")
        }
        yield from differing("ingress", mine.get("ingress"), [])
        yield from differing("rules", len(mine["egress"]), 4)
        if not allowed(mine, "egress", Target("10.42.0.7", 9108, "TCP", space, pods["watch"])):
            yield "the held mode cannot be scraped"
        if not allowed(held, "ingress", Target("10.42.0.8", 9108, "TCP", space, pods["vmagent"])):
            yield "the held mode does not let the agent in"
        stranger = (("app.kubernetes.io/name", "prometheus"),)
        if allowed(held, "ingress", Target("10.42.0.9", 9108, "TCP", "monitoring", stranger)):
            yield "the held mode lets others in"
        blocks = [
            (ipaddress.ip_network(peer["ipBlock"]["cidr"]), port["port"])
            for rule in mine["egress"]
            for peer in rule["to"]
            for port in rule["ports"]
            if "ipBlock" in peer
        ]
        if any(block.num_addresses != 1 for block, _ in blocks):
            yield "more than one address is open"
        if len({block for block, _ in blocks}) != 2 or {port for _, port in blocks} - {443, 6443}:
            yield f"open: {blocks}"
