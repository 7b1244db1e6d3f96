"""Which legs a run has: those of its vantage and, where it is split over pods, of its shard.

Upstreams are dealt out in the file's order, the n-th (from 0) to shard n modulo the number of
shards: the parts differ by one at most. A hash would move fewer upstreams when one is added, but
leave some shards without any; and a move costs nothing, since every run writes the gauges of its
upstreams anew, whole. All other legs are shard 0's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from .errors import DeploymentError, did_you_mean, quote
from .types import Deployment, Leg

LARGEST = 1000
"""How many shards there can be at most: each is a group in the Pushgateway."""


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a run, counted from 0."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"

    @property
    def label(self) -> str:
        """The value of the label `shard`."""
        return str(self.index)


def shard_named(option: str | None, environ: Mapping[str, str]) -> Shard | None:
    """The shard that the option `--shard I/N` or the environment names; None: not split.

    The option goes before the environment, `T3PROBE_SHARD` before the `JOB_COMPLETION_INDEX` that
    Kubernetes gives to every pod of an Indexed Job; `T3PROBE_SHARDS` is the number of shards. An
    empty variable counts as none. Raises DeploymentError.
    """
    if option is not None:
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", option)
        if match is None:
            raise _error("--shard", "I/N such as 0/4", quote(option))
        return _checked("--shard", match[1], "--shard", match[2])
    variable = next((v for v in ("T3PROBE_SHARD", "JOB_COMPLETION_INDEX") if environ.get(v)), "")
    index, count = environ.get(variable, ""), environ.get("T3PROBE_SHARDS", "")
    if not count:
        # An Indexed Job may be one for reasons of its own.
        if variable == "T3PROBE_SHARD":
            hint = "set it beside T3PROBE_SHARD, or take that away"
            raise _error("T3PROBE_SHARDS", "the number of shards", "nothing", hint)
        return None
    if not variable:
        hint = "set T3PROBE_SHARD, or run in an Indexed Job, which sets JOB_COMPLETION_INDEX"
        raise _error("T3PROBE_SHARD", "the number of this shard, from 0", "nothing", hint)
    return _checked(variable, index, "T3PROBE_SHARDS", count)


def sharded(deployment: Deployment, shard: Shard | None, vantage: str = "") -> Deployment:
    """The part of a deployment, run from `vantage`, that falls to `shard`; None: all of it.

    A shard other than 0 knows only the segments of its own upstreams, and leaves the heartbeat
    and the opinions to shard 0: whoever waits for it waits for the legs. Raises DeploymentError
    when results would go to one file from all shards.
    """
    if shard is None:
        return deployment
    if deployment.delivery.textfile is not None and shard.count > 1:
        raise DeploymentError(
            file=deployment.file,
            key="delivery.textfile",
            expected="no textfile for a run of several shards",
            actual="one",
            hint="each would overwrite it; take it out, or do not split the run",
        )
    upstreams = [leg for leg in legs_for(deployment, vantage)[0] if leg.upstream]
    mine = {leg.name for n, leg in enumerate(upstreams) if n % shard.count == shard.index}
    first = shard.index == 0
    legs = tuple(leg for leg in deployment.legs if leg.name in mine or (first and not leg.upstream))
    crossed = {segment for leg in legs for segment in leg.path}
    paths, segments, delivery = deployment.paths, deployment.segments, deployment.delivery
    if not first:
        paths = tuple(path for path in paths if crossed.issuperset(path))
        segments = tuple(one for one in segments if one in crossed)
        delivery = msgspec.structs.replace(delivery, heartbeat_url=None)
    return msgspec.structs.replace(
        deployment,
        legs=legs,
        opinion=deployment.opinion if first else (),
        segments=segments,
        own_segments=tuple(one for one in deployment.own_segments if one in crossed),
        paths=paths,
        delivery=delivery,
    )


def _checked(name: str, index: str, count_name: str, count: str) -> Shard:
    if not re.fullmatch(r"[0-9]{1,9}", count) or not 0 < int(count) <= LARGEST:
        raise _error(count_name, f"a number of shards from 1 to {LARGEST}", quote(count))
    if not re.fullmatch(r"[0-9]{1,9}", index) or int(index) >= int(count):
        raise _error(name, f"a shard from 0 to {int(count) - 1}", quote(index))
    return Shard(int(index), int(count))


def _error(variable: str, expected: str, actual: str, hint: str = "") -> DeploymentError:
    return DeploymentError(
        file="", key="", expected=expected, actual=actual, hint=hint, variable=variable
    )


def check_vantage(name: str) -> None:
    """Refuse a name that a verdict of several vantages could not take apart from those of legs and
    segments, `VANTAGE/LEG` and `SEGMENT@VANTAGE`. Raises ValueError, one sentence."""
    if set("@/").intersection(name):
        raise ValueError(
            f"expected the name of a vantage without @ and /, found {quote(name)}; rename it"
        )


def legs_for(deployment: Deployment, vantage: str = "") -> tuple[tuple[Leg, ...], str]:
    """The legs that run from `vantage` (empty: the deployment's own), and a warning or "".

    A leg that names no vantage runs from everywhere; without any vantage stated, every leg
    runs. The warning says that no leg is left, or that an unknown vantage looks like a
    misspelled one.
    """
    vantage = vantage or deployment.vantage
    if not vantage:
        return deployment.legs, ""
    legs = tuple(leg for leg in deployment.legs if not leg.vantages or vantage in leg.vantages)
    known = dict.fromkeys(name for leg in deployment.legs for name in leg.vantages)
    if vantage in known:
        return legs, ""
    hint = did_you_mean(vantage, known)
    if not legs:
        otherwise = f"the legs name {', '.join(known)}"
        return legs, f"vantage {quote(vantage)}: no leg can be run from it; {hint or otherwise}"
    if hint:
        return legs, f"vantage {quote(vantage)}: no leg names it; {hint}"
    return legs, ""
