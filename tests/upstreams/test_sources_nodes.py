"""The JSON API of nodes and routes: good rows are kept, bad ones counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.config.types import UpstreamPlace, UpstreamSource
from t3probe.upstreams.nodes import Routes
from t3probe.upstreams.sources import Backend, NamedUpstreams, SourceError

SOURCE = UpstreamSource(name="api", kind="nodes", url="http://127.0.0.1:1", node="edge-1")
ROW: dict[str, Any] = {
    "node": "edge-1",
    "route": "orders",
    "listen_port": 8443,
    "backend_host": "Orders.internal",
    "backend_port": 9000,
    "active": True,
}
GOOD = Backend(
    "orders.internal", 9000, UpstreamPlace(source="api", route="orders", listen_port=8443)
)


def read_rows(body: bytes, source: UpstreamSource) -> NamedUpstreams:
    answer = Routes(source)
    answer.feed(body)
    answer.close()
    return answer.found()


def read(*rows: Any, source: UpstreamSource = SOURCE) -> NamedUpstreams:
    return read_rows(json.dumps(rows).encode(), source)


def test_only_active_routes_of_the_node_are_taken() -> None:
    found = read(ROW, {**ROW, "active": False}, {**ROW, "node": "edge-2"}, {**ROW, "more": [1]})
    assert found == NamedUpstreams((GOOD, GOOD), None, ("routes that are not active: 1",), ())


@pytest.mark.parametrize("key", ["routes", "items", "data"])
def test_the_list_may_stand_in_an_object(key: str) -> None:
    body = json.dumps({"version": 1, key: [ROW]}).encode()
    assert read_rows(body, SOURCE).backends == (GOOD,)


def test_a_nodes_id_may_be_a_number() -> None:
    seven = UpstreamSource(name="api", kind="nodes", url="http://127.0.0.1:1", node="7")
    assert read({**ROW, "node": 7}, {**ROW, "node": True}, source=seven).backends == (GOOD,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"active": 1}, "active of another type"),
        ({"active": "true"}, "active of another type"),
        ({"backend_port": "9000"}, "backend_port of another type"),
        ({"backend_port": True}, "backend_port of another type"),
        ({"backend_port": 0}, "no host and port that can be dialled"),
        ({"backend_port": 70000}, "no host and port that can be dialled"),
        ({"backend_host": ""}, "no host and port that can be dialled"),
        ({"backend_host": "0.0.0.0"}, "no host and port that can be dialled"),
        ({"backend_host": None}, "backend_host of another type"),
        ({"listen_port": -1}, "listen_port out of range"),
        ({"route": ""}, "an empty route"),
    ],
)
def test_a_bad_row_is_counted_and_the_good_ones_kept(change: dict[str, Any], words: str) -> None:
    found = read(ROW, {**ROW, **change})
    assert found.backends == (GOOD,)
    example = "" if change.get("route") == "" else " (orders)"
    assert found.warnings == (f"rows of 2 that cannot be read, {words}: 1{example}",)


@pytest.mark.parametrize("key", list(ROW))
def test_a_missing_key_is_named(key: str) -> None:
    row = {name: value for name, value in ROW.items() if name != key}
    (warning,) = read(ROW, row, row, 5).warnings[:1]
    assert warning.startswith(f"rows of 4 that cannot be read, no {key}: 2")


def test_an_answer_without_the_node_names_those_that_there_are() -> None:
    found = read({**ROW, "node": "edge-2"}, {**ROW, "node": "edge-3"})
    assert found.backends == ()
    assert found.warnings == ('no route of the node "edge-1"; there are edge-2, edge-3',)


def test_no_rows_are_no_upstreams() -> None:
    assert read() == NamedUpstreams((), None, (), ())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "answers with something that is not JSON"),
        (b"[" * 100_000, "answers with something that is not JSON"),
        (b'{"error": "x"}', "answers with JSON that holds no list of routes"),
        (b"null", "answers with JSON that holds no list of routes"),
        (b"[1, 2]", "answers with rows of 2 that cannot be read, not an object: 2, and no other"),
    ],
)
def test_an_answer_without_any_row_is_a_sentence(body: bytes, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_rows(body, SOURCE)
    assert str(caught.value).startswith(words)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just([])


@given(st.lists(st.dictionaries(st.sampled_from(list(ROW)), VALUES) | VALUES, max_size=4))
def test_garbage_never_costs_the_good_row(rows: list[Any]) -> None:
    found = read(*rows, ROW)
    assert GOOD in found.backends
    for sentence in found.warnings:
        assert sentence.isprintable()
