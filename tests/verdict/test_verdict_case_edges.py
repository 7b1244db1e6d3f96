"""Cases at the edges: the least and the most that is accepted, and what hints say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from t3probe.verdict.exact.case import MOST_TRIES, CaseError, parse_cases

GOOD: dict[str, Any] = {
    "segments": ["wan", "tunnel"],
    "legs": {"x": ["wan"], "y": ["wan", "tunnel"]},
}


def parsed(**more: Any) -> Any:
    (found,), many = parse_cases(json.dumps(GOOD | more).encode(), "c.json")
    assert not many
    return found


def said(content: Any) -> str:
    with pytest.raises(CaseError) as caught:
        parse_cases(json.dumps(content).encode(), "c.json")
    return str(caught.value)


@pytest.mark.parametrize("counts", [[0, 0], [0, 1], [1, 1], [0, MOST_TRIES], [MOST_TRIES] * 2])
def test_tries_that_can_be(counts: list[int]) -> None:
    assert parsed(counts={"x": counts}).counts == {"x": tuple(counts)}


@pytest.mark.parametrize(
    "counts", [[-1, 1], [2, 1], [0, MOST_TRIES + 1], [0], [0, 1, 2], [0.0, 1], [True, 1], ["0", 1]]
)
def test_tries_that_cannot_be(counts: list[Any]) -> None:
    assert said(GOOD | {"counts": {"x": counts}}).startswith(
        "c.json: counts['x']: expected [failed tries, tries], two counts, found ["
    )


@pytest.mark.parametrize("prior", [0, 1, 0.5, 0.0, 1.0])
def test_probabilities(prior: float) -> None:
    assert parsed(priors={"wan": prior}).priors == {"wan": float(prior)}


@pytest.mark.parametrize("prior", [-0.1, 1.1, True, None, "0.5"])
def test_what_is_no_probability(prior: Any) -> None:
    assert "expected a probability from 0 to 1" in said(GOOD | {"priors": {"wan": prior}})


def test_what_is_left_out_is_empty() -> None:
    found = parsed()
    assert (found.paths, found.failed, found.passed, found.counts, found.priors) == (
        (), (), (), None, {},
    )  # fmt: skip
    found = parsed(failed=["y", "x", "y"], paths=[["tunnel", "wan"], []])
    assert (found.failed, found.paths) == (("y", "x"), (("tunnel", "wan"), ()))


def test_one_case_or_a_list_of_them() -> None:
    found, many = parse_cases(b"\xef\xbb\xbf" + json.dumps([GOOD, GOOD]).encode(), "c.json")
    assert (len(found), many) == (2, True)
    assert parse_cases(b"[]", "c.json") == ([], True)
    assert said([GOOD, {}]).startswith("c.json: case 2: segments: expected this key")


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "use one of s0"),
        (12, "use one of s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10 or s11, or"),
        (13, "use one of s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10 or 2 more, or"),
    ],
)
def test_a_hint_names_twelve(count: int, words: str) -> None:
    segments = [f"s{at}" for at in range(count)]
    assert words in said({"segments": segments, "legs": {"x": ["qqqqqq"]}})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (3, "found the number 3"),
        (True, "found true"),
        (False, "found false"),
        (None, "found null"),
        ("x" * 50, f"found the text '{'x' * 40}'"),
    ],
)
def test_what_stands_there_in_words(content: Any, words: str) -> None:
    assert said(content).endswith(f"{words}.")


def test_twice_is_said_of_the_second() -> None:
    again = {"segments": ["a", "b", "c", "b", "a"], "legs": {}}
    assert said(again) == "c.json: segments: 'b' stands there twice; remove one."
