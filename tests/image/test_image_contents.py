"""What is in the image, what is not, and what it says of itself."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from image_runs import Image, Started, changed, stamps
from packaging.requirements import Requirement

Start = Callable[..., Started]
ROOT = Path(__file__).resolve().parents[2]
OURS = ("opt/t3probe", "app")
UNCHECKED = 1
"""Flags of a bytecode file that holds a hash which is never compared (PEP 552)."""


def every(image: Image, *folders: str) -> list[Path]:
    return [one for folder in folders for one in (image.root / folder).rglob("*")]


def test_it_is_what_the_manifests_expect(image: Image) -> None:
    assert image.user == (65532, 65532)
    assert image.config["Entrypoint"] == ["t3probe-job"]
    assert image.config["WorkingDir"] == "/app"
    for program in ("t3probe-job", "t3probe", "pytest"):
        assert os.access(image.root / "opt/t3probe/bin" / program, os.X_OK)


def test_the_labels_name_it(image: Image) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = image.config["Labels"]
    named = {key: labels[f"org.opencontainers.image.{key}"] for key in ("title", "version")}
    assert named == {"title": project["name"], "version": project["version"]}
    assert labels["org.opencontainers.image.description"] == project["description"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]


def test_all_source_is_compiled_and_never_compared(image: Image) -> None:
    sources = [one for one in every(image, "opt/t3probe/lib", "app") if one.suffix == ".py"]
    assert len(sources) > 500
    for source in sources:
        head = Path(cache_from_source(str(source))).read_bytes()[:8]
        assert int.from_bytes(head[4:], "little") == UNCHECKED, source


def test_the_installed_packages_are_the_pinned_ones(image: Image) -> None:
    pinned = {
        line.split(" ")[0]
        for line in (ROOT / "cronjob" / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    site = image.root / "opt/t3probe/lib/python3.11/site-packages"
    found = {
        "==".join(one.name.removesuffix(".dist-info").lower().replace("_", "-").rsplit("-", 1))
        for one in site.glob("*.dist-info")
    }
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert found == pinned | {f"{ours['name']}=={ours['version']}"}


def test_there_is_no_package_manager_of_its_own(image: Image) -> None:
    assert not list((image.root / "opt/t3probe/bin").glob("pip*"))
    assert not [one for one in every(image, "opt/t3probe/lib") if one.name == "pip"]


def test_its_user_can_change_nothing(image: Image) -> None:
    for one in every(image, *OURS):
        found = one.lstat()
        assert (found.st_uid, found.st_gid) == (0, 0), one
        if not one.is_symlink():
            assert not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH), one
            assert found.st_mode & stat.S_IROTH, one
            assert not found.st_mode & (stat.S_ISUID | stat.S_ISGID), one


def test_nothing_of_the_building_machine_is_left(image: Image) -> None:
    for secret in ("etc/pip.conf", "run/secrets/ca.crt"):
        file = image.root / secret
        assert not file.exists() or file.read_bytes() == b""
    assert not (image.root / "build").exists()
    names = {key for key in image.environment if key.startswith(("PIP_", "SSL_", "HTTP"))}
    assert names == set()
    # An installed wheel says where it came from.
    for one in every(image, "opt/t3probe/lib"):
        assert one.name != "direct_url.json" or "/build/" in one.read_text()


def test_what_the_lab_and_the_tests_need_is_not_in_it(image: Image) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {
        Requirement(one).name for one in (*extras["optional-dependencies"]["lab"], "hypothesis")
    }
    site = image.root / "opt/t3probe/lib/python3.11/site-packages"
    assert not [one.name for one in site.iterdir() if re.split("[-.]", one.name)[0] in names]
    assert not (image.root / "app/tests").exists()


# -- the instruments --------------------------------------------------------------------------

PROBE = """
import os
print("process", os.getpid(), "user", os.getuid(), os.getgid(), os.getgroups())
for line in open("/proc/self/status"):
    if line.startswith(("Cap", "NoNewPrivs")):
        print(line.split(":")[0], int(line.split()[1], 16))
for place in ("/x", "/app/x", "/tmp/x", "/etc/t3probe/x", "/results/x"):
    try:
        open(place, "w").close()
        print("wrote", place)
    except OSError as error:
        print(place, error.strerror)
"""


def test_the_container_is_as_tight_as_the_manifests_make_it(start: Start, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    deployment = tmp_path / "etc" / "t3.toml"
    said = start(args=["python", "-c", PROBE], deployment=deployment).end().said.splitlines()
    assert said[0] == "process 1 user 65532 65532 []"
    rights = dict(line.split() for line in said if line.startswith(("Cap", "NoNew")))
    assert rights.pop("NoNewPrivs") == "1"
    assert set(rights.values()) == {"0"}
    assert len(rights) == 5
    denied = ["/x", "/app/x", "/tmp/x", "/etc/t3probe/x"]
    assert said[-5:] == [*(f"{one} Read-only file system" for one in denied), "wrote /results/x"]


@pytest.mark.parametrize("place", ["/results", "/etc/t3probe"])
def test_the_meters_show_what_is_written(start: Start, tmp_path: Path, place: str) -> None:
    """Memory does not count, a disk does, and a changed file is seen."""
    disk = tmp_path / "disk"
    disk.mkdir()
    disk.chmod(0o777)
    before = stamps(disk)
    write = f"f = open('{place}/x', 'wb'); f.write(bytes(100_000)); f.close()"
    binds = [(str(disk), "/etc/t3probe", "rw")]
    ended = start(args=["python", "-c", write], binds=binds).end()
    assert ended.code == 0, ended
    on_disk = place != "/results"
    assert (ended.disk_bytes >= 100_000) is on_disk
    assert changed(before, stamps(disk)) == ([".", "x"] if on_disk else [])


def test_the_memory_meter_shows_the_program_and_not_its_parents(start: Start) -> None:
    small = start(args=["python", "-c", ""]).end().peak_kib
    large = start(args=["python", "-c", "bytearray(100 * 2**20)"]).end().peak_kib
    assert small < 20 * 1024
    assert 95 * 1024 < large - small < 105 * 1024
