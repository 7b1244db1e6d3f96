"""The fragment that is generated from a deployment."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rules_alertmanager import configuration
from rules_file import FRAGMENT, ROOT, alerts

from t3probe.config import Deployment, Leg, load
from t3probe.setup.alertmanager import MUTED_BY_A_SEGMENT, fragment

Matchers = dict[str, str]


def read(text: str) -> list[tuple[Matchers, Matchers, str]]:
    """Source, target and `equal` of every rule; a matcher as label and operator → value."""
    rules = []
    for block in text.split("  - source_matchers:\n")[1:]:
        source, _, rest = block.partition("    target_matchers:\n")
        target, _, equal = rest.partition("    equal: ")
        rules.append((_matchers(source), _matchers(target), equal.strip()))
    return rules


def _matchers(text: str) -> Matchers:
    found = {}
    for line in text.splitlines():
        scalar = re.fullmatch(r"      - '(.*)'", line)
        assert scalar, line
        matcher = re.fullmatch(r'(\w+)(=~?)"((?:[^"\\]|\\[\\"n])*)"', scalar[1].replace("''", "'"))
        assert matcher, line
        value = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], matcher[3])
        found[matcher[1] + matcher[2]] = value
    return found


def deployment(legs: dict[str, tuple[str, ...]], segments: tuple[str, ...]) -> Deployment:
    return Deployment(
        name="made-up",
        file="made-up.toml",
        segments=segments,
        legs=tuple(Leg(name=name, kind="tcp", path=path) for name, path in legs.items()),
    )


def test_the_stored_fragment_is_current() -> None:
    loaded = load(ROOT / "deployments" / "t3.toml", {}, now=0.0)
    assert FRAGMENT.read_text() == fragment(loaded), (
        "cronjob/rules/alertmanager-fragment.yml differs from what deployments/t3.toml gives; "
        "write t3probe.setup.alertmanager.fragment's text there"
    )


def test_amtool_accepts_a_complete_configuration(tmp_path: Path) -> None:
    configuration(tmp_path, FRAGMENT.read_text())


def test_amtool_accepts_names_with_signs(tmp_path: Path) -> None:
    odd = deployment({"a.b": ("x'y", "z"), 'q"\\(': ("x'y",), "n{2}|$": ("z",)}, ("x'y", "z"))
    configuration(tmp_path, fragment(odd))


def test_a_name_is_no_expression() -> None:
    made = deployment({"t3.serve": ("a",), "t3xserve": ("b",), "t3": ("b",)}, ("a", "b"))
    first, second, *_ = read(fragment(made))
    assert first[1]["leg=~"] == r"t3\.serve"
    assert second[1]["leg=~"] == "t3xserve|t3"


def test_only_known_alerts_are_named() -> None:
    known = set(alerts())
    assert set(MUTED_BY_A_SEGMENT) < known
    for source, target, _ in read(FRAGMENT.read_text()):
        assert source["alertname="] in known
        named = target.get("alertname=") or target["alertname=~"]
        assert set(named.split("|")) <= known
        assert "T3ProbeWalledPathOpen" not in named


def test_segments_that_no_leg_crosses_or_that_are_never_published_get_no_rule() -> None:
    made = deployment({"envoy-a": ("host", "upstream-a")}, ("host", "lonely"))
    sources = [source.get("segment=") for source, _, _ in read(fragment(made))]
    assert sources == ["host", None, None]


def test_a_leg_in_an_outage_mutes_its_own_bursts() -> None:
    assert read(FRAGMENT.read_text())[-2:] == [
        (
            {"alertname=": alert},
            {"alertname=": "T3ProbeDropBurst"},
            "[job, vantage, leg]",
        )
        for alert in ("T3ProbeLegDown", "T3ProbeLegRefusing")
    ]


def test_a_convicted_segment_mutes_a_leg_that_refuses() -> None:
    first = read(FRAGMENT.read_text())[0]
    assert "T3ProbeLegRefusing" in first[1]["alertname=~"].split("|")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9)
SEGMENTS = st.lists(NAMES, min_size=1, max_size=5, unique=True).map(tuple)


@given(
    SEGMENTS.flatmap(
        lambda known: st.tuples(
            st.just(known),
            st.dictionaries(
                NAMES, st.lists(st.sampled_from(known), min_size=1).map(tuple), max_size=5
            ),
        )
    )
)
def test_each_segment_names_the_legs_that_cross_it(
    made: tuple[tuple[str, ...], dict[str, tuple[str, ...]]],
) -> None:
    segments, legs = made
    rules = read(fragment(deployment(legs, segments)))[:-2]
    by_segment = {source["segment="]: target["leg=~"] for source, target, _ in rules}
    assert len(by_segment) == len(rules)
    assert all(equal == "[job, vantage]" for _, _, equal in rules)
    for segment in segments:
        expression = by_segment.get(segment)
        muted = {leg for leg in legs if expression and re.fullmatch(expression, leg)}
        assert muted == {leg for leg, path in legs.items() if segment in path}
