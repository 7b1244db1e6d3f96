"""What the tools answer about recorded runs, and what they answer to nonsense."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_asking import Asked
from mcp_runs import (
    BROKEN_TUNNEL,
    NOW,
    THREE_DOWN,
    down,
    good,
    recording,
    refusing,
    upstream,
    view,
    write,
)

from t3probe.ask.mcp_server import of_run as runs_module
from t3probe.ask.mcp_server.answers import ANSWER_BYTES
from t3probe.ask.mcp_server.serve import protocol
from t3probe.ask.mcp_server.tools import ROWS, TOOLS, ToolError, output_schema
from t3probe.observation import SYMPTOMS
from t3probe.timing import FakeClock
from t3probe.verdict.incident.evidence import HOW

NAMES = [one.name for one in TOOLS]


async def test_what_a_client_sees(tmp_path: Path) -> None:
    server = protocol(Asked(tmp_path / "junit.xml").tools, "1.2")
    async with Client(server) as client:
        listed = (await client.list_tools()).tools
        assert [one.name for one in listed] == [
            "query_backend_health", "query_legs", "query_verdict", "query_experiments",
            "explain_drop",
        ]  # fmt: skip
        for one in listed:
            assert one.annotations is not None
            assert one.annotations.read_only_hint is True
            assert one.annotations.destructive_hint is False
            assert one.description is not None
            assert len(one.description) < 300
            assert one.output_schema is not None
            for schema in (one.input_schema, one.output_schema):
                jsonschema.Draft202012Validator.check_schema(schema)
                assert schema["type"] == "object"
            assert one.input_schema["additionalProperties"] is False
        assert listed[-1].input_schema["required"] == ["at"]
        with pytest.raises(MCPError, match="expected one of query_backend_health"):
            await client.call_tool("rm", {})


async def test_structured_and_text_say_the_same(tmp_path: Path) -> None:
    write(tmp_path / "junit.xml", BROKEN_TUNNEL)
    async with Client(protocol(Asked(tmp_path).tools, "")) as client:
        answer = await client.call_tool("query_verdict", {})
        assert not answer.is_error
        assert json.loads(answer.content[0].text) == answer.structured_content  # type: ignore[union-attr]
        wrong = await client.call_tool("query_verdict", {"segment": "wan"})
        assert wrong.is_error
        assert wrong.structured_content is None


async def test_a_broken_segment(tmp_path: Path) -> None:
    write(tmp_path / "junit.xml", BROKEN_TUNNEL)
    answer = await Asked(tmp_path / "junit.xml")("query_verdict")
    assert answer["status"] == "localised"
    assert answer["convicted"] == ["tunnel"]
    assert answer["exonerated"] == ["wan", "dispatch"]
    assert answer["sentence"] == "tunnel is broken"
    assert answer["incidents_total"] == 1
    assert answer["incidents"][0]["failed"] == ["cloudflare"]
    assert answer["source"] == {
        "kind": "runs", "name": str(tmp_path / "junit.xml"), "run_ended_at": NOW,
        "run_ended_utc": "2026-11-18T11:06:40.000Z", "age_seconds": 10.0, "stale": False,
        "deployment": "t3", "vantage": "attic", "complete": True,
    }  # fmt: skip


async def test_a_leg_that_refuses_cannot_be_overlooked(tmp_path: Path) -> None:
    seen = (refusing("cloudflare", "wan", "tunnel"), good("egress", "wan"))
    write(tmp_path / "junit.xml", seen)
    ask = Asked(tmp_path / "junit.xml")
    legs = await ask("query_legs")
    assert legs["sentence"] == (
        "2 legs: 1 failed, 1 passed; cloudflare keeps what is open and accepts nothing new"
    )
    first, second = legs["legs"]
    assert (first["connected"], first["accepting"]) == (True, False)
    assert first["symptom"] == "refusing"
    assert second["accepting"] is True
    assert "symptom" not in second
    verdict = await ask("query_verdict")
    (incident,) = verdict["incidents"]
    assert incident["symptom"] == "refusing"
    assert "accepted no new one" in incident["finding"]
    assert incident["cleared_by"] == {"egress": "fresh beat"}


async def test_the_simplest_explanation_is_beside_what_is_convicted(tmp_path: Path) -> None:
    seen = (down("a", "wan", "tunnel"), down("b", "tunnel", "dispatch"))
    write(tmp_path / "junit.xml", seen)
    answer = await Asked(tmp_path / "junit.xml")("query_verdict")
    assert (answer["convicted"], answer["simplest"]) == ([], ["tunnel"])
    write(tmp_path / "junit.xml", BROKEN_TUNNEL)
    answer = await Asked(tmp_path / "junit.xml")("query_verdict")
    assert (answer["convicted"], answer.get("simplest")) == (["tunnel"], None)


def test_the_schema_names_every_symptom_and_every_way_to_clear() -> None:
    told = next(one for one in TOOLS if one.name == "query_verdict")
    row = output_schema(told)["$defs"]["IncidentRow"]["properties"]
    assert set(row["symptom"]["enum"]) == set(SYMPTOMS)
    assert set(row["cleared_by"]["additionalProperties"]["enum"]) == set(HOW)


async def test_legs_the_worst_first(tmp_path: Path) -> None:
    planned = down("serve", "serve", planned="rebuilt until 14:00")
    write(tmp_path / "junit.xml", (*BROKEN_TUNNEL, planned, *THREE_DOWN))
    answer = await Asked(tmp_path / "junit.xml")("query_legs")
    assert [one["name"] for one in answer["legs"]] == ["cloudflare", "serve", "egress", "dispatch"]
    assert answer["counts"] == {"failed": 1, "planned": 1, "passed": 2}
    assert answer["upstreams"] == 7
    first = answer["legs"][0]
    assert (first["drops"], first["drop_reasons"]) == (1, {"connect_timeout": 1})
    assert first["connected"] is False
    assert "connected" not in answer["legs"][1]
    assert answer["legs"][2]["median_seconds"] == pytest.approx(0.03)


async def test_three_unreachable_upstreams(tmp_path: Path) -> None:
    write(tmp_path / "junit.xml", THREE_DOWN)
    ask = Asked(tmp_path / "junit.xml")
    answer = await ask("query_backend_health", unreachable_only=True)
    assert [one["name"] for one in answer["upstreams"]] == ["envoy-b", "envoy-d", "envoy-f"]
    b, d, f = answer["upstreams"]
    assert (b["route"], b["listen_port"], b["backend"]) == ("route-b", "8443", "b.lan:80")
    assert b["reachable"] is False
    assert b["disagreement"] == ["envoy_only"]
    assert b["envoy"][0]["opinion"] == "healthy"
    assert d["disagreement"] == []
    assert not {"disagreement", "envoy", "connect_seconds"} & set(f)
    every = await ask("query_backend_health")
    order = ["b", "d", "f", "e", "g", "a", "c"]
    assert [one["name"] for one in every["upstreams"]] == [f"envoy-{one}" for one in order]
    assert "reachable" not in every["upstreams"][4]
    assert every["upstreams"][5]["connect_seconds"] == 0.002
    counted = ("total", "reachable", "unreachable", "unknown", "disagreeing", "not_listed")
    assert [every[one] for one in counted] == [7, 3, 3, 1, 2, 0]
    assert every["sentence"].startswith("3 of 7 upstreams are unreachable; of 1 ")


async def test_a_source_of_upstreams_that_failed_is_told(tmp_path: Path) -> None:
    source = good(
        "envoy", "envoy", kind="source", outcome="inconclusive", reason="connect_refused",
        detail="refuses connections", connected=None, beats=(),
    )  # fmt: skip
    write(tmp_path / "junit.xml", (source,))
    answer = await Asked(tmp_path / "junit.xml")("query_backend_health")
    assert answer["total"] == 0
    assert "could not be read" in answer["sentence"]
    assert answer["upstream_sources"][0]["outcome"] == "inconclusive"


async def test_ten_thousand_upstreams_are_bounded(tmp_path: Path) -> None:
    many = [upstream(f"n{number:05}", ok=number % 1000 != 999) for number in range(10_000)]
    write(tmp_path / "junit.xml", many)
    ask = Asked(tmp_path / "junit.xml")
    answer = await ask("query_backend_health")
    assert answer["total"] == 10_000
    assert len(answer["upstreams"]) == ROWS
    assert answer["not_listed"] == 10_000 - ROWS
    assert [one["reachable"] for one in answer["upstreams"][:11]] == [False] * 10 + [True]
    for tool in NAMES[:3]:
        text = json.dumps(await ask(tool), ensure_ascii=False)
        assert len(text.encode()) <= ANSWER_BYTES
    verdict = await ask("query_verdict")
    assert verdict["left_out"]["exonerated"] > 9000
    dropped = await ask("explain_drop", at=str(int(NOW - 20)))
    assert len(json.dumps(dropped, ensure_ascii=False).encode()) <= ANSWER_BYTES


async def test_long_words_are_bounded_too(tmp_path: Path) -> None:
    long = "x" * 5000 + "\n\x1b[31m"
    seen = [
        upstream(
            f"n{number}{long.strip()[:5000]}", ok=False, detail=long,
            views=tuple(view(f"{one}{long}", "healthy", "envoy_only") for one in range(20)),
        )
        for number in range(300)
    ]  # fmt: skip
    write(tmp_path / "junit.xml", seen)
    ask = Asked(tmp_path / "junit.xml")
    answer = await ask("query_backend_health")
    assert len(json.dumps(answer, ensure_ascii=False).encode()) <= ANSWER_BYTES
    assert answer["not_listed"] == 300 - len(answer["upstreams"])
    assert answer["upstreams"]
    assert "\x1b" not in json.dumps(answer, ensure_ascii=False)
    assert len(json.dumps(await ask("query_verdict"))) <= ANSWER_BYTES


@pytest.mark.parametrize(
    ("age", "stale", "warning"),
    [
        (239.0, False, ""),
        (241.0, True, "stale: the newest run ended 4 min 1 s ago"),
        (3 * 86_400.0, True, "stale: the newest run ended 3 d ago"),
        (-3.0, False, ""),
        (-600.0, False, "the newest run ended at"),
    ],
)
async def test_the_age_of_the_source(tmp_path: Path, age: float, stale: bool, warning: str) -> None:
    write(tmp_path / "junit.xml", BROKEN_TUNNEL)
    ask = Asked(tmp_path / "junit.xml", clock=FakeClock(wall=NOW + age))
    for tool in NAMES:
        arguments = {"at": str(NOW - 700)} if tool == "explain_drop" else {}
        source = (await ask(tool, **arguments))["source"]
        assert source["age_seconds"] == age
        assert source["stale"] is stale
        assert source.get("warning", "").startswith(warning)
        assert bool(source.get("warning")) is bool(warning)


@pytest.mark.parametrize("ended_at", [-5.0, 1e18, 1e308])
async def test_a_time_that_no_clock_tells(tmp_path: Path, ended_at: float) -> None:
    write(tmp_path / "junit.xml", BROKEN_TUNNEL, ended_at)
    answer = await Asked(tmp_path / "junit.xml")("query_legs")
    assert "age_seconds" not in answer["source"]
    assert answer["source"]["stale"] is True
    await Asked(tmp_path / "junit.xml")("query_verdict")


async def test_what_the_run_itself_warns_of(tmp_path: Path) -> None:
    write(tmp_path / "junit.xml", BROKEN_TUNNEL, complete=False, warnings=("stale downtime",))
    source = (await Asked(tmp_path / "junit.xml")("query_legs"))["source"]
    assert source["complete"] is False
    assert source["notes"] == ["stale downtime"]


# -- nonsense ----------------------------------------------------------------------------


@pytest.mark.parametrize("tool", NAMES)
async def test_no_run_yet(tmp_path: Path, tool: str) -> None:
    arguments = {"at": "5 minutes ago"} if tool == "explain_drop" else {}
    for name in ("junit.xml", "."):
        said = await Asked(tmp_path / name).refused(tool, **arguments)
        assert said == f"{tool}: nothing recorded: run the checks first"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "missing required field `at`"),
        ({"at": 5}, "Expected `str`, got `int` - at `$.at`"),
        ({"at": float("nan")}, "Expected `str`, got `float`"),
        ({"at": "x" * 101}, "length <= 100"),
        ({"at": "noon-ish"}, "at: expected a time such as 14:03"),
        ({"at": "14:03", "users": "user-1"}, "Expected `array`, got `str`"),
        ({"at": "14:03", "users": ["\x00"]}, "users: expected a name, found nothing|\\?"),
        ({"at": "14:03", "users": ["A"] * 51}, "length <= 50"),
        ({"at": "14:03", "window": "2h"}, "window: expected 1s to 1h"),
        ({"at": "14:03", "window": None}, "Expected `str`, got `null`"),
        ({"at": "14:03", "people": 3}, "unknown field `people`"),
        ({"at": "14:03", "runs": "/etc/passwd"}, "unknown field `runs`"),
    ],
)
async def test_wrong_arguments_are_one_sentence(
    tmp_path: Path, arguments: dict[str, Any], words: str
) -> None:
    write(tmp_path / "junit.xml", BROKEN_TUNNEL)
    ask = Asked(tmp_path / "junit.xml")
    if arguments.get("users") == ["\x00"]:
        answer = await ask("explain_drop", **arguments)
        assert answer["users"] == ["?"]
        return
    assert words in await ask.refused("explain_drop", **arguments)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=8,
)
_times = st.sampled_from(
    ["14:03", "5 minutes ago", "yesterday 14:03", "1795000000", "1e999", "nan"]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tool=st.sampled_from(NAMES),
    arguments=st.dictionaries(
        st.sampled_from(["at", "users", "window", "unreachable_only"]) | st.text(max_size=20),
        _json | _times | st.sampled_from(["60s", "1s", "0s", "1h"]),
        max_size=4,
    ),
)
def test_any_arguments_are_answered_or_refused(
    tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    file = tmp_path / "junit.xml"
    if not file.exists():
        write(file, BROKEN_TUNNEL)

    async def ask() -> None:
        asked = Asked(file)
        try:
            answer = await asked.tools.call(tool, arguments)
        except ToolError as error:
            answer = {"said": str(error)}
        said = answer.get("said", "")
        assert said.isprintable()
        assert len(said) < 800
        assert "unforeseen" not in said
        json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()

    asyncio.run(ask())


async def test_a_deployment_file_gone_bad_is_not_quoted(tmp_path: Path) -> None:
    write(tmp_path / "junit.xml", BROKEN_TUNNEL)
    bad = tmp_path / "t3.toml"
    bad.write_text('name = "t3"\npassword = "hunter2"\n')
    said = await Asked(tmp_path / "junit.xml", deployment=bad).refused("explain_drop", at=str(NOW))
    assert "hunter2" not in said
    assert "password" not in said
    assert "deployment file" in said


async def test_other_files_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hunter2\n" * 10)
    (tmp_path / "other.xml").write_text("<config><password>hunter2</password></config>")
    write(tmp_path / "run.xml", BROKEN_TUNNEL)
    ask = Asked(tmp_path)
    for tool in NAMES:
        arguments = {"at": str(NOW)} if tool == "explain_drop" else {}
        assert "hunter2" not in json.dumps(await ask(tool, **arguments))
    assert "hunter2" not in await Asked(tmp_path / "secret.txt").refused("query_legs")


async def test_a_slow_source_does_not_hold_up_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "junit.xml", BROKEN_TUNNEL)
    ask = Asked(tmp_path / "junit.xml", call_seconds=0.05)
    go = threading.Event()
    real = runs_module.RunFiles.newest

    def slow(self: Any, budget: Any) -> Any:
        go.wait(60)
        return real(self, budget)

    monkeypatch.setattr(runs_module.RunFiles, "newest", slow)
    try:
        # More than there are slots: a question that finds none ends by its time, too.
        said = await asyncio.gather(*(ask.refused("query_legs") for _ in range(6)))
        assert set(said) == {"query_legs: no answer within 50 ms; ask again in a while"}
    finally:
        go.set()
    monkeypatch.undo()
    again = Asked(tmp_path / "junit.xml")
    assert (await again("query_legs"))["total"] == 3


async def test_a_fault_of_ours_is_one_sentence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Any, budget: Any) -> Any:
        raise KeyError("insides")

    monkeypatch.setattr(runs_module.RunFiles, "newest", broken)
    said = await Asked(tmp_path / "junit.xml").refused("query_legs")
    assert "unforeseen KeyError" in said
    assert "insides" not in said
    assert "insides" in capsys.readouterr().err


def test_the_recordings_are_what_they_say() -> None:
    assert recording(THREE_DOWN).run.own_segments[0] == "upstream-a"
