"""What ten thousand upstreams lean on elsewhere: twins, limits, the record, the file."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.config import DeploymentError
from t3probe.config.endpoints import is_address
from t3probe.config.load import loads
from t3probe.observation import Drop, Observation, RunRecord
from t3probe.plugin.junit import JUnitFile
from t3probe.record.facts import ascii_json, leg_property
from t3probe.verdict.incident.run import judge_run
from t3probe.verdict.repeated import posterior as posterior_module
from t3probe.verdict.repeated.factors import Twins
from t3probe.verdict.repeated.posterior import Posterior, posterior

# -- twins -------------------------------------------------------------------------------

COUNTS = st.sampled_from([(0, 1), (1, 1), (0, 3), (2, 3)])
RACKS = st.lists(
    st.tuples(st.sampled_from([("a",), ("b",), ("a", "b"), ()]), COUNTS), min_size=1, max_size=9
)


def alone(legs: list[tuple[frozenset[int], float, tuple[float, ...]]], chances: object) -> Twins:
    """Nobody has a twin."""
    return Twins([groups for groups, _, _ in legs], list(range(len(legs))), [])


@given(RACKS, st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.02, 0.3])), max_size=3))
@settings(max_examples=60, deadline=None)
def test_twins_change_no_number(
    upstreams: list[tuple[tuple[str, ...], tuple[int, int]]], rare: list[tuple[int, float]]
) -> None:
    legs = {f"leg-{at}": (*shared, f"own-{at}") for at, (shared, _) in enumerate(upstreams)}
    legs |= {"long": ("a", "b", "c"), "short": ("c",)}
    counts = {f"leg-{at}": count for at, (_, count) in enumerate(upstreams)}
    counts |= {"long": (1, 2), "short": (0, 2)}
    segments = ["a", "b", "c", *(f"own-{at}" for at in range(len(upstreams)))]
    priors = {f"own-{at}": value for at, value in rare if at < len(upstreams)}

    def judged() -> Posterior:
        return posterior(segments, legs, counts, priors=priors)

    with_twins = judged()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posterior_module, "twins", alone)
        without = judged()
    assert with_twins.posterior == pytest.approx(without.posterior, abs=1e-9)
    assert with_twins.convicted_by_repetition == without.convicted_by_repetition
    assert with_twins.truncated == without.truncated
    mine = [(one.probability, one.faults) for one in with_twins.explanations]
    other = [(one.probability, one.faults) for one in without.explanations]
    assert [one[0] for one in mine] == pytest.approx([one[0] for one in other], abs=1e-9)


# -- limits ------------------------------------------------------------------------------


def test_incidents_that_name_ten_thousand_segments_each_are_few() -> None:
    own = tuple(f"upstream-{at}" for at in range(20_000))
    drops = tuple(
        Drop(
            began=10.0 * at, noticed=10.0 * at + 1, recovered=10.0 * at + 2, call=0,
            reason="closed_by_peer", symptom="cut", stage="hold",
        )
        for at in range(30)
    )  # fmt: skip
    leg = Observation(leg="ws", kind="ws_echo", path=("wan",), outcome="failed", drops=drops)
    few = judge_run(RunRecord(segments=("wan",)), [leg])
    many = judge_run(RunRecord(segments=("wan",), own_segments=own), [leg])
    assert (len(few.listed), len(many.listed), len(many.incidents)) == (30, 9, 30)
    assert many.listed == many.incidents[:9], "the worst"


@given(st.text(alphabet="0123456789.:", max_size=15) | st.ip_addresses().map(str))
def test_an_address_is_what_the_library_says(text: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(text)
        there = True
    except ValueError:
        there = False
    assert is_address(text) == there


# -- the record --------------------------------------------------------------------------


@given(st.text(max_size=20), st.floats(0, 1e9))
def test_the_quick_text_of_a_leg_is_the_slow_one(detail: str, moment: float) -> None:
    import json

    seen = Observation(
        leg="envoy-a", kind="tcp", path=("net",), outcome="failed", detail=detail, ended=moment
    )
    name, text = leg_property(seen)
    assert text.isascii()
    assert name == "t3probe.leg.envoy-a"
    assert json.loads(text) == json.loads(ascii_json(seen))


def test_numbers_that_json_does_not_have_are_refused() -> None:
    seen = Observation(leg="a", kind="tcp", path=(), outcome="passed", ended=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        leg_property(seen)


class Writer:
    """Looks like what writes JUnit."""

    def __init__(self, file: Path) -> None:
        self.logfile = str(file)

    def add_global_property(self, name: str, value: str) -> None:
        raise AssertionError("it has a file")


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("<testsuite name='s'><testcase name='t' /></testsuite>", ["x", "y"]),
        (
            "<testsuite name='s'><properties><property name='a' value='b' /></properties>"
            "<testcase name='t'><properties /></testcase></testsuite>",
            ["a", "x", "y"],
        ),
        ("<testsuite name='s' />", []),
        ("", []),
    ],
)
def test_properties_of_many_stand_in_the_suite(
    tmp_path: Path, written: str, names: list[str]
) -> None:
    writer = Writer(tmp_path / "junit.xml")
    plugins = SimpleNamespace(get_plugins=lambda: [writer])
    junit = JUnitFile(SimpleNamespace(pluginmanager=plugins))  # type: ignore[arg-type]
    awkward = """{"a":"<&'>\\u00e9"}"""
    junit.add_one_of_many("x", "old")
    junit.add_one_of_many("y", "2")
    junit.add_one_of_many("x", awkward)
    with junit.written_whole():
        Path(writer.logfile).write_text(f"<testsuites>{written}</testsuites>")
    tree = ElementTree.parse(tmp_path / "junit.xml")
    found = tree.findall("testsuite/properties/property")
    assert [one.get("name") for one in found] == names
    assert not names or found[-2].get("value") == awkward
    assert len(tree.findall("testsuite/testcase")) == written.count("<testcase")
    assert [one.name for one in tmp_path.iterdir()] == ["junit.xml"]


def test_a_writer_without_a_file_is_given_them() -> None:
    given_to: list[tuple[str, str]] = []
    writer = SimpleNamespace(add_global_property=lambda *pair: given_to.append(pair))
    plugins = SimpleNamespace(get_plugins=lambda: [writer])
    junit = JUnitFile(SimpleNamespace(pluginmanager=plugins))  # type: ignore[arg-type]
    junit.add_one_of_many("x", "1")
    with junit.written_whole():
        pass
    assert given_to == [("x", "1")]


# -- the deployment file -----------------------------------------------------------------

FILE = """
name = "d"
segments = ["net"]
[[leg]]
name = "a"
kind = "tcp"
path = ["net"]
address = "127.0.0.1:1"
"""


def test_the_pace_of_a_sweep() -> None:
    assert loads(FILE, environ={}, now=0.0).sweep.at_once == 64
    found = loads(f'{FILE}[sweep]\npace = "sequential"\nat_once = 7\n', environ={}, now=0.0).sweep
    assert (found.pace, found.at_once) == ("sequential", 7)
    by_variable = loads(FILE, environ={"T3PROBE__SWEEP__AT_ONCE": "8"}, now=0.0)
    assert by_variable.sweep.at_once == 8


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("at_once = 0", "sweep.at_once: expected a number from 1 to 1024, found 0"),
        ("at_once = 1025", "sweep.at_once: expected a number from 1 to 1024, found 1025"),
        ('pace = "fast"', "sweep.pace: expected bounded or sequential, found 'fast'"),
    ],
)
def test_a_pace_that_makes_no_sense(line: str, said: str) -> None:
    with pytest.raises(DeploymentError) as caught:
        loads(f"{FILE}[sweep]\n{line}\n", environ={}, now=0.0)
    assert said in str(caught.value).replace('"', "'")
