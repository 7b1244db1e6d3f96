"""Made-up cases for the verdict's tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from t3probe.verdict.exact.case import Case

LETTERS = "abcdefgh"


@st.composite
def cases(
    draw: Any, *, segments: int = 6, legs: int = 8, truthful: bool = False, paths: bool = True
) -> Case:
    """A case; with `truthful` the outcomes are those of some set of faults."""
    count = draw(st.integers(0, segments))
    names = draw(st.permutations(LETTERS[:count]))
    path = st.lists(st.sampled_from(names), max_size=count + 1) if names else st.just([])
    crossed = draw(st.lists(path, max_size=legs))
    faults = set(draw(st.lists(st.sampled_from(names), max_size=3))) if names else set()
    failed, passed = [], []
    for at, one in enumerate(crossed):
        kind = draw(st.sampled_from("tttu") if truthful else st.sampled_from("ttttlu"))
        if kind != "u":
            fails = bool(faults & set(one)) != (kind == "l")
            (failed if fails else passed).append(f"leg{at}")
    return Case(
        segments=tuple(names),
        legs={f"leg{at}": tuple(one) for at, one in enumerate(crossed)},
        paths=tuple(map(tuple, draw(st.lists(path, max_size=3)))) if paths else (),
        failed=tuple(draw(st.permutations(failed))),
        passed=tuple(draw(st.permutations(passed))),
    )


def case(
    segments: str,
    legs: dict[str, str],
    *,
    failed: str = "",
    passed: str = "",
    paths: tuple[str, ...] = (),
) -> Case:
    """A case from words: `case("a b", {"x": "a", "y": "a b"}, failed="x")`."""
    return Case(
        segments=tuple(segments.split()),
        legs={leg: tuple(path.split()) for leg, path in legs.items()},
        paths=tuple(tuple(path.split()) for path in paths),
        failed=tuple(failed.split()),
        passed=tuple(passed.split()),
    )
