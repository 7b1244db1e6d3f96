"""What every table of the deployment file is made of."""

from __future__ import annotations

import msgspec


class Duration(float):
    """Seconds. In the file: a number and a unit, `500ms`, `10s`, `2m`, `1h`."""

    __slots__ = ()


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything a deployment file can hold."""
