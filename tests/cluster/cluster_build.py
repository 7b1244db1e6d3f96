"""Builds the overlays with kubectl, once per process, and finds things in what comes out."""

from __future__ import annotations

import copy
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ROOT / "cronjob" / "overlays"
JOBS = ("t3", "vantages", "sharded")
ALL = (*JOBS, "watch", "vmagent")
OLDEST_MINOR = 27
"""kubectl 1.27 was tried; 1.20, which Debian 12 has, knows no components."""

Object = dict[str, Any]


def missing(sentence: str) -> NoReturn:
    """Skip, or fail where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@functools.cache
def kubectl() -> str:
    """kubectl's path, or "too old", or ""."""
    path = shutil.which("kubectl")
    if path is None:
        return ""
    done = subprocess.run(
        [path, "version", "--client", "-o", "json"], capture_output=True, timeout=60, check=True
    )
    version = json.loads(done.stdout)["clientVersion"]
    minor = int("".join(c for c in version["minor"] if c.isdigit()))
    return path if (int(version["major"]), minor) >= (1, OLDEST_MINOR) else "too old"


@functools.cache
def _built(folder: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [kubectl(), "kustomize", folder], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def built_text(overlay: str | Path) -> str:
    """The YAML of an overlay (or of any folder), or the test says why there is none."""
    found = kubectl()
    if not found:
        missing("kubectl is not installed; put 1.27 or newer into the PATH")
    if found == "too old":
        pytest.skip("this kubectl is too old to build the overlays; 1.27 or newer does")
    code, text, problem = _built(str(OVERLAYS / overlay))
    assert code == 0, problem
    assert not problem, problem  # a deprecated field is said there
    return text


@functools.cache
def _parsed(text: str) -> list[Object]:
    return list(yaml.safe_load_all(text))


def built(overlay: str | Path) -> list[Object]:
    """The objects of an overlay, the caller's own to change."""
    return copy.deepcopy(_parsed(built_text(overlay)))


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [one for one in objects if one.get("kind") in kinds]


def names(objects: list[Object], kind: str) -> set[str]:
    """The names of the objects of a kind."""
    return {one["metadata"]["name"] for one in of_kind(objects, kind)}


def templates(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Each workload with its pod template."""
    for one in objects:
        if one.get("kind") == "CronJob":
            yield one, one["spec"]["jobTemplate"]["spec"]["template"]
        elif one.get("kind") == "Deployment":
            yield one, one["spec"]["template"]


def is_agent(owner: Object) -> bool:
    """Whether it is vmagent, which is not ours and needs other things."""
    return bool(owner["metadata"]["labels"].get("app.kubernetes.io/component") == "vmagent")


def ours(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Each workload of t3probe itself with its pod template."""
    return (one for one in templates(objects) if not is_agent(one[0]))


def agents(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Each vmagent with its pod template."""
    return (one for one in templates(objects) if is_agent(one[0]))


def container(template: Object) -> Object:
    """A pod template's only container."""
    (only,) = template["spec"]["containers"]
    found: Object = only
    return found


def literals(objects: list[Object], template: Object) -> dict[str, str]:
    """The environment of the container, as far as it does not come from a Secret."""
    only = container(template)
    found: dict[str, str] = {}
    for source in only.get("envFrom", []):
        name = source["configMapRef"]["name"]
        for one in of_kind(objects, "ConfigMap"):
            if one["metadata"]["name"] == name:
                found.update(one["data"])
    found.update({one["name"]: one["value"] for one in only.get("env", []) if "value" in one})
    return found
