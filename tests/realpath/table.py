"""The whole table."""

from __future__ import annotations

from realpath.line import Line
from realpath.table_inside import BALANCER_LINES, DISPATCH, MACHINE, PAIRS
from realpath.table_outside import CDN, RESOLVERS, TUNNEL

__all__ = ["LINES"]

LINES: list[Line] = [*RESOLVERS, *CDN, *TUNNEL, *BALANCER_LINES, *DISPATCH, *MACHINE, *PAIRS]
