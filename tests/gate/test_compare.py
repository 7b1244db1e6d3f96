"""What a comparison calls a regression, and what it calls noise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from gate_runs import PATHS, SEGMENTS, leg, run
from hypothesis import example, given
from hypothesis import strategies as st

from t3probe.cli import main
from t3probe.observation import RunRecord
from t3probe.record.facts import Recording
from t3probe.record.log import record_line
from t3probe.show.compare import compare
from t3probe.show.compare.lines import decision, headline, to_lines, to_markdown
from t3probe.verdict.gate import blocked, sentences
from t3probe.verdict.incident.run import judge_run

LATER = 1_700_000_600.0


def labels(found) -> dict[str, tuple[str, str]]:
    return {one.segment: (one.before, one.after) for one in found.segments}


def test_two_clean_runs() -> None:
    found = compare(run(), run(at=LATER))
    assert set(labels(found).values()) == {("exonerated", "exonerated")}
    assert not found.regressions
    assert headline(found) == "no regression in any segment"


def test_what_was_cleared_and_is_convicted_is_a_regression() -> None:
    found = compare(run(), run("cloudflare", at=LATER))
    assert [one.segment for one in found.regressions] == ["tunnel"]
    assert labels(found)["tunnel"] == ("exonerated", "convicted")
    assert headline(found) == "regression: tunnel cleared before, convicted after"


def test_what_was_broken_before_is_nobodys_regression() -> None:
    found = compare(run("cloudflare"), run("cloudflare", at=LATER))
    assert labels(found)["tunnel"] == ("convicted", "convicted")
    assert not found.regressions


def test_what_cannot_be_cleared_any_more_is_a_regression() -> None:
    # Without `internal` and `traefik` nobody can say which of the three broke.
    found = compare(run(), run("cloudflare", without=("internal", "traefik"), at=LATER))
    assert {one.segment for one in found.regressions} == {"tunnel", "traefik", "dispatch"}
    assert headline(found).endswith("cleared before, not cleared after")


def test_the_gate_judges_by_ownership() -> None:
    broken = run("cloudflare", at=LATER)
    assert not compare(run(), broken, ["dispatch"]).regressions
    assert compare(run(), broken, ["dispatch", "tunnel"]).regressions
    assert headline(compare(run(), broken, ["dispatch"])) == (
        "no regression in dispatch; elsewhere: tunnel"
    )


def test_a_repair_is_shown_and_blocks_nobody() -> None:
    found = compare(run("cloudflare"), run(at=LATER))
    assert {one.segment: one.course for one in found.segments}["tunnel"] == "better"
    assert not found.regressions


def trip(found, name: str):
    change = next(one for one in found.legs if one.leg == name)
    return next(one for one in change.paces if one.what == "round trip")


def test_a_round_trip_beyond_the_noise() -> None:
    found = compare(run(), run(edge=leg("edge", rtt=0.05), at=LATER))
    pace = trip(found, "edge")
    assert pace.difference_seconds == pytest.approx(0.03)
    assert pace.exceeds_noise is True
    assert trip(found, "internal").exceeds_noise is False


def test_a_wide_spread_is_noise() -> None:
    wide = leg("edge", rtt=0.05, spread=0.045)
    found = compare(run(edge=wide), run(edge=leg("edge", rtt=0.06, spread=0.045), at=LATER))
    assert trip(found, "edge").exceeds_noise is False


def test_few_beats_cannot_tell() -> None:
    short = msgspec.structs.replace(leg("edge"), beats=leg("edge").beats[:3])
    pace = trip(compare(run(edge=short), run(at=LATER)), "edge")
    assert (pace.noise_seconds, pace.exceeds_noise) == (None, None)


def test_a_phase_was_timed_once() -> None:
    slow = msgspec.structs.replace(leg("edge"), phases={"connect": 0.01, "tls": 0.3})
    change = next(one for one in compare(run(), run(edge=slow, at=LATER)).legs if one.leg == "edge")
    told = {one.what: one.exceeds_noise for one in change.paces}
    assert told == {"round trip": False, "connect": False, "tls": None}


def test_other_runs_are_named() -> None:
    other = run(at=1_600_000_000.0, without=("internal",))
    other = msgspec.structs.replace(other.run, vantage="attic"), other.observations
    found = compare(run(), type(run())(*other))
    assert found.warnings == (
        "the runs are from different vantages, '' and 'attic'",
        "the run called before began after the other one",
        "only the run before has internal",
    )


@given(
    st.sets(st.sampled_from(sorted(PATHS))),
    st.sets(st.sampled_from(sorted(PATHS))),
    st.sets(st.sampled_from(SEGMENTS), min_size=1),
)
def test_a_regression_is_what_it_says(before: set, after: set, gate: set) -> None:
    first, second = run(*before), run(*after, at=LATER)
    found = compare(first, second, sorted(gate))
    # Each leg works, or is down, from the first beat to the last: what a leg that works crosses is
    # cleared, and nothing else.
    was, now = (
        {segment for name, path in PATHS.items() if name not in failed for segment in path}
        for failed in (before, after)
    )
    assert {one.segment for one in found.regressions} == gate & was - now
    assert max(map(len, to_lines(found))) <= 80
    assert all("\n" not in line for line in to_markdown(found))
    json.dumps(found.to_dict())
    # The gate of one run: closed for exactly what is not cleared.
    verdict = judge_run(second.run, second.observations).verdict
    assert set(blocked(verdict, sorted(gate))) == gate - now
    said = sentences(verdict, sorted(gate), {})
    assert {word.partition(":")[0] for word in said} == {"closed" if gate - now else "open"}


def written(folder: Path, name: str, recording) -> str:
    file = folder / name
    file.write_text(record_line(recording.run, recording.observations) + "\n")
    return str(file)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    files = [
        written(tmp_path, "a.log", run()),
        written(tmp_path, "b.log", run("cloudflare", at=LATER)),
    ]
    assert main(["compare", *files]) == 1
    shown = capsys.readouterr().out
    assert re.search("^tunnel +cleared +convicted +REGRESSION$", shown, re.M)
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["compare", *files, "--gate", "dispatch"]) == 0
    assert "worse, not gated" in capsys.readouterr().out
    assert main(["compare", *files, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["regressed"] == ["tunnel"]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert main(["compare", *files, "--format", "github"]) == 1
    assert "::error title=t3probe compare::regression: tunnel" in capsys.readouterr().out
    assert "| tunnel | cleared | convicted | REGRESSION |" in (tmp_path / "summary.md").read_text()
    capsys.readouterr()
    assert main(["compare", *files, "--gate", "dispatch,tunnel"]) == 1
    assert "  gate  closed: tunnel convicted, and cleared before\n" in capsys.readouterr().out
    blind = written(tmp_path, "c.log", run(without=("cloudflare",), at=LATER))
    assert main(["compare", blind, blind]) == 0, "without a gate, what nobody sees blocks nobody"
    assert main(["compare", blind, blind, "--gate", "tunnel"]) == 5
    assert "closed: tunnel cannot be cleared, and whether that was" in capsys.readouterr().out
    assert main(["compare", files[0], "nowhere.xml"]) == 4
    assert main(["compare", *files, "--gate", "dispatsch"]) == 4
    assert "expected segments of the runs, found 'dispatsch'" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["json", "text", "markdown", "github"])
@pytest.mark.parametrize("words", ["verdict b.log", "compare a.log b.log"])
def test_a_reader_that_leaves_opens_no_gate(words: str, form: str, tmp_path: Path) -> None:
    written(tmp_path, "a.log", run())
    written(tmp_path, "b.log", run("cloudflare", at=LATER))
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", *words.split(), "--gate=tunnel", "--format", form],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=writes, stderr=subprocess.PIPE,
        timeout=60, check=False,
    )  # fmt: skip
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, b"")


def test_what_nobody_looked_at_does_not_open_a_gate() -> None:
    blind = run(without=("cloudflare",))
    for before, after in ((blind, run("cloudflare", at=LATER)), (run("cloudflare"), blind)):
        found = compare(before, after, ["tunnel"])
        assert not found.regressions
        assert [one.segment for one in found.untold] == ["tunnel"]
        assert decision(found)[0].startswith("closed: tunnel cannot be cleared, and whether")
    assert not compare(blind, run(at=LATER), ["tunnel"]).untold, "it is cleared now"
    assert not compare(blind, blind).untold, "nobody named it"


def test_another_deployments_trouble_is_no_excuse() -> None:
    other = run("cloudflare")
    other = type(other)(msgspec.structs.replace(other.run, deployment="there"), other.observations)
    found = compare(other, run("cloudflare", at=LATER), ["tunnel"])
    assert [one.segment for one in found.untold] == ["tunnel"]
    assert found.warnings == ("the runs are of different deployments, 'there' and 'here'",)


def test_each_decision_has_its_sentence() -> None:
    def said(before, after, *gate: str) -> list[str]:
        return decision(compare(before, after, gate))

    broken = run("cloudflare", at=LATER)
    assert said(run(), run(at=LATER), "tunnel", "dispatch") == ["open: tunnel, dispatch cleared"]
    assert said(run(), broken, "tunnel", "wan") == ["closed: tunnel convicted, and cleared before"]
    unclear = run("cloudflare", without=("internal", "traefik"), at=LATER)
    assert said(run(), unclear, "dispatch") == [
        "closed: dispatch cannot be cleared any more, others may have broken in their place"
    ]
    both = run("cloudflare", "internal", "traefik", at=LATER)
    assert said(run(), both, "tunnel") == [
        "closed: tunnel cannot be cleared any more, behind what is broken"
    ]
    assert said(run(), run(without=("cloudflare",), at=LATER), "tunnel") == [
        "closed: tunnel cannot be cleared any more, no leg that gave evidence crosses it"
    ]
    assert said(run("cloudflare"), broken, "tunnel", "dispatch") == [
        "open: tunnel not cleared, as before: no fault of this deploy",
        "open: dispatch cleared",
    ]
    assert said(run(), broken) == [], "nobody named a gate"


RUNS = st.builds(
    lambda failed, without, rtt, spread, name: run(
        *failed, without=tuple(without), **{name: leg(name, rtt=rtt, spread=min(rtt, spread))}
    ),
    st.sets(st.sampled_from(sorted(PATHS))),
    st.sets(st.sampled_from(sorted(PATHS)), max_size=3),
    st.floats(0.0001, 3.0),
    st.floats(0.0, 0.5),
    st.sampled_from(sorted(PATHS)),
)


@given(RUNS, st.sets(st.sampled_from(SEGMENTS)))
def test_a_run_is_never_worse_than_itself(one, gate: set[str]) -> None:
    found = compare(one, one, sorted(gate))
    assert not found.regressions
    assert {change.course for change in found.segments} <= {"same"}
    assert not found.warnings
    assert not [pace for change in found.legs for pace in change.paces if pace.exceeds_noise]
    assert {pace.difference_seconds for change in found.legs for pace in change.paces} <= {0.0}


@given(RUNS, RUNS)
def test_the_other_way_round_it_says_the_opposite(one, other) -> None:
    there, back = compare(one, other), compare(other, one)
    turned = {"worse": "better", "better": "worse", "same": "same"}
    forth = {change.segment: change for change in there.segments}
    for change in back.segments:
        same = forth[change.segment]
        assert (change.before, change.after) == (same.after, same.before)
        assert change.course == turned[same.course]
        assert not (change.regression and same.regression)
        assert change.untold == same.untold
        # What keeps a gate closed is never cleared; the others are cleared, or were broken.
        assert not (change.after == "exonerated" and (change.regression or change.untold))
    legs = {change.leg: change for change in there.legs}
    for change in back.legs:
        same = legs[change.leg]
        assert (change.before, change.after) == (same.after, same.before)
        assert [pace.what for pace in change.paces] == [pace.what for pace in same.paces]
        for pace, opposite in zip(change.paces, same.paces, strict=True):
            assert pace.difference_seconds == -opposite.difference_seconds
            assert pace.noise_seconds == opposite.noise_seconds
            assert pace.exceeds_noise == opposite.exceeds_noise


@given(RUNS, st.floats(0.02, 2.0))
def test_a_step_far_beyond_the_spread_exceeds_the_noise(one, step: float) -> None:
    """And the same run, each round trip longer by as much, is nothing but that step."""
    seen = []
    for observed in one.observations:
        beats = tuple(
            msgspec.structs.replace(beat, ended=beat.ended + step) for beat in observed.beats
        )
        seen.append(msgspec.structs.replace(observed, beats=beats))
    later = type(one)(one.run, tuple(seen))
    trips = {observed.leg: observed.trips for observed in one.observations}
    for change in compare(one, later).legs:
        spread = max(trips[change.leg], default=0) - min(trips[change.leg], default=0)
        for pace in change.paces:
            if pace.what == "round trip":
                assert pace.difference_seconds == pytest.approx(step, abs=2e-6)
                # Three standard errors of these medians are 0.7 of it by the standard deviation,
                # and 1.25 by the median one.
                if step > 1.3 * spread + 0.001:
                    assert pace.exceeds_noise is True
                elif step < 0.6 * spread:
                    assert pace.exceeds_noise is False


def test_the_noise_is_three_standard_errors() -> None:
    # And a millisecond at least. Each is well on its side, whatever estimates the spread.
    for spread, step, beyond in [
        (0.0, 0.0011, True), (0.0, 0.0009, False), (0.1, 0.3, True), (0.1, 0.1, False),
    ]:  # fmt: skip
        first = run(edge=leg("edge", rtt=0.2, spread=spread))
        found = compare(first, run(edge=leg("edge", rtt=0.2 + step, spread=spread), at=LATER))
        assert trip(found, "edge").exceeds_noise is beyond, (spread, step)


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)


@example(["n" * 63, "m" * 37], True)
@given(st.lists(NAMES, min_size=1, max_size=12, unique=True), st.booleans())
def test_any_names_fit_eighty_columns(names: list[str], gate: bool) -> None:
    def recorded(failed: bool, deployment: str):
        record = RunRecord(deployment=deployment, segments=tuple(names))
        seen = [
            msgspec.structs.replace(leg("edge", failed=failed), leg=name, path=(name,))
            for name in names
        ]
        return Recording(record, tuple(seen))

    found = compare(recorded(False, names[0]), recorded(True, names[-1]), names if gate else [])
    shown = list(to_lines(found))
    assert max(map(len, shown)) <= 80
    assert all(line.isascii() and line.isprintable() for line in shown)
    assert sum(line.endswith("  REGRESSION") for line in shown) == len(names)
    told = "".join(line.strip() for line in shown)
    for name in names:  # whole, though it may be broken over two lines
        assert name in told
