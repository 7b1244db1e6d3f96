"""Samples, and what may become of them on their way through hostile hands."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

TESTS = Path(__file__).resolve().parents[1]

TOKENS = [
    b"", b"\0", b"\r\n", b"\n\n", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800",
    b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"<", b">", b"&#0;", b"]]>", b"-1", b"0",
    b"1e308", b"1e999",
    b"99999999999999999999", b"null", b"true", b"NaN", b"\x1b[31m", b":", b",", b" " * 99,
    b"[" * 2000, b'{"a":' * 2000,
]  # fmt: skip
VALUES = [
    None, True, False, 0, -1, 0.5, -0.0, 1e308, -1e308, 5e-324, 2**31, 2**53, 2**63, 2**64,
    -(2**63),
    "", "\0", "\ud800", "a" * 300, "::error::", "127.0.0.1", "1e999", "nan", [], {}, [[]], [None],
    [0, 0], {"": ""}, "=1", "../..", "é", "2026-11-20T14:03:07Z",
]  # fmt: skip


class Samples(list[bytes]):
    """Which say little of themselves when a test fails."""

    def __repr__(self) -> str:
        return f"{len(self)} samples"


def spoilt(samples: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the samples, cut, doubled, and with strange bytes in it."""
    return _spoilt(Samples(samples))


@st.composite
def _spoilt(draw: st.DrawFn, samples: Samples) -> bytes:
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.sampled_from([0, 0, 1, 2, 4, 17, 200, len(data)])))
        some = draw(
            st.one_of(
                st.sampled_from(TOKENS), st.binary(max_size=12), st.just(data[at:to] * 2),
                st.just(data[: min(at, 300)]),
            )
        )  # fmt: skip
        data = data[:at] + some + data[to:]
    return data


@st.composite
def _json_spoilt(draw: st.DrawFn, samples: Samples) -> bytes:
    """One of the samples as JSON, with other values in some places."""
    whole = json.loads(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 4))):
        place: Any = whole
        inside, key = place, None
        while isinstance(place, dict | list) and place:
            inside = place
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(keys))
            place = place[key]
            if draw(st.integers(0, 9)) == 0:
                break
        if key is not None:
            inside[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return json.dumps(whole).encode()


def either(samples: list[bytes]) -> st.SearchStrategy[bytes]:
    """Spoilt as bytes or as JSON."""
    return st.one_of(spoilt(samples), _json_spoilt(Samples(samples)))
