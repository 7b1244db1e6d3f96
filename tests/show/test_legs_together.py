"""`t3probe legs` for several vantages: what they tell together, and which one more would help."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.cli import main
from t3probe.config import Deployment, Leg, load
from t3probe.show.coverage_together import (
    ANY_OTHER,
    coverage_together,
    draw_together,
    named_vantages,
)

T3 = str(Path(__file__).resolve().parents[2] / "deployments/t3.toml")


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["legs", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def text(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["legs", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("words", [["--vantage", "home", "--vantage", "cloud"],
                                   ["--vantage", "home,cloud"]])  # fmt: skip
def test_two_places_outside_and_what_a_place_inside_would_add(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = asked(capsys, T3, *words)
    assert found["vantages"] == ["home", "cloud"]
    assert found["segments"][:3] == ["wan@home", "wan@cloud", "doh"]  # type: ignore[index]
    assert found["legs"]["cloud/edge"] == ["wan@cloud", "cf-edge"]  # type: ignore[index]
    assert "internal" in found["left_out"]  # type: ignore[operator]
    down, cut = (found["told"][one] for one in ("down", "cut"))  # type: ignore[index]
    lines = ["wan@home", "wan@cloud"]
    assert down["alone"] == [*lines, "doh", "cf-edge"]
    assert down["confusable"]["devvm"] == ["dispatch"]
    assert down["confusable"]["tunnel"] == ["traefik", "carve-out"]
    assert down["unseen"] == cut["unseen"] == ["wall", "serve"]
    assert cut["alone"] == lines
    assert cut["simplest"] == {"doh": lines, "cf-edge": lines}
    assert len(cut["confusable"]["tunnel"]) == 4
    further = found["further_vantage"]
    assert further["vantage"] == "cluster"  # type: ignore[index]
    assert "wall" in further["helps"]["down"]  # type: ignore[index]
    said = text(capsys, T3, *words)
    assert "t3 from home and cloud: 10 legs" in said
    assert "down, cannot be told apart: devvm, dispatch" in said
    assert "simplest explanation: cf-edge (as suspect: wan@home, wan@cloud)" in said
    assert "the most useful further vantage: cluster" in said


def test_all_that_the_file_names(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, T3, "--all-vantages")
    assert found["vantages"] == ["cluster", "lan"]
    assert found["further_vantage"] is None
    assert found["told"]["cut"]["unseen"] == ["wall"]  # type: ignore[index]
    assert "no further vantage would tell more" in text(capsys, T3, "--all-vantages")


def made(*legs: Leg, local: tuple[str, ...] = ("wan",), **more: object) -> Deployment:
    segments = dict.fromkeys(name for leg in legs for name in leg.path)
    own = more.get("own_segments", ())
    assert isinstance(own, tuple)
    declared = tuple(name for name in segments if name not in own)
    return Deployment(
        name="made", file="made.toml", segments=declared, local=local, legs=legs, **more  # type: ignore[arg-type]
    )  # fmt: skip


def http(name: str, path: str, *vantages: str, host: str = "", **more: object) -> Leg:
    found = tuple(path.split())
    url = f"https://{host or name}.example.org/"
    kind = more.pop("kind", "http")
    end = more.pop("tcp_ends_at", found[-1])
    return Leg(
        name=name, kind=kind, path=found, vantages=vantages, url=url, tcp_ends_at=end, **more
    )  # type: ignore[arg-type]


def test_one_line_is_told_from_the_far_end_by_another_place_alone() -> None:
    """From one place a line and what lies behind it are on the same legs."""
    file = made(http("edge", "wan edge"))
    one = coverage_together(file, ["home"])
    assert one.told["down"].confusable == {"wan@home": ("edge",), "edge": ("wan@home",)}
    assert one.further is not None
    assert one.further.vantage == ANY_OTHER
    assert one.further.to_dict()["vantage"] is None
    two = coverage_together(file, ["home", "cloud"])
    assert two.told["down"].alone == ("wan@home", "wan@cloud")
    assert two.told["down"].simplest == {"edge": ("wan@home", "wan@cloud")}


def test_another_host_clears_nothing_up_to_where_connections_end_nor_what_is_right_behind() -> None:
    here = http("here", "wan edge tunnel app", "home", tcp_ends_at="edge")
    there = http("there", "wan edge tunnel app", "cloud", tcp_ends_at="edge")
    other = coverage_together(made(here, there), ["home", "cloud"]).told["down"]
    assert {*other.confusable} >= {"wan@home"}
    assert {*other.confusable["wan@home"]} == {"edge", "tunnel"}
    there = http("there", "wan edge tunnel app", "cloud", tcp_ends_at="edge", host="here")
    same = coverage_together(made(here, there), ["home", "cloud"]).told["down"]
    assert same.alone == ("wan@home", "wan@cloud")


def test_what_is_spread_is_cleared_by_no_other_leg() -> None:
    legs = http("a", "wan pool app"), http("b", "wan pool")
    assert "app" in coverage_together(made(*legs), ["home", "cloud"]).told["down"].alone
    spread = made(*legs, spread=("pool",))
    assert "pool" in coverage_together(spread, ["home", "cloud"]).told["down"].confusable["app"]


def test_a_leg_sees_what_its_strands_see() -> None:
    shot = Leg(name="shot", kind="tcp", path=("wan", "port"), address="192.0.2.1:80")
    found = coverage_together(made(shot, http("held", "wan app", fresh_every=0)), ["home", "cloud"])
    assert found.told["down"].unseen == ("app",)
    assert found.told["cut"].unseen == ("port",)


def test_the_vantage_that_helps_most_is_named() -> None:
    file = made(
        http("all", "wan edge app store"),
        http("app", "app", "lan"),
        http("store", "store", "rack"),
        http("both", "app store", "rack"),
    )
    assert named_vantages(file) == ("lan", "rack")
    found = coverage_together(file, ["home", "cloud"]).further
    assert found is not None
    assert found.vantage == "rack"
    last = coverage_together(file, ["home", "cloud", "rack"]).further
    assert last is None or last.vantage != "rack"


def test_ten_thousand_upstreams_are_looked_at_by_what_they_share() -> None:
    own = tuple(f"upstream-{at}" for at in range(10_000))
    legs = [
        Leg(name=f"envoy-{at}", kind="tcp", path=("rack", name), upstream=True)
        for at, name in enumerate(own)
    ]
    found = coverage_together(made(*legs, local=(), own_segments=own), ["home", "cloud"])
    assert found.told["down"].simplest or found.told["down"].confusable
    assert len(found.coverage.legs) == 20_000
    assert len(list(draw_together(found))) < 25


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True),
            st.lists(st.sampled_from(["home", "cloud", "lan"]), max_size=2, unique=True),
            st.sampled_from(["http", "tcp", "walloff"]),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sets(st.sampled_from("abc")),
)
def test_each_segment_is_told_in_one_way_and_more_vantages_see_no_less(
    some: list[tuple[list[str], list[str], str]], local: set[str]
) -> None:
    legs = [
        http(f"leg{at}", " ".join(path), *vantages, kind=kind, host="one")
        for at, (path, vantages, kind) in enumerate(some)
    ]
    present = {name for path, _, _ in some for name in path}
    file = made(*legs, local=tuple(sorted(local & present)))
    two = coverage_together(file, ["home", "cloud"])
    for told in two.told.values():
        every = [*told.alone, *told.simplest, *told.confusable, *told.unseen]
        assert sorted(every) == sorted(two.coverage.segments)
        for name, others in (*told.simplest.items(), *told.confusable.items()):
            assert name not in others
    three = coverage_together(file, ["home", "cloud", "lan"])
    for symptom, told in three.told.items():
        assert {*told.unseen} & {*two.coverage.segments} <= {*two.told[symptom].unseen}
    assert [one for one in draw_together(three) if len(one) > 80] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vantage", "a/b,c"], "expected the name of a vantage without @ and /, found 'a/b'"),
        (["--vantage", "home", "--all-vantages"], "found both; leave one out"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["legs", T3, *words]) == 4
    assert said in capsys.readouterr().err.replace('"', "'")


def test_a_file_without_vantages_is_refused_and_a_misspelled_one_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["legs", "--all-vantages"]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "the built-in lab names none" in said
    assert main(["legs", T3, "--vantage", "clustre,lan"]) == 0
    assert "cluster" in capsys.readouterr().err


def test_it_is_told_of_a_file_that_was_loaded() -> None:
    file = load(T3, {}, now=1.7e9)
    assert coverage_together(file, ["cluster"]).told["down"].unseen == ()
