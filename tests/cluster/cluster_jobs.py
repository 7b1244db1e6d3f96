"""What the scheduled jobs have to be."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster_build import ROOT, Object, container, literals, names, of_kind, ours, templates
from cluster_registry import differing, policy

from t3probe.config import loads
from t3probe.deliver.delivery import END_SECONDS

START_UP, ZEROS, TEARDOWN = 5, 2, 3
"""Seconds of the minute that the budget in the base's comment gives to these."""


def jobs(objects: list[Object]) -> list[tuple[Object, Object]]:
    """Each CronJob's specification and its Job's."""
    return [
        (one["spec"], one["spec"]["jobTemplate"]["spec"]) for one in of_kind(objects, "CronJob")
    ]


@policy
def every_minute(objects: list[Object]) -> Iterator[str]:
    for cron, _ in jobs(objects):
        yield from differing("schedule", cron["schedule"], "*/1 * * * *")
        yield from differing("suspend", cron.get("suspend", False), False)


@policy
def no_pile_up(objects: list[Object]) -> Iterator[str]:
    for cron, _ in jobs(objects):
        yield from differing("concurrencyPolicy", cron.get("concurrencyPolicy"), "Forbid")


@policy
def late_starts_are_given_up(objects: list[Object]) -> Iterator[str]:
    for cron, _ in jobs(objects):
        yield from differing("startingDeadline", cron.get("startingDeadlineSeconds"), 15)


@policy
def over_before_the_next(objects: list[Object]) -> Iterator[str]:
    for _, job in jobs(objects):
        active = job["activeDeadlineSeconds"]
        grace = job["template"]["spec"]["terminationGracePeriodSeconds"]
        if active + grace > 58:
            yield f"{active} s and {grace} s of grace are more than 58 s"
        if grace < END_SECONDS + TEARDOWN:
            yield f"{grace} s of grace are too few for a push of {END_SECONDS} s"


@policy
def the_run_fits(objects: list[Object]) -> Iterator[str]:
    for owner, template in templates(objects):
        if owner["kind"] != "CronJob":
            continue
        environ = literals(objects, template)
        active = owner["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
        timing = loads(deployment_text(objects), environ=environ, now=0.0).timing
        deadline = timing.deadline
        if deadline is None or START_UP + ZEROS + deadline > active:
            yield f"a deadline of {deadline} s behind the start-up does not fit into {active} s"
        elif timing.hold + timing.connect_timeout > deadline:
            yield f"a hold of {timing.hold} s leaves no time to connect before {deadline} s"


@policy
def no_retry(objects: list[Object]) -> Iterator[str]:
    for _, job in jobs(objects):
        if "backoffLimitPerIndex" in job:
            yield from differing("per index", job["backoffLimitPerIndex"], 0)
            yield from differing("with a limit per index", job.get("backoffLimit"), None)
        else:
            yield from differing("backoffLimit", job.get("backoffLimit"), 0)
        yield from differing("restart", job["template"]["spec"].get("restartPolicy"), "Never")


@policy
def little_history(objects: list[Object]) -> Iterator[str]:
    for cron, job in jobs(objects):
        for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
            if not 1 <= cron[key] <= 3:
                yield f"{key}: {cron[key]}"
        if not 300 <= job["ttlSecondsAfterFinished"] <= 86400:
            yield f"ttlSecondsAfterFinished: {job['ttlSecondsAfterFinished']}"


def deployment_text(objects: list[Object]) -> str:
    """The deployment file, from whichever ConfigMap holds it."""
    (text,) = [
        one["data"]["t3.toml"] for one in of_kind(objects, "ConfigMap") if "t3.toml" in one["data"]
    ]
    assert isinstance(text, str)
    return text


@policy
def the_deployment_file_is_there(objects: list[Object]) -> Iterator[str]:
    if deployment_text(objects) != (ROOT / "deployments" / "t3.toml").read_text():
        yield "the ConfigMap is not deployments/t3.toml"
    for owner, template in ours(objects):
        name = owner["metadata"]["name"]
        (volume,) = [one for one in template["spec"]["volumes"] if "configMap" in one]
        if volume["configMap"]["name"] not in names(objects, "ConfigMap"):
            yield f"{name}: there is no ConfigMap {volume['configMap']['name']}"
        mounts = {one["name"]: one for one in container(template)["volumeMounts"]}
        mount = mounts[volume["name"]]
        yield from differing(name, mount.get("readOnly"), True)
        file = literals(objects, template)["T3PROBE_DEPLOYMENT"]
        yield from differing(name, file, mount["mountPath"] + "/t3.toml")


@policy
def references_lead_somewhere(objects: list[Object]) -> Iterator[str]:
    for owner, template in templates(objects):
        name = owner["metadata"]["name"]
        if template["spec"].get("serviceAccountName") not in names(objects, "ServiceAccount"):
            yield f"{name}: no such service account"
        for source in container(template).get("envFrom", []):
            if source["configMapRef"]["name"] not in names(objects, "ConfigMap"):
                yield f"{name}: no such ConfigMap {source['configMapRef']['name']}"


@policy
def results_are_delivered(objects: list[Object]) -> Iterator[str]:
    for owner, template in templates(objects):
        if owner["kind"] != "CronJob":
            continue
        yield from differing("command", container(template).get("command"), ["t3probe-job"])
        yield from differing("arguments", container(template).get("args", []), [])
        url = literals(objects, template).get("T3PROBE__DELIVERY__GATEWAY", "")
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]+)?(/.*)?", url):
            yield f"no gateway: {url!r}"


@policy
def secrets_are_mounted(objects: list[Object]) -> Iterator[str]:
    if of_kind(objects, "Secret"):
        yield "a Secret stands in the manifests"
    for owner, template in ours(objects):
        only, volumes = container(template), template["spec"]["volumes"]
        if any("valueFrom" in one for one in only.get("env", [])):
            yield "a variable with a value from elsewhere"
        if any("secretRef" in one for one in only.get("envFrom", [])):
            yield "a Secret in the environment"
        mounts = {one["name"]: one for one in only["volumeMounts"]}
        places = {}
        for volume in volumes:
            if "secret" in volume:
                mount = mounts[volume["name"]]
                places[mount["mountPath"]] = volume["secret"]["secretName"]
                yield from differing("read-only", mount.get("readOnly"), True)
                yield from differing("optional", volume["secret"].get("optional"), True)
                yield from differing("mode", volume["secret"].get("defaultMode"), 0o440)
        named = {}
        for name, value in literals(objects, template).items():
            if re.search("TOKEN|USER|PASSW|SECRET", name):
                named[name] = value
                if not name.endswith("_FILE") or value.rpartition("/")[0] not in places:
                    yield f"{name} names no file of a mounted Secret"
        if owner["kind"] == "CronJob":
            keys = "TOKEN", "USER", "PASSWORD"
            sites = {"GATEWAY": "t3probe-gateway", "REMOTE_WRITE": "t3probe-remote-write"}
            wanted = {
                f"T3PROBE_{site}_{one}_FILE": f"/etc/{secret}/{one.lower()}"
                for site, secret in sites.items()
                for one in keys
            }
            yield from differing("secrets", named, wanted)
            where = {f"/etc/{secret}": secret for secret in sites.values()}
            yield from differing("places", places, where)


@policy
def vantages_differ(objects: list[Object]) -> Iterator[str]:
    found = [literals(objects, one).get("T3PROBE_VANTAGE", "") for _, one in ours(objects)]
    if len(set(found)) < len(found) or not all(re.fullmatch("[a-z0-9-]+", one) for one in found):
        yield f"vantages {found}"
    if len(found) > 1:
        for owner, template in ours(objects):
            selector = template["spec"].get("nodeSelector")
            if not selector or not all(selector.values()):
                yield f"{owner['metadata']['name']}: no node is selected"


@policy
def shards_agree(objects: list[Object]) -> Iterator[str]:
    for owner, template in templates(objects):
        if owner["kind"] != "CronJob":
            continue
        job = owner["spec"]["jobTemplate"]["spec"]
        shards = literals(objects, template).get("T3PROBE_SHARDS")
        if shards is None and "completionMode" not in job:
            continue
        yield from differing("completionMode", job.get("completionMode"), "Indexed")
        for key in ("completions", "parallelism"):
            yield from differing(key, str(job.get(key)), shards)
