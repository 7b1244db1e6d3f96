"""Cases from outside: one sentence for each mistake."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.verdict.exact.case import Case, CaseError, parse_cases
from t3probe.verdict.exact.labels import solve
from t3probe.verdict.repeated.repetition import of_case

GOOD = {
    "segments": ["wan", "tunnel"],
    "paths": [["wan", "tunnel"]],
    "legs": {"egress": ["wan"], "cloudflare": ["wan", "tunnel"]},
    "failed": ["cloudflare"],
    "passed": ["egress"],
}
BAD = [
    (
        None,
        "c.json: expected an object with segments, paths, legs, failed, passed, counts and priors, "
        "found null.",
    ),
    (
        "x",
        "c.json: expected an object with segments, paths, legs, failed, passed, "
        "counts and priors, found the text 'x'.",
    ),
    (
        [GOOD, 7],
        "c.json: case 2: expected an object with segments, paths, legs, failed, passed, "
        "counts and priors, found the number 7.",
    ),
    ({"legs": {}}, "c.json: segments: expected this key, found nothing; add it."),
    ({"segments": []}, "c.json: legs: expected this key, found nothing; add it."),
    (GOOD | {"fialed": []}, "c.json: 'fialed': unknown key; write 'failed'."),
    (
        GOOD | {"zzz": []},
        "c.json: 'zzz': unknown key; use one of segments, paths, legs, failed, passed, counts "
        "or priors.",
    ),
    (
        GOOD | {"segments": "wan"},
        "c.json: segments: expected a list of names, found the text 'wan'.",
    ),
    (GOOD | {"segments": ["wan", 3]}, "c.json: segments[1]: expected a name, found the number 3."),
    (
        GOOD | {"segments": ["wan", "tunnel", "wan"]},
        "c.json: segments: 'wan' stands there twice; remove one.",
    ),
    (
        GOOD | {"legs": ["wan"]},
        "c.json: legs: expected an object of lists of segments, found a list.",
    ),
    (
        GOOD | {"legs": {"egress": True}},
        "c.json: legs['egress']: expected a list of names, found true.",
    ),
    (
        GOOD | {"legs": {"egress": ["wann"]}},
        "c.json: legs['egress']: unknown segment 'wann'; write 'wan', or add it to segments.",
    ),
    (
        {"segments": [], "legs": {"x": ["a"]}},
        "c.json: legs['x']: unknown segment 'a'; there is none to choose from, "
        "or add it to segments.",
    ),
    (GOOD | {"paths": {}}, "c.json: paths: expected a list of lists of segments, found an object."),
    (
        GOOD | {"paths": [["wan"], ["qqq"]]},
        "c.json: paths[1]: unknown segment 'qqq'; use one of wan or tunnel, or add it to segments.",
    ),
    (
        GOOD | {"failed": ["cloudfare"]},
        "c.json: failed: unknown leg 'cloudfare'; write 'cloudflare'.",
    ),
    (GOOD | {"passed": ["egres"]}, "c.json: passed: unknown leg 'egres'; write 'egress'."),
    (GOOD | {"failed": None}, "c.json: failed: expected a list of names, found null."),
    (
        GOOD | {"counts": []},
        "c.json: counts: expected an object of [failed tries, tries], found a list.",
    ),
    (
        GOOD | {"counts": {"egres": [0, 1]}},
        "c.json: counts: unknown leg 'egres'; write 'egress'.",
    ),
    (
        GOOD | {"counts": {"egress": [2, 1]}},
        "c.json: counts['egress']: expected [failed tries, tries], two counts, "
        "found [the number 2, the number 1].",
    ),
    (
        GOOD | {"counts": {"egress": True}},
        "c.json: counts['egress']: expected [failed tries, tries], two counts, found true.",
    ),
    (
        GOOD | {"priors": [0.1]},
        "c.json: priors: expected an object of probabilities, found a list.",
    ),
    (
        GOOD | {"priors": {"wam": 0.1}},
        "c.json: priors: unknown segment 'wam'; write 'wan'.",
    ),
    (
        GOOD | {"priors": {"wan": "x"}},
        "c.json: priors['wan']: expected a probability from 0 to 1, found the text 'x'.",
    ),
    (
        GOOD | {"priors": {"wan": 1.5}},
        "c.json: priors['wan']: expected a probability from 0 to 1, found the number 1.5.",
    ),
    (
        GOOD | {"passed": ["egress", "cloudflare"]},
        "c.json: passed: leg 'cloudflare' stands in failed and in passed; remove it from one.",
    ),
]


@pytest.mark.parametrize(("content", "sentence"), BAD, ids=range(len(BAD)))
def test_one_mistake_one_sentence(content: object, sentence: str) -> None:
    with pytest.raises(CaseError) as caught:
        parse_cases(json.dumps(content).encode(), "c.json")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(CaseError) as caught:
        parse_cases(data, "c.json")
    text = str(caught.value)
    assert text.startswith("c.json: expected JSON, but reading it failed: ")
    assert text.endswith(".")
    assert "\n" not in text


def test_one_case_and_a_list() -> None:
    one = Case(
        segments=("wan", "tunnel"),
        paths=(("wan", "tunnel"),),
        legs={"egress": ("wan",), "cloudflare": ("wan", "tunnel")},
        failed=("cloudflare",),
        passed=("egress",),
    )
    assert parse_cases(json.dumps(GOOD).encode(), "c") == ([one], False)
    assert parse_cases(json.dumps([GOOD, GOOD]).encode(), "c") == ([one, one], True)
    assert parse_cases(b"\xef\xbb\xbf[]", "c") == ([], True)


def test_what_may_be_left_out() -> None:
    (one,), _ = parse_cases(b'{"segments": ["a"], "legs": {"x": []}, "failed": ["x"]}', "c")
    assert one == Case(segments=("a",), legs={"x": ()}, failed=("x",))
    assert solve(one).contradictions == ("x",)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.sampled_from(["a", "b", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(
    st.fixed_dictionaries(
        {
            "segments": st.just(["a", "b"]) | json_values,
            "legs": st.just({"x": ["a"]}) | json_values,
        },
        optional={
            "failed": json_values,
            "passed": json_values,
            "paths": json_values,
            "counts": json_values | st.dictionaries(st.just("x"), st.lists(st.integers())),
            "priors": json_values | st.dictionaries(st.just("a"), st.floats()),
        },
    )
)
def test_anything_else_is_judged_or_refused(content: object) -> None:
    try:
        found, _ = parse_cases(json.dumps(content).encode(), "c")
    except CaseError:
        return
    solve(found[0])
    of_case(found[0])
