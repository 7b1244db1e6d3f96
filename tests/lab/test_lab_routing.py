"""Where a request target goes: the carve-out is narrow, the wall takes everything else."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.lab.answers import authority, origin_form, route, slips_through


@pytest.mark.parametrize(
    "target",
    ["/probe", "/probe?x=/../", "/probe/", "/probe/ws", "/probe/healthz?a=b", "/probe/a%20b",
     "/probe/..a/b", "https://t3.lab.test/probe/ws", "HTTPS://t3.lab.test:99/probe/ws"],
)  # fmt: skip
def test_plainly_public(target: str) -> None:
    assert route(target) == "carve-out"
    assert not slips_through(target)


WAYS_OUT = [
    "/probe/../", "/probe/../home", "/probe/./../home", "/probe/..", "/probe/x/../../home",
    "/probe/%2e%2e/home", "/probe/%2E./home", "/probe/..%2fhome", "/probe%2f..%2fhome",
    "/probe/%252e%252e/home", "/probe/..%5chome", "/probe/..\\home", "/probe//../home",
    "/probe//home", "//probe/../home", "/probe/..;/home", "/probe;x=1/../home", "/probe/;/../home",
    "/PROBE/../home", "/Probe/healthz", "/%70robe/../home", "/probe/%00", "/probe/%zz",
    "https://t3.lab.test/probe/../home", "http://t3.lab.test//probe/../home",
]  # fmt: skip


@pytest.mark.parametrize("target", WAYS_OUT)
def test_ways_out_meet_the_wall_and_pass_only_when_it_is_too_wide(target: str) -> None:
    assert route(target) == "wall"
    assert slips_through(target)


@pytest.mark.parametrize(
    "target", ["/", "/home", "/prob", "*", "", "https://t3.lab.test", "/x/probe/../../probes"]
)
def test_walled_whatever_happens_to_the_carve_out(target: str) -> None:
    assert route(target) == "wall"
    assert not slips_through(target)


PIECES = st.sampled_from(
    ["/", "//", ".", "..", "%2e", "%2f", "%5c", "%25", ";", ";a=b", "\\", "probe", "PROBE", "home",
     "ws", "?", "#", "%", "é", " "]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join))
def test_nothing_public_can_be_read_as_anything_else(tail: str) -> None:
    target = f"/probe{tail}"
    if route(target) == "carve-out":
        path = target.partition("?")[0]
        for reading in (path, unquote(path), unquote(unquote(path))):
            meant = posixpath.normpath(reading.replace("\\", "/").replace(";", "/"))
            assert meant == "/probe" or meant.startswith("/probe/")


@pytest.mark.parametrize(
    ("target", "field", "expected"),
    [
        ("/", "t3.lab.test", "t3.lab.test"),
        ("/", "T3.Lab.Test.:8443", "t3.lab.test"),
        ("/", "", ""),
        ("https://t3.lab.test:1/x", "other.lab.test", "t3.lab.test"),
        ("https://me@other.lab.test/x", "t3.lab.test", "other.lab.test"),
    ],
)
def test_authority(target: str, field: str, expected: str) -> None:
    assert authority(target, field) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a/../b?c#d", "/a/../b?c#d"),
        ("https://t3.lab.test:1//a;b?c", "//a;b?c"),
        ("https://t3.lab.test", "/"),
        ("https://t3.lab.test?x", "/?x"),
    ],
)
def test_origin_form(target: str, expected: str) -> None:
    assert origin_form(target) == expected
