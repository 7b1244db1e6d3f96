"""What the held mode has to be."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_build import Object, agents, container, of_kind, ours
from cluster_registry import differing, policy


def _held(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    return (one for one in ours(objects) if one[0]["kind"] == "Deployment")


@policy
def one_held_mode(objects: list[Object]) -> Iterator[str]:
    for one, _ in _held(objects):
        spec = one["spec"]
        yield from differing("replicas", spec.get("replicas"), 1)
        yield from differing("strategy", spec.get("strategy"), {"type": "Recreate"})
        only = container(spec["template"])
        wanted = ["t3probe", "watch", "/etc/t3probe/t3.toml"]
        yield from differing("command", only.get("command"), wanted)
        for probe in ("livenessProbe", "readinessProbe"):
            asked = only.get(probe, {}).get("httpGet")
            yield from differing(probe, asked, {"path": "/healthz", "port": "metrics"})
        if not 6 <= spec["template"]["spec"]["terminationGracePeriodSeconds"] <= 30:
            yield "no time to close the sockets"
        ports = [{"name": "metrics", "containerPort": 9108, "protocol": "TCP"}]
        yield from differing("ports", only.get("ports"), ports)


@policy
def the_held_mode_is_scraped(objects: list[Object]) -> Iterator[str]:
    for one, _ in _held(objects):
        if list(agents(objects)):
            return  # which scrapes it itself
        labels = one["spec"]["template"]["metadata"]["labels"].items()
        (service,) = of_kind(objects, "Service")
        (monitor,) = of_kind(objects, "PodMonitor")
        if not service["spec"]["selector"].items() <= labels:
            yield "the Service selects other pods"
        ports = [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]]
        yield from differing("service", ports, [(9108, "metrics")])
        if not monitor["spec"]["selector"]["matchLabels"].items() <= labels:
            yield "the PodMonitor selects other pods"
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        yield from differing("port", endpoint.get("port"), "metrics")
        yield from differing("path", endpoint.get("path"), "/metrics")
        yield from differing("honorLabels", endpoint.get("honorLabels"), True)
        wanted = [{"action": "replace", "targetLabel": "job", "replacement": "t3-probe"}]
        yield from differing("job", endpoint.get("relabelings"), wanted)
        (renamed,) = endpoint["metricRelabelings"]
        if not (
            renamed["sourceLabels"] == ["vantage"]
            and renamed["targetLabel"] == "vantage"
            and renamed["replacement"] == "$1-held"
            and renamed["regex"] == "(.+)"
        ):
            yield "the held mode's series could be taken for the job's"
