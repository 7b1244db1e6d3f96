"""The overlays build, are valid for a cluster, and take their settings from one place."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from cluster_build import (
    ALL,
    JOBS,
    OVERLAYS,
    ROOT,
    Object,
    built,
    built_text,
    container,
    literals,
    missing,
    of_kind,
    ours,
    templates,
)
from cluster_policies import broken
from cluster_schemas import SCHEMAS

from t3probe.config import legs_for, loads

kubernetes_validate = pytest.importorskip("kubernetes_validate")

FOLDERS = sorted(
    path.parent
    for top in ("cronjob", "deployments")
    for path in (ROOT / top).rglob("kustomization.yaml")
)
BUILDABLE = [one for one in FOLDERS if one != OVERLAYS / "settings"]
GOOD_FIELDS = {
    "apiVersion",
    "kind",
    "components",
    "configMapGenerator",
    "images",
    "labels",
    "namespace",
    "nameSuffix",
    "patches",
    "resources",
}
"""Fields of a kustomization that are not on their way out."""


@pytest.mark.parametrize("folder", BUILDABLE, ids=lambda one: str(one.relative_to(ROOT)))
def test_every_kustomization_builds(folder: Path) -> None:
    assert built(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda one: str(one.relative_to(ROOT)))
def test_no_field_is_on_its_way_out(folder: Path) -> None:
    assert set(yaml.safe_load((folder / "kustomization.yaml").read_text())) <= GOOD_FIELDS


def problems(objects: list[Object]) -> list[str]:
    """What the schemas find."""
    found = []
    newest = kubernetes_validate.latest_version()
    for one in objects:
        try:
            if one["kind"] in SCHEMAS:
                jsonschema.validate(one, SCHEMAS[one["kind"]])
            else:
                kubernetes_validate.validate(one, newest, strict=True)
        except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as problem:
            found.append(f"{one['kind']}: {problem.message}")
    return found


@pytest.mark.parametrize("overlay", ALL)
def test_the_newest_schema_finds_nothing(overlay: str) -> None:
    assert problems(built(overlay)) == []


def test_the_validator_itself_is_content(tmp_path: Path) -> None:
    """Its command line over all overlays: it knows all kinds but the custom ones."""
    file = tmp_path / "all.yaml"
    file.write_text("\n---\n".join(built_text(one) for one in ALL))
    done = subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", "--strict", str(file)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    unknown = re.findall(r"Couldn't find schema for kind (\w+)", done.stdout + done.stderr)
    assert set(unknown) == set(SCHEMAS)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("CronJob", ("spec", "concurencyPolicy"), "Forbid"),
        ("CronJob", ("spec", "startingDeadlineSeconds"), "15"),
        ("Deployment", ("spec", "template", "spec", "enableServiceLink"), False),
        ("NetworkPolicy", ("spec", "egres"), []),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0, "honourLabels"), True),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0, "interval"), "30"),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0, "relabelings", 0, "action"), "Replaced"),
        ("PodMonitor", ("spec", "podMetricsEndpoints"), []),
        ("PodMonitor", ("apiVersion",), "monitoring.coreos.com/v1beta1"),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "alert"), "Both"),
        ("PrometheusRule", ("spec", "groups", 1, "rules", 0, "for"), "2 minutes"),
        ("PrometheusRule", ("spec", "groups", 1, "rules", 0, "labels"), {"severity": 1}),
    ],
    ids=str,
)
def test_the_schemas_find_a_mistake(kind: str, path: tuple[str | int, ...], value: object) -> None:
    objects = built("watch" if kind in {"Deployment", "PodMonitor"} else "t3")
    place = of_kind(objects, kind)[0]
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    assert [one.split(":")[0] for one in problems(objects)] == [kind]


@pytest.mark.parametrize("overlay", [one for one in ALL if one != "vmagent"])
def test_promtool_reads_the_rules(overlay: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("promtool is not installed; on Debian: apt install prometheus")
    (rules,) = of_kind(built(overlay), "PrometheusRule")
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rules["spec"]))
    done = subprocess.run(
        [promtool, "check", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    number = sum(len(group["rules"]) for group in rules["spec"]["groups"])
    assert f"SUCCESS: {number} rules found" in done.stdout


def test_vmagent_reads_its_scrape_configuration(tmp_path: Path) -> None:
    vmagent = shutil.which("vmagent")
    if vmagent is None:
        missing("vmagent is not installed; on Debian: apt install victoria-metrics")
    text = next(
        one["data"]["scrape.yml"]
        for one in of_kind(built("vmagent"), "ConfigMap")
        if "scrape.yml" in one["data"]
    )
    for written, code in ((text, 0), (text.replace("honor_labels", "honour_labels"), 255)):
        (tmp_path / "scrape.yml").write_text(written)
        words = ["-dryRun", f"-promscrape.config={tmp_path}/scrape.yml"]
        url = "-remoteWrite.url=http://127.0.0.1:9"
        done = subprocess.run(
            [vmagent, *words, url], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr


def test_the_three_values_stand_in_one_place(tmp_path: Path) -> None:
    """Changed there, every overlay follows, and nothing of the old ones is left."""
    for top in ("cronjob", "deployments"):
        shutil.copytree(ROOT / top, tmp_path / top)
    settings = tmp_path / "cronjob" / "overlays" / "settings" / "kustomization.yaml"
    text = settings.read_text()
    for old, new in (
        ("namespace: t3probe", "namespace: elsewhere"),
        ("newName: registry.example.org/t3probe", "newName: other.example.net:5000/a/b"),
        ("newTag: 0.2.0", "newTag: 9.8.7"),
        ("http://prometheus-pushgateway.monitoring.svc.cluster.local:9091", "https://p.example"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    settings.write_text(text)
    for overlay in ALL:
        objects = built(tmp_path / "cronjob" / "overlays" / overlay)
        for one in objects:
            space = one["metadata"].get("namespace", one["metadata"]["name"])
            assert space == "elsewhere", one["kind"]
        for owner, template in ours(objects):
            assert container(template)["image"] == "other.example.net:5000/a/b:9.8.7"
            if owner["kind"] == "CronJob":
                environ = literals(objects, template)
                assert environ["T3PROBE__DELIVERY__GATEWAY"] == "https://p.example"
        assert not set(broken(objects)) - {
            "images_have_a_tag_or_a_digest"
        }  # not this project's version


@pytest.mark.parametrize("overlay", ALL)
def test_the_place_of_the_digest_is_where_the_settings_say(overlay: str, tmp_path: Path) -> None:
    """In place of the tag; the digest here is one of no image."""
    for name in ("cronjob", "deployments"):
        shutil.copytree(ROOT / name, tmp_path / name)
    settings = tmp_path / "cronjob" / "overlays" / "settings" / "kustomization.yaml"
    text = settings.read_text()
    assert "`digest: sha256:...` in place of newTag" in text
    digest = "sha256:" + hashlib.sha256(b"no image").hexdigest()
    settings.write_text(text.replace("    newTag: 0.2.0", f"    digest: {digest}"))
    objects = built(tmp_path / "cronjob" / "overlays" / overlay)
    for _, template in ours(objects):
        assert container(template)["image"] == f"registry.example.org/t3probe@{digest}"
    assert broken(objects) == {}


def test_no_digest_is_stored_that_nobody_looked_up() -> None:
    """Where one is put in, this test is told which."""
    stored = [
        path
        for path in (ROOT / "cronjob").rglob("*.yaml")
        if re.search("sha256:[0-9a-f]", path.read_text())
    ]
    assert stored == []


def test_the_budget_of_the_minute_adds_up() -> None:
    """The comment is a sum: its parts, its two limits, and the deployment's own timing."""
    comment = (ROOT / "cronjob" / "base" / "cronjob.yaml").read_text().split("apiVersion")[0]
    rows = [(int(n), what) for n, what in re.findall(r"^# +(\d+)  (.*)$", comment, re.MULTILINE)]
    start_up, zeros, hold, beats, push, teardown = (
        n for n, what in rows if not what.startswith(("=", "of "))
    )
    (cron,) = of_kind(built("t3"), "CronJob")
    job = cron["spec"]["jobTemplate"]["spec"]
    grace = job["template"]["spec"]["terminationGracePeriodSeconds"]
    assert start_up + zeros + hold + beats == job["activeDeadlineSeconds"] == 50
    assert push + teardown == grace == 8
    assert f"# {50 + grace:>4}  of 60" in comment
    ((_, template),) = templates([cron])
    objects = built("t3")
    text = (ROOT / "deployments" / "t3.toml").read_text()
    timing = loads(text, environ=literals(objects, template), now=0.0).timing
    assert timing.hold == hold
    assert timing.deadline == hold + beats


@pytest.mark.parametrize(
    ("vantage", "inner"), [("zone-a", True), ("zone-b", True), ("outside", False)]
)
def test_each_vantage_runs_the_legs_it_can(vantage: str, inner: bool) -> None:
    objects = built("vantages")
    (template,) = [
        one for _, one in templates(objects) if literals(objects, one)["T3PROBE_VANTAGE"] == vantage
    ]
    text = (ROOT / "deployments" / "t3.toml").read_text()
    legs = legs_for(loads(text, environ=literals(objects, template), now=0.0))[0]
    public = ["egress", "resolver", "edge", "cloudflare"]
    inside = ["internal", "traefik", "dispatch", "devvm", "t3serve"] if inner else []
    walls = ["walloff-probe", "walled-home"] if inner else ["walloff-probe"]
    assert [leg.name for leg in legs] == [*public, *inside, *walls]


@pytest.mark.parametrize("overlay", JOBS)
def test_the_reference_runs_every_leg(overlay: str) -> None:
    objects = built(overlay)
    text = (ROOT / "deployments" / "t3.toml").read_text()
    seen: set[str] = set()
    for _, template in templates(objects):
        loaded = loads(text, environ=literals(objects, template), now=0.0)
        seen |= {leg.name for leg in legs_for(loaded)[0]}
    assert seen == {leg.name for leg in loads(text, environ={}, now=0.0).legs}


def test_the_claim_for_what_waits_is_one_line_away(tmp_path: Path) -> None:
    """A line that is a comment in the job's overlay gives it a spool folder on a volume."""
    for top in ("cronjob", "deployments"):
        shutil.copytree(ROOT / top, tmp_path / top)
    file = tmp_path / "cronjob" / "overlays" / "t3" / "kustomization.yaml"
    text = file.read_text()
    assert text.count("  # - ../spool\n") == 1
    file.write_text(text.replace("  # - ../spool\n", "  - ../spool\n"))
    objects = built(file.parent)
    (claim,) = of_kind(objects, "PersistentVolumeClaim")
    assert claim["metadata"]["namespace"] == "t3probe"
    ((_, template),) = templates(objects)
    (volume,) = [one for one in template["spec"]["volumes"] if "persistentVolumeClaim" in one]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    mounts = {one["name"]: one["mountPath"] for one in container(template)["volumeMounts"]}
    spool = literals(objects, template)["T3PROBE__DELIVERY__SPOOL"]
    assert spool.startswith(f"{mounts[volume['name']]}/")
    assert not problems(objects)
