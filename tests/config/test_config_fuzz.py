"""Whatever stands in a deployment file: it loads, or one line says why not."""

from __future__ import annotations

import copy
import tomllib
from datetime import UTC
from typing import Any

from config_helpers import DEPLOYMENTS, NOW, RICH, SMALL, read, toml_document, toml_value
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.config import DeploymentError, legs_for, planned
from t3probe.config.types import DeploymentFile, LegTable

BASES = [SMALL, RICH, (DEPLOYMENTS / "t3.toml").read_text(encoding="utf-8")]
CANARY = "hunter2"

words = st.sampled_from(
    [
        "",
        "wan",
        "traefik",
        "carve-out",
        "echo",
        "tcp",
        "doh",
        "5s",
        "0",
        "-1s",
        "10.0.0.1",
        "::1",
        "10.0.0.1:443",
        "[::1]:0",
        "https://a/",
        f"https://u:{CANARY}@a/",
        f"wss://u:/{CANARY}@a",
        f"https://a/?token={CANARY}",
        f"u:{CANARY}@a",
        "https://[",
        "\x1b[31m\n",
        "\u2028\u202e",
        "wss://10.0.0.1:99999/",
        "/",
        "/dev/zero",
        "a\x00b",
        "x" * 5000,
        "é",
        "1" * 400,
    ]
)
texts = words | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(timezones=st.none() | st.just(UTC))
numbers = st.integers() | st.sampled_from([2**63, 2**300]) | st.floats()
scalars = texts | st.booleans() | numbers | moments | st.dates() | st.times()
keys = (
    st.sampled_from([*DeploymentFile.__struct_fields__, *LegTable.__struct_fields__, "token"])
    | texts
)
values = st.recursive(
    scalars,
    lambda some: st.lists(some, max_size=3) | st.dictionaries(keys, some, max_size=3),
    max_leaves=8,
)


def holds(text: str, environ: dict[str, str] | None = None) -> None:
    try:
        deployment = read(text, environ)
    except DeploymentError as error:
        said = str(error)
        assert said.isprintable(), said
        assert ": expected " in said
        assert CANARY not in said
        assert len(said) < 1500
    else:
        legs, warning = legs_for(deployment, "lna")
        assert {*legs} <= {*deployment.legs}
        known = {*deployment.segments, *deployment.own_segments}
        for leg in deployment.legs:
            assert leg.path
            assert {*leg.path} <= known
            assert planned(deployment, leg, NOW).isprintable()
        assert all(one.isprintable() for one in (*deployment.warnings, warning))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, one in inside:
        found.append((*path, key))
        if isinstance(one, dict | list):
            found += places(one, (*path, key))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good file in which up to three things are replaced, removed, doubled or added."""
    table = copy.deepcopy(tomllib.loads(draw(st.sampled_from(BASES))))
    for _ in range(draw(st.integers(1, 3))):
        found = places(table)
        if not found:
            break
        path = draw(st.sampled_from(found))
        place: Any = table
        for key in path[:-1]:
            place = place[key]
        what = draw(st.sampled_from(["replace", "remove", "double", "add"]))
        if what == "remove":
            del place[path[-1]]
        elif what == "double" and isinstance(place, list):
            place.append(copy.deepcopy(place[path[-1]]))
        elif what == "add" and isinstance(place, dict):
            place[draw(keys)] = draw(values)
        else:
            place[path[-1]] = draw(values)
    return table


@settings(max_examples=400, deadline=None, database=None)
@given(mutated())
def test_a_good_file_with_mistakes(table: dict[str, Any]) -> None:
    holds(toml_document(table))


@settings(max_examples=150, deadline=None, database=None)
@given(st.dictionaries(keys, values, max_size=6))
def test_any_table(table: dict[str, Any]) -> None:
    holds(toml_document(table))


@settings(max_examples=300, deadline=None, database=None)
@given(st.sampled_from(BASES), st.data())
def test_a_good_file_with_broken_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 30))
    put = data.draw(st.text(st.sampled_from('"[]{}=#\n\\,.\x00\x1b\u2028a1-T:Z '), max_size=6))
    holds(text[:start] + put + text[start + cut :])


@settings(max_examples=150, deadline=None, database=None)
@given(st.text())
def test_any_text(text: str) -> None:
    holds(text)


variables = st.sampled_from(
    [
        "NAME",
        "SEGMENTS",
        "PATHS",
        "TLS_CA",
        "TIMING__HOLD",
        "TIMING__DEADLINE",
        "LEG__ECHO__DOH",
        "LEG__ECHO__URL",
        "LEG__EGRESS__ANY_OF",
        "UPSTREAM__WEB_1__LISTEN_PORT",
        "DOWNTIME__ECHO__UNTIL",
        "DELIVERY__GATEWAY",
        "WALLED__HOME__PATH",
        "PUBLIC__PROBE__OWN_RULE",
        "LEG",
        "LAB__X",
        "",
        "__",
        "SSO__HOSTS",
        "DELIVERY__TOKEN",
        "LEG__EGRESS__PATH",
    ]
) | st.text(max_size=20)


@settings(max_examples=300, deadline=None, database=None)
@given(
    st.dictionaries(variables, st.text(max_size=20) | words | values.map(toml_value), max_size=3)
)
def test_any_environment(environ: dict[str, str]) -> None:
    holds(RICH, {f"T3PROBE__{name}": value for name, value in environ.items()})
