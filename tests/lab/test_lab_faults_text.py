"""Faults as text: what is read, what is written back, and the sentences for everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.lab.faults import (
    DEFAULT_DELAY,
    FAULTS,
    KINDS,
    SEGMENTS,
    UPSTREAMS,
    Fault,
    FaultError,
    duration_text,
    parse_duration,
    parse_fault,
)

PAIRS = [(segment, kind) for segment, kinds in FAULTS.items() for kind in kinds]
DURATIONS = st.integers(min_value=1, max_value=3_600_000).map(lambda ms: ms / 1000)


def test_the_table_covers_every_segment_and_kind() -> None:
    assert list(FAULTS) == [*SEGMENTS, *(f"upstream-{name}" for name in UPSTREAMS)]
    assert {kind for _, kind in PAIRS} == set(KINDS)
    assert all(len(set(kinds)) == len(kinds) for kinds in FAULTS.values())


@pytest.mark.parametrize(("segment", "kind"), PAIRS)
def test_each_pair_is_valid_text(segment: str, kind: str) -> None:
    fault = parse_fault(f"{segment}:{kind}")
    assert (fault.segment, fault.kind) == (segment, kind)
    assert fault.delay == DEFAULT_DELAY.get(kind)
    assert fault.after == (3.0 if kind == "cut" else 0.0)
    assert fault.lasts is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tunnel:blackhole", Fault(segment="tunnel", kind="blackhole")),
        ("dispatch:slow:300ms", Fault(segment="dispatch", kind="slow", delay=0.3)),
        ("tunnel:cut@3s", Fault(segment="tunnel", kind="cut", after=3.0)),
        ("tunnel:cut@0s", Fault(segment="tunnel", kind="cut", after=0.0)),
        ("serve:refuse@2s+1s", Fault(segment="serve", kind="refuse", after=2.0, lasts=1.0)),
        ("serve:refuse+1.5s", Fault(segment="serve", kind="refuse", lasts=1.5)),
        ("serve:exit@2s+1s", Fault(segment="serve", kind="exit", after=2.0, lasts=1.0)),
        ("serve:idle:200ms", Fault(segment="serve", kind="idle", delay=0.2)),
        ("doh:idle:2", Fault(segment="doh", kind="idle", delay=5.0, provider=2)),
        ("doh:refuse:1", Fault(segment="doh", kind="refuse", provider=1)),
        ("doh:slow:2m:2", Fault(segment="doh", kind="slow", delay=120.0, provider=2)),
        ("doh:slow:2", Fault(segment="doh", kind="slow", delay=0.3, provider=2)),
        ("wall:too-wide", Fault(segment="wall", kind="too-wide")),
        ("carve-out:too-wide", Fault(segment="wall", kind="too-wide")),
    ],
)
def test_text_is_read(text: str, expected: Fault) -> None:
    assert parse_fault(text) == expected


@given(
    pair=st.sampled_from(PAIRS),
    delay=DURATIONS,
    provider=st.sampled_from([None, 1, 2]),
    after=st.one_of(st.just(0.0), DURATIONS),
    lasts=st.one_of(st.none(), DURATIONS),
)
def test_text_is_written_and_read_back(
    pair: tuple[str, str],
    delay: float,
    provider: int | None,
    after: float,
    lasts: float | None,
) -> None:
    segment, kind = pair
    fault = Fault(
        segment=segment,
        kind=kind,
        delay=delay if kind in DEFAULT_DELAY else None,
        provider=provider if segment == "doh" else None,
        after=after,
        lasts=None if kind == "cut" else lasts,
    )
    assert parse_fault(str(fault)) == fault


@given(DURATIONS)
def test_durations_are_written_and_read_back(seconds: float) -> None:
    assert parse_duration(duration_text(seconds)) == seconds


ALL = ", ".join(FAULTS)
FORM = (
    "expected SEGMENT:KIND[:ARG][@AFTER][+FOR], such as tunnel:blackhole or dispatch:slow:300ms@3s."
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", f"fault '': {FORM}"),
        ("tunnel", f"fault 'tunnel': {FORM}"),
        ("tunnel:", f"fault 'tunnel:': {FORM}"),
        (":cut", f"fault ':cut': {FORM}"),
        ("dispatch:slow:", f"fault 'dispatch:slow:': {FORM}"),
        (
            "tunel:cut",
            "fault 'tunel:cut': there is no segment 'tunel'; did you mean tunnel?"
            f" The lab has {ALL}.",
        ),
        ("x:cut", f"fault 'x:cut': there is no segment 'x'; the lab has {ALL}."),
        (
            "tunnel:blackhol",
            "fault 'tunnel:blackhol': 'blackhol' cannot befall tunnel; did you mean"
            " tunnel:blackhole? These can: refuse, blackhole, reset, cut, stall, slow, close,"
            " exit, drain, idle, half, http502, new-502, new-404, new-sso.",
        ),
        (
            "wan:sso",
            "fault 'wan:sso': 'sso' cannot befall wan; did you mean carve-out:sso?"
            " These can: blackhole, cut, slow.",
        ),
        (
            "wan:refuse",
            "fault 'wan:refuse': 'refuse' cannot befall wan; did you mean doh:refuse or"
            " cf-edge:refuse or tunnel:refuse? These can: blackhole, cut, slow.",
        ),
        (
            "serve:drain:5s",
            "fault 'serve:drain:5s': drain takes no argument '5s' here;"
            " write serve:drain@5s for one after 5s.",
        ),
        (
            "wall:quake",
            "fault 'wall:quake': 'quake' cannot befall wall; these can: open, too-wide, http502,"
            " new-502, new-404.",
        ),
        (
            "upstream-orders:cut",
            "fault 'upstream-orders:cut': 'cut' cannot befall upstream-orders; did you mean"
            " wan:cut or doh:cut or cf-edge:cut? These can: refuse, blackhole, exit, drain.",
        ),
        (
            "dispatch:slow:fast",
            "fault 'dispatch:slow:fast': 'fast' is not a duration such as 500ms, 3s or 2m.",
        ),
        (
            "dispatch:slow:300",
            "fault 'dispatch:slow:300': '300' is not a duration such as 500ms, 3s or 2m.",
        ),
        (
            "tunnel:cut@soon",
            "fault 'tunnel:cut@soon': 'soon' is not a duration such as 500ms, 3s or 2m.",
        ),
        (
            "tunnel:refuse@",
            "fault 'tunnel:refuse@': '' is not a duration such as 500ms, 3s or 2m.",
        ),
        (
            "serve:refuse+1s@2s",
            "fault 'serve:refuse+1s@2s': '1s@2s' is not a duration such as 500ms, 3s or 2m.",
        ),
        (
            "tunnel:cut:3s",
            "fault 'tunnel:cut:3s': cut takes no argument '3s' here;"
            " write tunnel:cut@3s for one after 3s.",
        ),
        (
            "tunnel:refuse:1",
            "fault 'tunnel:refuse:1': refuse takes no argument '1' here.",
        ),
        (
            "tunnel:cut+2s",
            "fault 'tunnel:cut+2s': a cut happens once and lasts no time; leave '+2s' out.",
        ),
        (
            "serve:refuse+0s",
            "fault 'serve:refuse+0s': it would last no time at all; write a duration such as +2s.",
        ),
        (
            "doh:refuse:3",
            "fault 'doh:refuse:3': the lab has the DoH providers 1 and 2, not '3'.",
        ),
    ],
)
def test_bad_text_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse_fault(text)
    assert str(caught.value) == sentence
