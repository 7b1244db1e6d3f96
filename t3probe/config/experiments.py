"""Checks of `[experiments]`, and the names that its rigs make."""

from __future__ import annotations

import re
from fractions import Fraction

from t3probe.text.names import (
    JUMP_LEG,
    RIG_SEGMENT,
    SERVICE_LEGS,
    SERVICE_SEGMENTS,
    STREAM_LEG,
    STREAM_SEGMENT,
)

from .endpoints import parse_url
from .errors import ConfigFile, Wrong
from .types import DeploymentFile, Experiments

_SHARE = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


def most_unavailable(text: str, rigs: int) -> int:
    """How many of so many rigs may be out at once: a share of them, rounded down, or a number.
    Raises Wrong."""
    if text.isascii() and text.isdecimal() and len(text) <= 4:
        return min(int(text), rigs)
    found = _SHARE.fullmatch(text)
    if found is None or int(found[2]) == 0 or int(found[1]) > int(found[2]):
        raise Wrong("a share such as 1/3, or a whole number")
    return int(Fraction(int(found[1]), int(found[2])) * rigs)


def check_experiments(file: DeploymentFile, table: Experiments, source: ConfigFile) -> None:
    """The table `[experiments]`, and that nothing of the file has its names."""
    for key in ("relay", "jump", "book"):
        url = getattr(table, key)
        try:
            parse_url(url, ("http", "https"))
            if "?" in url:
                raise Wrong("a base URL without a query", "take ? and what follows it out")
            if url.rstrip("/").endswith("/api/v1"):
                raise Wrong("a base URL without /api/v1", "take it out: it is put there")
        except Wrong as problem:
            source.wrong(("experiments", key), problem, url)
    try:
        most_unavailable(table.max_unavailable, 1)
    except Wrong as problem:
        source.wrong(("experiments", "max_unavailable"), problem, table.max_unavailable)
    for pattern in table.only:
        if not re.fullmatch(r"[a-z0-9_.*?-]{1,63}", pattern):
            expected = "a rig's name, of a-z, 0-9, dot, - and _, with * and ?"
            raise source.error(("experiments", "only"), expected, pattern)
    for i, leg in enumerate(file.leg):
        if leg.name in SERVICE_LEGS:
            hint = "[experiments] makes a leg of that name"
            raise source.error(("leg", i, "name"), "a name that is not taken", leg.name, hint)


def made_by_rigs(file: DeploymentFile, name: str | None, *, of_legs: bool) -> bool:
    """Whether rigs, which are not known yet, may make a leg, or a segment, of this name."""
    if file.experiments is None or name is None:
        return False
    if of_legs:
        return name in SERVICE_LEGS or name.startswith((STREAM_LEG, JUMP_LEG))
    return name in SERVICE_SEGMENTS or name.startswith((RIG_SEGMENT, STREAM_SEGMENT))
