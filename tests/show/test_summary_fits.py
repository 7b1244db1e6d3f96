"""The closing summary fits 80 columns and a plain log, whatever the names and the network say."""

from __future__ import annotations

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from t3probe.observation import AddressTry, Beat, Drop, EnvoyView, Observation, RunRecord
from t3probe.show.summary import render, row
from t3probe.text import cut, distinct, fold, plain, short
from t3probe.verdict.incident.run import judge_run

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
SAID = st.text(max_size=200)
SECONDS = st.floats(0.0, 1e6)


@st.composite
def observations(draw: st.DrawFn, name: str, segments: list[str]) -> Observation:
    outcome = draw(st.sampled_from(("passed", "degraded", "failed", "inconclusive")))
    address = draw(SAID)
    drops = ()
    if outcome == "failed":
        began = draw(st.floats(0, 5))
        drops = (
            Drop(
                began=began,
                noticed=began + 1,
                reason="rtt_timeout",
                symptom=draw(st.sampled_from(("down", "cut"))),
                stage="ask",
                call=1,
                detail=draw(SAID),
                evidence=draw(SAID),
                recovered=draw(st.none() | st.just(began + 2)),
            ),
        )
    return Observation(
        leg=name,
        kind=draw(st.sampled_from(("http", "tcp", "ws_echo", "source"))),
        path=tuple(draw(st.lists(st.sampled_from(segments), min_size=1, unique=True))),
        outcome=outcome,
        reason="rtt_timeout" if outcome == "failed" else None,
        detail=draw(SAID),
        beats=tuple(
            Beat(sent=float(at), ended=at + draw(SECONDS), ok=True, conn=0) for at in range(3)
        ),
        drops=drops,
        ended=10.0,
        address=address,
        addresses=(AddressTry(address=address, ok=True), AddressTry(address="b", ok=False)),
        planned=draw(st.just("") | SAID) if outcome == "failed" else "",
        views=(EnvoyView(route="r", detail=draw(SAID), disagreements=("envoy_only",)),)
        if draw(st.booleans())
        else (),
    )


@st.composite
def runs(draw: st.DrawFn) -> tuple[RunRecord, list[Observation]]:
    segments = draw(st.lists(NAMES, min_size=1, max_size=20, unique=True))
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    seen = [draw(observations(name, segments)) for name in names]
    record = RunRecord(
        deployment=draw(NAMES),
        segments=tuple(segments),
        paths=(tuple(segments),),
        started_at=1_700_000_000.0,
        interrupted=draw(st.booleans()),
        loop_lag_seconds=draw(SECONDS),
        warnings=tuple(draw(st.lists(SAID, max_size=2))),
    )
    return record, seen


@given(runs())
def test_every_line_fits(made: tuple[RunRecord, list[Observation]]) -> None:
    record, seen = made
    judged = judge_run(record, seen)
    shown = [line for _, line in render(record, seen, judged)]
    assert max(map(len, shown)) <= 80
    assert all(line.isascii() and line.isprintable() for line in shown)
    # A name is never lost, though it may be broken over two lines.
    told = "".join(line.strip() for line in shown)
    extra = judged.verdict.extra_leg if judged.verdict.ambiguous else None
    for name in (*judged.verdict.convicted, *(extra or ())):
        assert name in told


@example("/a/long/path" * 20, "delivery")
@given(st.text(max_size=500), NAMES)
def test_rows_below_fit_too(text: str, name: str) -> None:
    shown = list(row(name[:12], text))
    assert max(map(len, shown)) <= 80
    assert all(line.isascii() and line.isprintable() for line in shown)
    said = "".join(line[16:] for line in shown).replace(" ", "")
    assert said == plain(text).replace(" ", "")


@given(st.text(max_size=300), st.integers(10, 100))
def test_columns(text: str, width: int) -> None:
    line = plain(text)
    assert len(line) == len(text) or any(one in text for one in "\t\n\v\f\r\x85\u2028\u2029")
    assert len(cut(line, width)) <= width
    assert len(short(line, width)) <= width
    assert all(len(one) <= width for one in fold(text, width))
    assert "".join("".join(fold(text, width)).split()) == "".join(line.split())


def test_control_characters_move_no_cursor() -> None:
    seen = Observation(
        leg="a", kind="http", path=("s",), outcome="inconclusive", detail="\x1b[2J\x07evil\r\nline"
    )
    record = RunRecord(segments=("s",))
    shown = [line for _, line in render(record, [seen], judge_run(record, [seen]))]
    assert "    ?[2J?evil line" in shown
    assert not msgspec.json.encode(shown).count(b"\\u001b")


def test_a_path_in_a_sentence_is_not_broken() -> None:
    path = "/var/lib/" + "x" * 90 + "/t3probe.prom"
    shown = list(row("delivery", f"the textfile {path} cannot be written", whole=True))
    assert [line.strip() for line in shown][1:] == [path, "cannot be written"]


NAMES_TOO_LONG = st.lists(
    st.text("ab-\u00e4", min_size=1, max_size=24)
    | st.builds("envoy-{}-{}".format, st.text("ab", max_size=20), st.integers(0, 99))
)


@given(NAMES_TOO_LONG, st.integers(6, 20))
@example(["upstream-orders-primary-eu-1", "upstream-orders-primary-eu-2"], 15)
@example(["abcdefghijklmnop-same-end", "abcdefghijklmnoq-same-end"], 15)
@example(["\u00e4", "\u00f6"], 6)
def test_names_in_a_column_are_told_apart(names: list[str], width: int) -> None:
    found = distinct(names, width)
    assert set(found) == set(names)
    assert len(set(found.values())) == len(set(names))
    for name, text in found.items():
        assert 0 < len(text) <= width
        if len(plain(name)) <= width and sum(plain(one) == plain(name) for one in found) == 1:
            assert text == plain(name), "what fits is not touched"


def test_a_cut_name_keeps_what_differs() -> None:
    names = ["upstream-orders-primary-eu-1", "upstream-orders-primary-eu-2", "internal"]
    assert list(distinct(names, 15).values()) == ["upstream-~-eu-1", "upstream-~-eu-2", "internal"]
    assert distinct(names[1:], 15)[names[1]] == "upstream-order~"


def test_two_long_names_of_the_summary_are_told_apart() -> None:
    names = ["envoy-orders-in-the-north-1", "envoy-orders-in-the-north-2"]
    seen = [
        Observation(leg=one, kind="tcp", path=("a",), outcome="passed", ended=1.0) for one in names
    ]
    run = RunRecord(segments=("a",))
    rows = [line for _, line in render(run, seen, judge_run(run, seen)) if "passed" in line]
    assert len({line.split()[0] for line in rows}) == 2
