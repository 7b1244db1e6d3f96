"""Which parts of a split run an answer is of, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from t3probe.observation import RunRecord

__all__ = ["parts_said"]

NAMED = 12


def parts_said(runs: Iterable[RunRecord]) -> str:
    """Which shards these runs are of, and what is not in them, as a sentence without its full
    stop; empty when none of them is a part of a split run."""
    every = list(runs)
    known = sorted({one.shard for one in every if one.shard is not None})
    if not known:
        return ""
    many = max((one.shards or 0 for one in every), default=0)
    names = ", ".join(str(one) for one in known[:NAMED])
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    said = f"shard{'s' * (len(known) > 1)} {names}{more}" + (f" of {many}" if many else "")
    if any(one.shard is None for one in every) or (many and len(known) >= many):
        return said  # nothing is missing
    what = "" if 0 in known else "the legs, which shard 0 runs, and "
    return f"{said}: {what}the upstreams of other shards are not in it"
