"""`t3probe legs`: the coverage of a deployment, in a terminal and as JSON."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.cli import main
from t3probe.config import Deployment, Leg, legs_for, load
from t3probe.setup.doctor import examined
from t3probe.show.coverage import coverage, draw

ROOT = Path(__file__).resolve().parents[2]
NAMES = st.text("abcdefghij-", min_size=1, max_size=90)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["legs", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_reference_tells_every_segment_apart(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, str(ROOT / "deployments/t3.toml"))
    assert lines[0] == "t3: 11 legs"
    assert lines[2:5] == [
        "                wan",
        "                | doh",
        "                | | cf-edge",
    ]
    assert "internal        . . . . # # . # # ." in lines
    assert "every segment can be told from every other one" in lines
    assert all(len(one) <= 80 for one in lines)


def test_from_outside_some_cannot_be_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, str(ROOT / "deployments/t3.toml"), "--vantage", "laptop")
    text = "\n".join(lines)
    assert lines[0] == "t3 from laptop: 5 legs"
    assert "cannot be run from here: internal, traefik, dispatch, devvm, t3serve" in text
    assert "crossed by no leg: wall, serve" in text
    said = " ".join(text.split())
    tunnel = "tunnel (or what the CDN does with this path)"
    assert f"cannot be told apart: {tunnel}, traefik, carve-out" in said
    assert "cannot be told apart: devvm, dispatch" in text
    assert "the most useful further leg: " in text


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["legs", str(ROOT / "deployments/t3.toml"), "--vantage", "laptop", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["vantage"] == "laptop"
    assert found["legs"]["edge"] == ["wan", "cf-edge"]
    assert found["inseparable"] == [["tunnel", "traefik", "carve-out"], ["devvm", "dispatch"]]
    assert found["uncovered"] == ["wall", "serve"]


def test_the_extra_leg_really_splits_a_group() -> None:
    deployment = load(str(ROOT / "deployments/t3.toml"), {}, now=1.7e9)
    legs, _ = legs_for(deployment, "laptop")
    before = coverage(deployment, legs, "laptop")
    assert before.extra_leg is not None
    more = Leg(name="more", kind="http", path=before.extra_leg)
    after = coverage(deployment, [*legs, more], "laptop")
    pairs = [sum(len(g) * (len(g) - 1) for g in one.inseparable) for one in (before, after)]
    unseen = [len(one.uncovered) for one in (before, after)]
    assert pairs[1] < pairs[0] or unseen[1] < unseen[0]


def test_without_a_file_it_is_the_labs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("T3PROBE_DEPLOYMENT", raising=False)
    monkeypatch.delenv("T3PROBE_VANTAGE", raising=False)
    assert told(capsys)[0] == "lab: 14 legs"


def test_the_environment_names_file_and_vantage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T3PROBE_DEPLOYMENT", str(ROOT / "deployments/t3.toml"))
    monkeypatch.setenv("T3PROBE_VANTAGE", "laptop")
    assert told(capsys)[0] == "t3 from laptop: 5 legs"


def test_a_bad_file_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["legs", str(tmp_path / "nowhere.toml")]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "nowhere.toml" in said.err


def made(legs: dict[str, list[str]], own: tuple[str, ...] = ()) -> Deployment:
    segments = dict.fromkeys(name for path in legs.values() for name in path)
    return Deployment(
        name="made",
        file="made.toml",
        segments=tuple(one for one in segments if one not in own),
        own_segments=own,
        legs=tuple(Leg(name=name, kind="tcp", path=tuple(path)) for name, path in legs.items()),
    )


def test_many_segments_fold_into_blocks() -> None:
    names = [f"segment-{at}" for at in range(60)]
    found = made({"all": names, "first": names[:1], "last": names[-1:]})
    lines = list(draw(coverage(found, found.legs)))
    assert all(len(one) <= 80 for one in lines)
    # `first` crosses none of the later blocks' segments, so it is only in the first.
    assert sum(one.startswith("all ") for one in lines) == 3
    assert sum(one.startswith("first ") for one in lines) == 1
    assert sum(one.startswith("last ") for one in lines) == 2


def test_ten_thousand_upstreams_are_counted() -> None:
    legs = {f"envoy-{at}": ["rack", f"upstream-{at}"] for at in range(10_000)}
    own = tuple(f"upstream-{at}" for at in range(10_000))
    found = made({**legs, "rack": ["rack"]}, own)
    lines = list(draw(coverage(found, found.legs)))
    assert "10,000 legs: each over a segment of its own, and rack" in lines
    assert len(lines) < 15


@given(
    st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=40, unique=True), max_size=12),
    st.text(max_size=200),
)
def test_any_deployment_fits_eighty_columns(legs: dict[str, list[str]], vantage: str) -> None:
    found = made(legs)
    lines = list(draw(coverage(found, found.legs, vantage)))
    assert [one for one in lines if len(one) > 80] == []


@pytest.mark.parametrize("more", ["", "ping = true\n"])
def test_a_websocket_that_sends_nothing_says_what_it_never_clears(
    more: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (ROOT / "deployments" / "t3.toml").read_text()
    leg = 'name = "internal"\nkind = "ws_echo"\n'
    assert text.count(leg) == 1
    file = tmp_path / "t3.toml"
    file.write_text(text.replace(leg, f'name = "internal"\nkind = "ws"\n{more}'))
    said = " ".join(" ".join(told(capsys, str(file))).split())
    assert "never clear their last segment (a ws leg that sends nothing): internal" in said
    assert main(["legs", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["way_only"] == ["internal"]


def test_a_leg_without_fresh_beats_says_what_it_cannot_see(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (ROOT / "deployments" / "t3.toml").read_text()
    file = tmp_path / "t3.toml"
    file.write_text(text.replace('name = "internal"\n', 'name = "internal"\nfresh_every = 0\n'))
    said = " ".join(" ".join(told(capsys, str(file))).split())
    words = "cannot see that new connections are refused, and clear only cuts (fresh_every = 0)"
    assert f"{words}: internal" in said
    assert main(["legs", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cuts_only"] == ["internal"]
    rows = islice(examined(str(file), "results", None, {}), 12)  # before it asks anybody
    (row,) = [one for one in rows if one.what == "legs"]
    assert row.words == f"internal: {words}"
