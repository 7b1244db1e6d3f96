"""What got worse between two runs, segment by segment: before a deploy and after it."""

from __future__ import annotations

from t3probe.show.compare.difference import Comparison, compare

__all__ = ["Comparison", "compare"]
