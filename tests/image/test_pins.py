"""The pinned requirements and the Dockerfile, as text."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "cronjob" / "Dockerfile").read_text()
ARCHITECTURES = ("x86_64", "aarch64")
EXTRAS = PROJECT["project"]["optional-dependencies"]
LAB = EXTRAS["lab"]
FILES = {
    "requirements.txt": [
        *(one for one in PROJECT["project"]["dependencies"] if one not in LAB),
        *EXTRAS["otlp"],
        *EXTRAS["remote-write"],
    ],
    "requirements-build.txt": PROJECT["build-system"]["requires"],
}


def entries(text: str) -> dict[str, tuple[str, list[str], list[str]]]:
    """Name -> (version, the wheels' names, their hashes)."""
    found: dict[str, tuple[str, list[str], list[str]]] = {}
    wheels: list[str] = []
    for line in text.replace("\\\n", "").splitlines():
        if wheel := re.fullmatch(r"#   (\S+\.whl)", line):
            wheels.append(wheel[1])
        elif not line.startswith("#"):
            pin, *hashes = line.split()
            name, version = pin.split("==")
            found[name] = version, wheels, hashes
            wheels = []
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_pins_satisfy_the_project(name: str) -> None:
    found = entries((ROOT / "cronjob" / name).read_text())
    for wanted in map(Requirement, FILES[name]):
        version = found[canonicalize_name(wanted.name)][0]
        assert version in wanted.specifier, wanted


def test_what_the_lab_alone_imports_is_installed_by_pip_and_not_in_the_image() -> None:
    """`make lock` leaves out what the extra `lab` names, and so what only that needs."""
    assert set(LAB) < set(PROJECT["project"]["dependencies"])
    found = entries((ROOT / "cronjob" / "requirements.txt").read_text())
    names = {canonicalize_name(Requirement(one).name) for one in LAB}
    assert not found.keys() & (names | {"cryptography", "cffi"})


def test_only_the_lab_imports_it() -> None:
    """Or a run in the image would end with an import error, perhaps late."""
    names = {Requirement(one).name for one in LAB}
    imports = re.compile(rf"^\s*(?:import|from) (?:{'|'.join(names)})\b", re.MULTILINE)
    package = ROOT / "t3probe"
    found = {one.relative_to(package) for one in package.rglob("*.py")
             if imports.search(one.read_text())}  # fmt: skip
    assert found
    assert {one.parts[0] for one in found} == {"lab"}


@pytest.mark.parametrize("name", FILES)
def test_every_pin_has_a_wheel_for_every_architecture(name: str) -> None:
    for package, (version, wheels, hashes) in entries(
        (ROOT / "cronjob" / name).read_text()
    ).items():
        assert len(hashes) == len(wheels) == len(set(hashes)), package
        assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", one) for one in hashes), package
        places = [one.rsplit("-", 1)[1] for one in wheels]
        for architecture in ARCHITECTURES:
            assert [one for one in places if one == "any.whl" or architecture in one], package
        for one in wheels:
            assert canonicalize_name(one.split("-")[0]) == package
            assert one.split("-")[1] == version


def test_the_dockerfile_carries_the_projects_version() -> None:
    assert f"ARG VERSION={PROJECT['project']['version']}\n" in DOCKERFILE


@pytest.mark.parametrize(
    "file",
    sorted(one for one in (ROOT / "cronjob").rglob("*") if one.suffix in (".yaml", ".yml")),
    ids=lambda one: str(one.relative_to(ROOT / "cronjob")),
)
def test_manifests_name_the_projects_version(file: Path) -> None:
    named = r"(?:\bt3probe:|app\.kubernetes\.io/version: [\"']?)(\d+\.\d+\.\d+)"
    found = set(re.findall(named, file.read_text()))
    assert found <= {PROJECT["project"]["version"]}


def test_the_dockerfile_and_the_manifests_agree() -> None:
    cron = yaml.safe_load((ROOT / "cronjob" / "base" / "cronjob.yaml").read_text())
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    box = pod["containers"][0]
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert f"\nUSER {user}\n" in DOCKERFILE
    assert f"\nENTRYPOINT {box['command']}\n".replace("'", '"') in DOCKERFILE
    secrets = {one["name"] for one in pod["volumes"] if "secret" in one}
    for one in box["volumeMounts"]:
        known = one["mountPath"] == "/tmp" or one["mountPath"] in DOCKERFILE
        assert known or one["name"] in secrets


def test_what_runs_is_pinned_and_what_starts_installs_nothing() -> None:
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert not re.search(r"\bpip\b", re.sub("#.*", "", last))
    assert "apt" not in DOCKERFILE
    code = re.sub("#.*", "", DOCKERFILE).replace("\\\n", "")
    for install in re.findall(r"-m pip --python \S+ install ([^&\n]*)", code):
        assert "--require-hashes" in install or "--no-index" in install, install
    assert DOCKERFILE.count("FROM ${BASE}") == DOCKERFILE.count("\nFROM ") == 2
