"""The numbers of a group by the values of their labels, for the tests of any folder."""

from __future__ import annotations

from t3probe.deliver.metrics import BY_NAME
from t3probe.deliver.metrics.carry import Group, Histogram

__all__ = ["numbers"]


def numbers(group: Group) -> dict[tuple[str, ...], float]:
    """Each counter and gauge by its name and the values of its labels, in the table's order."""
    return {
        (name, *(dict(key)[label] for label in BY_NAME[name].labels)): value
        for name, family in group.items()
        for key, value in family.series.items()
        if not isinstance(value, Histogram)
    }
