"""Pictures of the report, for people to look at: results/screenshots, or $CI_ARTIFACTS."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from report_browser import Opener
from report_runs import history, lab, upstreams

FOLDER = Path(os.environ.get("CI_ARTIFACTS") or Path(__file__).parents[2] / "results")

PICTURES: dict[str, tuple[Any, dict[str, Any]]] = {
    "light": (lambda: [lab("tunnel")], {}),
    "dark": (lambda: [lab("tunnel")], {"dark": True}),
    "narrow": (lambda: [lab("tunnel")], {"width": 400}),
    "narrow-dark": (lambda: [lab("two_incidents")], {"width": 400, "dark": True}),
    "clean": (lambda: [lab("clean")], {}),
    "two-incidents": (lambda: [lab("two_incidents")], {}),
    "history": (lambda: [*history(), lab("clean")], {}),
    "upstreams": (lambda: [upstreams(10_000)], {}),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(opener: Opener, name: str) -> None:
    recordings, options = PICTURES[name]
    file = FOLDER / "screenshots" / f"report-{name}.png"
    opener(*recordings(), **options).picture(file)
    head = file.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", head[16:24])
    assert width == options.get("width", 1280)
    assert height > 1500
