"""Whether the upstreams of a run are so many that they are swept (`sweep`)."""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import TYPE_CHECKING

from t3probe.config.types import Deployment, Leg

if TYPE_CHECKING:
    from t3probe.run.sweep.parent import Sweep

MANY = 32
"""From this number of upstreams on they are swept by a process of their own."""


def begin_sweep(deployment: Deployment, legs: Sequence[Leg]) -> Sweep | None:
    """The sweep over the upstreams among these legs, its process on its way.

    None when they are few, or where there is no epoll or no process can be started: then they are
    legs like all others.
    """
    swept = [leg for leg in legs if leg.upstream and leg.kind == "tcp"]
    if len(swept) < MANY or not hasattr(select, "epoll"):
        return None
    from t3probe.run.sweep.parent import Sweep

    names = {leg.name for leg in swept}
    try:
        return Sweep(deployment, swept, [leg for leg in legs if leg.name not in names])
    except OSError:
        return None
