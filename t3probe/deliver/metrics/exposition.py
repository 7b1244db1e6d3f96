"""The Prometheus text format, version 0.0.4: the one writer of all that is delivered. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
from bisect import bisect

from t3probe.deliver.metrics.carry import Family, Group, Histogram, Labels
from t3probe.deliver.metrics.table import TABLE

__all__ = ["rendered"]

ORDER = {spec.name: number for number, spec in enumerate(TABLE)}


def rendered(group: Group) -> bytes:
    """A group as text, UTF-8, in the order of the table; b"" when it has no series.

    Byte for byte what `prometheus_client.generate_latest` writes, in a third of its time.
    """
    lines: list[str] = []
    for name in sorted(group, key=lambda one: ORDER.get(one, len(ORDER))):
        if group[name].series:
            lines += _family(name, group[name])
    return "\n".join([*lines, ""]).encode()


def _family(name: str, family: Family) -> list[str]:
    text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {family.kind}"]
    for key, value in family.series.items():
        if isinstance(value, Histogram):
            lines += _histogram(name, key, value)
        else:
            lines.append(f"{name}{_labels(key)} {_number(value)}")
    return lines


def _histogram(name: str, key: Labels, value: Histogram) -> list[str]:
    place = bisect(key, ("le", ""))
    before = "".join([f"{one}," for one in _pairs(key[:place])])
    behind = "".join([f",{one}" for one in _pairs(key[place:])])
    buckets = zip((*map(repr, value.bounds), "+Inf"), (*value.cumulative, value.count), strict=True)
    return [
        *(f'{name}_bucket{{{before}le="{le}"{behind}}} {_number(count)}' for le, count in buckets),
        f"{name}_count{_labels(key)} {_number(value.count)}",
        f"{name}_sum{_labels(key)} {_number(value.sum)}",
    ]


def _labels(key: Labels) -> str:
    return f"{{{','.join(_pairs(key))}}}" if key else ""


def _pairs(key: Labels) -> list[str]:
    return [f'{label}="{_escaped(text)}"' for label, text in key]


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text


def _number(value: float) -> str:
    """As `prometheus_client` writes it: with an exponent from a million on, as Go does."""
    text = repr(float(value))
    if -math.inf < value < 1e6:
        return text
    whole, _, rest = text.partition(".")
    if len(whole) < 7:  # Python wrote an exponent itself, or it is no number
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)
    digits = f"{whole[1:]}{rest}".rstrip("0")
    return f"{whole[0]}{'.' if digits else ''}{digits}e+{len(whole) - 1:02d}"
