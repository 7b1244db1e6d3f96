"""JSON that comes in pieces: what is taken is what stands there, wherever the pieces end."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.exchange.bounds import JSON_ITEM_BYTES, JSON_ITEM_VALUES, JSON_LEVELS
from t3probe.exchange.json_stream import (
    Into,
    JsonError,
    JsonStream,
    NotJsonError,
    TooMuchError,
    typed,
)

ANY = msgspec.json.Decoder(object)
TEXT = st.text(max_size=6) | st.sampled_from(['"', "\\", '\\"', "{", "]", "é\\u00e9", "\n"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=16,
)


class Seen:
    """What is taken of `data[]` and of `data[].more`, and what else was there."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.wrong = 0
        one = Into({"more": self._take}, wrong=self._no)
        self.stream = JsonStream(
            Into({"data": Into(item=one, opened=self._anew), "all": self._take}, wrong=self._no)
        )

    def _anew(self, is_object: bool) -> None:
        assert not is_object
        self.items = []

    def _take(self, raw: bytes) -> None:
        self.items.append(typed(raw, ANY))

    def _no(self) -> None:
        self.wrong += 1

    def read(self, body: bytes, *cuts: int) -> Seen:
        ends = sorted({min(one, len(body)) for one in cuts} | {0, len(body)})
        for began, ended in pairwise(ends):
            self.stream.feed(body[began:ended])
        self.stream.close()
        return self


def expected(data: Any) -> tuple[list[Any], int]:
    if not isinstance(data, dict):
        return [], 1
    items: list[Any] = []
    wrong = 0
    for key, value in data.items():
        if key == "all":
            items.append(value)
        elif key == "data" and isinstance(value, list):
            items = [one["more"] for one in value if isinstance(one, dict) and "more" in one]
            wrong = sum(not isinstance(one, dict) for one in value)
    return items, wrong


DOCUMENT = JSON | st.fixed_dictionaries(
    {},
    optional={
        "data": st.lists(JSON | st.fixed_dictionaries({"more": JSON, "x": JSON}), max_size=5),
        "else": JSON,
        "all": JSON,
    },
)


@given(DOCUMENT, st.lists(st.integers(0, 400), max_size=6), st.booleans(), st.booleans())
def test_any_document_in_any_pieces(data: Any, cuts: list[int], ascii_: bool, spaced: bool) -> None:
    body = json.dumps(data, ensure_ascii=ascii_, indent=1 if spaced else None)
    seen = Seen().read(body.encode("utf-8", "surrogatepass"), *cuts)
    assert (seen.items, seen.wrong) == expected(data)


@given(DOCUMENT)
def test_byte_by_byte(data: Any) -> None:
    body = json.dumps(data).encode()
    assert Seen().read(body, *range(len(body))).items == expected(data)[0]


@given(DOCUMENT, st.data())
def test_what_is_no_json_is_none_in_any_pieces(data: Any, draw: st.DataObject) -> None:
    body = json.dumps(data).encode()
    at = draw.draw(st.integers(0, max(0, len(body) - 1)))
    spoilt = body[:at] + draw.draw(st.sampled_from([b"", b",", b"}", b"x", b'"', b"\\"])) + body[
        at + draw.draw(st.integers(0, 1)) :
    ]  # fmt: skip
    try:
        json.loads(spoilt)
    except ValueError:
        with pytest.raises(NotJsonError):
            Seen().read(spoilt, *draw.draw(st.lists(st.integers(0, 400), max_size=4)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"<html>",
        b"{} {}",
        b"{",
        b"[1,",
        b'{"a":tru}',
        b'{"a" 1}',
        b'{"data":[}',
        b'{"data":[{"more":1,}]}',
        b'{"data":[{"more":[1}]}]}',
        b'{"x":[1}}',
        b"{'a':1}",
        b"[" * 400,
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(NotJsonError, match=r"^something that is not JSON$"):
        Seen().read(body)


def test_of_a_key_that_stands_there_twice_the_last_one_counts() -> None:
    assert Seen().read(b'{"data":[{"more":1}],"data":[{"more":2}]}').items == [2]


def fed(body: bytes) -> None:
    stream = Seen().stream
    for at in range(0, len(body), 65536):
        stream.feed(body[at : at + 65536])


BOUNDS = {
    "bytes": (b'{"data":[{"more":"' + b"a" * (JSON_ITEM_BYTES + 9), "one entry of more than 4 MiB"),
    "a key's bytes": (b'{"' + b"a" * (JSON_ITEM_BYTES + 9), "one entry of more than 4 MiB"),
    "values": (
        b'{"data":[{"more":[' + b"0," * JSON_ITEM_VALUES + b"0]}",
        "one entry of more than 131,072 values",
    ),
    "levels": (b'{"x":' + b"[" * JSON_LEVELS, "not JSON of at most 512 levels"),
    "levels inside": (
        b'{"data":[{"more":' + b'{"a":' * JSON_LEVELS,
        "not JSON of at most 512 levels",
    ),
}


@pytest.mark.parametrize("kind", BOUNDS)
def test_what_is_taken_is_bounded(kind: str) -> None:
    body, words = BOUNDS[kind]
    with pytest.raises(TooMuchError, match=words):
        fed(body)


def test_what_is_passed_over_is_not() -> None:
    body = b'{"x":[' + b'"' + b"a" * (JSON_ITEM_BYTES + 9) + b'"' + b",0" * JSON_ITEM_VALUES
    assert Seen().read(body + b'],"data":[{"more":1}]}').items == [1]


def test_levels_end_where_they_are_said_to() -> None:
    inside = JSON_LEVELS - 1
    Seen().read(b'{"x":' + b"[" * inside + b"]" * inside + b"}")
    with pytest.raises(JsonError):
        Seen().read(b'{"x":' + b"[" * (inside + 1) + b"]" * (inside + 1) + b"}")
