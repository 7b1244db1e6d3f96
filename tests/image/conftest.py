"""The built image, for the tests that `make image-test` runs.

They need root, buildah, and half a minute to build, so `make test` leaves their files out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway
from image.image_runs import Image, Started

ROOT, CONFIG = os.environ.get("T3PROBE_IMAGE_ROOT"), os.environ.get("T3PROBE_IMAGE_CONFIG")

collect_ignore_glob = [] if ROOT else ["test_image_*.py"]

Start = Callable[..., Started]


@pytest.fixture(scope="session")
def image() -> Image:
    """Its root is a folder: the mount that `cronjob/image/test` made."""
    assert ROOT
    assert CONFIG
    return Image(Path(ROOT), json.loads(Path(CONFIG).read_text())["OCIv1"]["config"])


@pytest.fixture
def start(image: Image, tmp_path: Path) -> Iterator[Start]:
    """Start a program in the image; whatever still runs at the end is ended."""
    started: list[Started] = []

    def one(**words: object) -> Started:
        folder = tmp_path / f"run-{len(started)}"
        folder.mkdir()
        started.append(Started(image, folder, **words))  # type: ignore[arg-type]
        return started[-1]

    yield one
    for each in started:
        each.stop()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RealGateway]:
    one = RealGateway(tmp_path)
    one.start()
    yield one
    one.stop()
