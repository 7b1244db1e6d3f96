"""The rigs that book names, and what becomes of names that do not fit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.exchange.bounds import RIG_ENTRY_BYTES, RIG_STREAMS, RIGS
from t3probe.upstreams.experiments.rigs import BookList, BookUnreadError, RigList, offered


def read(resources: object, *only: str, piece: int = 1 << 20) -> RigList:
    answer, text = BookList(), json.dumps(resources).encode()
    for at in range(0, len(text), piece):
        answer.feed(text[at : at + piece])
    return answer.close(only)


def resource(stub: object, *streams: object, **more: object) -> dict[str, object]:
    return {"topic_stub": stub, "streams": list(streams), "description": "d", "tests": None} | more


def test_streams_go_without_what_their_topics_begin_with() -> None:
    found = read({"r": resource("spin07", "st-data", "video", "st-video")})
    (rig,) = found.rigs
    assert [(one.name, one.topic) for one in rig.streams] == [
        ("data", "spin07-st-data"),
        ("video", "spin07-video"),
        ("st-video", "spin07-st-video"),
    ]
    assert found.left_out == ()


def test_only_rigs_that_are_asked_for() -> None:
    book = {name: resource(name) for name in ("spin01", "spin02", "pend01")}
    assert [one.name for one in read(book, "spin*").rigs] == ["spin01", "spin02"]
    assert [one.name for one in read(book, "pend01", "spin02").rigs] == ["pend01", "spin02"]
    assert read(book, "x").rigs == ()


def test_what_does_not_fit_is_left_out_and_said() -> None:
    found = read(
        {
            "a": resource("Spin 01", "st-data"),
            "b": resource("spin02", "st-Data", "st-video"),
            "c": resource("spin02", "st-data"),
            "d": {"streams": []},
            "e": 7,
            "f": resource("g" * 64),
            "g": resource("x", "st-a", "y-st-a"),
            "h": resource("x-y", "st-a"),
            "i": resource("large", "x" * RIG_ENTRY_BYTES),
        }
    )
    assert [one.name for one in found.rigs] == ["spin02", "x", "x-y"]
    assert [len(one.streams) for one in found.rigs] == [1, 2, 0]
    said = "; ".join(found.left_out)
    assert "3 resources cannot be read and were left out: d, e and i" in said
    assert "3 names are not 1 to 63 of a-z" in said
    assert "Spin 01" in said
    assert "1 resource has the topics of another one and was left out: c" in said
    assert "1 topic is also another rig's and was left out: x-y-st-a" in said


def test_no_more_than_the_bound() -> None:
    found = read({f"r{n:04}": resource(f"rig{n:04}", "st-a") for n in range(RIGS + 20)})
    assert len(found.rigs) == RIGS
    assert "20 rigs are beyond the first 500" in found.left_out[0]
    found = read({"r": resource("rig", *(f"st-{n}" for n in range(RIG_STREAMS + 2)))})
    assert len(found.rigs[0].streams) == RIG_STREAMS
    assert "2 streams are beyond the 50 of one rig" in found.left_out[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>", "not JSON"),
        (b'{"r": {"topic_stub": "x"', "not JSON"),
        (b"[]", "no map of resources"),
        (b"null", "no map of resources"),
        (b'{"r": {}, "s": 3}', "of which none can be read"),
    ],
)
def test_what_is_no_list_of_resources_is_never_no_rigs(answer: bytes, words: str) -> None:
    one = BookList()
    with pytest.raises(BookUnreadError, match=words):
        one.feed(answer)
        one.close()


def test_a_book_without_resources_has_none() -> None:
    assert read({}) == RigList(())


def test_streams_that_book_does_not_list_are_those_of_the_rig_alone() -> None:
    (rig,) = read({"r": resource("spin07", "st-data")}).rigs
    topics = ["spin07-st-data", "spin07-st-log", "spin07-log", "spin077-st-log", "spin07-st-a-st-b"]
    assert [one.topic for one in rig.further(topics)] == ["spin07-st-log"]
    assert [one.required for one in rig.further(topics)] == [False]


NAMES = st.text("ab-_.Z st", max_size=6)
BOOKS = st.dictionaries(
    st.text(max_size=5),
    st.builds(resource, NAMES, NAMES, NAMES) | st.none() | st.integers(),
    max_size=6,
)


@given(BOOKS, st.integers(1, 30))
def test_every_rig_and_stream_has_a_name_of_its_own(book: dict[str, object], piece: int) -> None:
    try:
        found = read(book, piece=piece)
    except BookUnreadError:
        return
    names = [one.name for one in found.rigs]
    topics = [one.topic for rig in found.rigs for one in rig.streams]
    assert names == sorted(set(names))
    assert len(topics) == len(set(topics))
    for rig in found.rigs:
        streams = [one.name for one in rig.streams]
        assert len(streams) == len(set(streams))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"available": "yes"}', b'{"reason": "x"}'])
def test_what_says_no_availability_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(BookUnreadError):
        offered(body)
