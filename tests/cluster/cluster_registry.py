"""The register of policies: each looks at all objects of an overlay and says what is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator

from cluster_build import ROOT, Object, templates

from t3probe.config import DeploymentError

Policy = Callable[[list[Object]], Iterator[str]]
POLICIES: dict[str, Policy] = {}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def policy(function: Policy) -> Policy:
    POLICIES[function.__name__] = function
    return function


def broken(objects: list[Object]) -> dict[str, list[str]]:
    """The policies that find something, with what they find."""
    found = {}
    for name, one in POLICIES.items():
        try:
            said = list(one(objects))
        except (KeyError, TypeError, ValueError, IndexError, DeploymentError) as problem:
            said = [f"cannot be read: {problem!r}"]
        if said:
            found[name] = said
    return found


def differing(where: str, found: object, wanted: object) -> Iterator[str]:
    if type(found) is not type(wanted) or found != wanted:
        yield f"{where}: expected {wanted!r}, found {found!r}"


def each(objects: list[Object], read: Callable[[Object], object], wanted: object) -> Iterator[str]:
    """Every pod specification says `wanted` where `read` looks."""
    for owner, template in templates(objects):
        yield from differing(owner["metadata"]["name"], read(template["spec"]), wanted)
