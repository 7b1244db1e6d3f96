"""Made-up runs: arbitrary ones, and files that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import msgspec
from hypothesis import strategies as st

from t3probe.observation import RECORD_VERSION, Beat, Observation, RunRecord
from t3probe.record.facts import leg_property, run_property

TEXT = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cs"]),
        st.sampled_from("\x00\x1b\ufffd\uffff\r\n\t\"'<>&\u2028"),
    ),
    max_size=12,
).map(lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"))
"""Two halves of one character side by side are that character, in JSON too."""
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**53)


def of(info: Any) -> st.SearchStrategy[Any]:
    """Arbitrary values of one of the record's types, every field drawn."""
    inspect = msgspec.inspect
    simple: dict[type[Any], st.SearchStrategy[Any]] = {
        inspect.StrType: TEXT,
        inspect.FloatType: NUMBER,
        inspect.IntType: COUNT,
        inspect.BoolType: st.booleans(),
        inspect.NoneType: st.none(),
    }
    if type(info) in simple:
        return simple[type(info)]
    if isinstance(info, inspect.LiteralType):
        return st.sampled_from(info.values)
    if isinstance(info, inspect.UnionType):
        return st.one_of([of(one) for one in info.types])
    if isinstance(info, inspect.VarTupleType):
        return st.lists(of(info.item_type), max_size=3).map(tuple)
    if isinstance(info, inspect.DictType):
        return st.dictionaries(TEXT, of(info.value_type), max_size=3)
    if isinstance(info, inspect.StructType):
        return st.builds(info.cls, **{one.name: of(one.type) for one in info.fields})
    raise TypeError(info)


def observations() -> st.SearchStrategy[Observation]:
    return of(msgspec.inspect.type_info(Observation))


def runs() -> st.SearchStrategy[RunRecord]:
    """Those that this version wrote: what an earlier one did is completed when it is read."""
    drawn: st.SearchStrategy[RunRecord] = of(msgspec.inspect.type_info(RunRecord))
    return drawn.map(lambda one: msgspec.structs.replace(one, version=RECORD_VERSION))


def junit(*properties: tuple[str, str]) -> str:
    lines = "".join(
        f"<property name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in properties
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">'
        f"<properties>{lines}</properties><testcase/></testsuite></testsuites>"
    )


SEEN = Observation(leg="edge", kind="http", path=("wan",), outcome="passed")


def some_run(started_at: float = 1_700_000_000.0, beats: int = 3) -> RunRecord:
    """A small run; with the same `started_at` always the same."""
    return RunRecord(
        version=RECORD_VERSION,
        segments=("wan",),
        started_at=started_at,
        duration_seconds=beats / 10,
    )


def some_legs(beats: int = 3) -> tuple[Observation, ...]:
    """Two legs with that many beats each."""
    made = tuple(Beat(sent=n / 10, ended=n / 10 + 0.01, ok=True, conn=0) for n in range(beats))
    named = {name: msgspec.structs.replace(SEEN, leg=name, beats=made) for name in ("b", "a")}
    return tuple(named.values())


def junit_of(run: RunRecord, legs: Sequence[Observation]) -> str:
    """A JUnit file as the suite writes it."""
    return junit(run_property(run), *(leg_property(one) for one in legs))
