"""The Helm chart: it keeps every policy of the overlays, and makes the same job."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_build import ROOT, Object, built, container, literals, of_kind, templates
from cluster_chart import CHART, ChartError, by_helm, flags, helm, rendered, values
from cluster_policies import broken
from cluster_registry import VERSION
from jsonschema import Draft7Validator

POLICY = ROOT / "cronjob" / "overlays" / "t3" / "network" / "networkpolicy.yaml"
GIVEN = {
    "deploymentFile": (ROOT / "deployments" / "t3.toml").read_text(),
    "networkPolicy": POLICY.read_text(),
}
MANAGED = "app.kubernetes.io/managed-by"


def like_an_overlay(objects: list[Object]) -> list[Object]:
    """With the namespace, which Helm makes by itself, and in the name of kustomize."""
    text = json.dumps(objects).replace(f'"{MANAGED}": "Helm"', f'"{MANAGED}": "kustomize"')
    found: list[Object] = json.loads(text)
    spaces = of_kind(built("t3"), "Namespace")
    for one in of_kind(found, "NetworkPolicy"):
        # What a user hands in has the labels that `t3probe manifests` writes, and no more; Helm
        # puts it into the release's namespace.
        one["metadata"]["namespace"] = "t3probe"
        labels = of_kind(found, "ServiceAccount")[0]["metadata"]["labels"]
        one["metadata"]["labels"] = {**labels, **one["metadata"]["labels"]}
    return [*spaces, *found]


def test_every_policy_is_kept() -> None:
    assert broken(like_an_overlay(rendered(values(**GIVEN)))) == {}


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({**GIVEN, "image": "registry.example.org/t3probe:latest"}, "images_have_a_tag"),
        ({**GIVEN, "networkPolicy": ""}, "every_pod_has_a_network_policy"),
        ({**GIVEN, "gateway": ""}, "results_are_delivered"),
        ({**GIVEN, "alerts": False}, "alerts_are_the_tested_ones"),
        ({**GIVEN, "deploymentFile": "name = 'x'"}, "the_deployment_file_is_there"),
    ],
)
def test_the_policies_see_what_the_values_do(given: dict[str, Any], policy: str) -> None:
    found = broken(like_an_overlay(rendered(values(**given))))
    assert [one for one in found if one.startswith(policy)], found


def test_its_job_is_the_overlays(tmp_path: Path) -> None:
    """All of it but names, labels and where the gateway's URL stands."""

    def job(objects: list[Object]) -> tuple[Object, dict[str, str]]:
        ((owner, template),) = templates(objects)
        environment = literals(objects, template)
        only = container(template)
        del only["env"]
        only.pop("envFrom", None)
        for key in ("nodeSelector", "tolerations"):
            if not template["spec"].get(key):
                template["spec"].pop(key, None)
        for volume in template["spec"]["volumes"]:
            if "configMap" in volume:
                volume["configMap"]["name"] = "the deployment file"
        del owner["metadata"]
        for one in (owner["spec"]["jobTemplate"], template):
            one.get("metadata", {}).pop("labels", None)
            if not one.get("metadata", True):
                del one["metadata"]
        return owner, environment

    assert job(rendered(values(**GIVEN))) == job(built("t3"))


def test_without_a_deployment_file_it_says_what_to_add() -> None:
    with pytest.raises(ChartError, match="--set-file deploymentFile="):
        rendered(values())


def test_versions_links_and_rules_are_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION
    assert values()["image"].endswith(f":{VERSION}")
    assert (CHART / "t3probe.rules.yml").resolve() == ROOT / "cronjob/rules/t3probe.rules.yml"
    urls = re.search(r'^Repository = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert urls is not None
    assert chart["home"] == urls[1]


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({}, True),
        ({"image": "x@sha256:" + "0a" * 32}, True),
        ({"image": "no-tag"}, False),
        ({"gateway": "pushgateway:9091"}, False),
        ({"alert": True}, False),
        ({"alerts": "yes"}, False),
        ({"nodeSelector": {"a": 1}}, False),
    ],
)
def test_the_schema_knows_what_a_value_may_be(change: dict[str, Any], right: bool) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    assert schema["properties"].keys() - {"global"} == values().keys()
    assert Draft7Validator(schema).is_valid(values(**change)) is right


needs_helm = pytest.mark.skipif(
    not helm(), reason="helm is not installed; put 3.12 or newer into the PATH to run this test"
)


@needs_helm
@pytest.mark.parametrize(
    "given",
    [
        GIVEN,
        {**GIVEN, "alerts": False, "networkPolicy": ""},
        {**GIVEN, "nodeSelector": {"zone": "a"}, "tolerations": [{"operator": "Exists"}],
         "vantage": 'zone "a"', "image": "x@sha256:" + "0a" * 32},
    ],
    ids=["all", "little", "other"],
)  # fmt: skip
def test_helm_renders_the_same(given: dict[str, Any], tmp_path: Path) -> None:
    where = ["t3probe", str(CHART), "--namespace", "t3probe", "--kube-version", "1.32"]
    done = by_helm("template", *where, *flags(tmp_path, given))
    assert done.returncode == 0, done.stderr
    found = [one for one in yaml.safe_load_all(done.stdout) if one]

    def sorted_objects(objects: list[Object]) -> list[Object]:
        return sorted(objects, key=lambda one: (one["kind"], one["metadata"]["name"]))

    assert sorted_objects(found) == sorted_objects(rendered(values(**given)))


@needs_helm
def test_helm_finds_nothing_to_say_against_it(tmp_path: Path) -> None:
    done = by_helm("lint", "--strict", str(CHART), *flags(tmp_path, GIVEN))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_helm
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "expected the deployment file, found none"),
        ({**GIVEN, "image": "no-tag"}, "image"),
        ({**GIVEN, "alert": True}, "alert"),
    ],
)
def test_helm_refuses_what_is_wrong(given: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    done = by_helm("template", "t3probe", str(CHART), *flags(tmp_path, given))
    assert done.returncode != 0
    assert sentence in done.stderr
