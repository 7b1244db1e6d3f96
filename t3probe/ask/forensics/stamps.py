"""Reading times as logs write them, to whole Unix seconds.

Forms: RFC 3339 and its like, `Nov 20 14:03:07`, `Fri 2026-11-20 14:03:07 CET`, access logs'
`20/Nov/2026:14:03:07 +0100` with or without the zone, and Unix seconds, milliseconds,
microseconds and nanoseconds. Without a zone a time is local, or in the zone that was asked for.
Without a year it is in the newest year in which it does not lie in the future. An hour that the
clocks show twice is read by the order of the lines: when the first reading would go back, the
second one holds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

SKEW_SECONDS = 60
"""How far in the future a time may lie before a year-less one is taken for last year's."""
REMEMBERED = 4096
BACK_SECONDS = 300
"""A step back by more than this, in an hour that comes twice, means its second round."""
MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun",
         b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1,
    )
}  # fmt: skip

HOURS = {
    b"WET": 0, b"WEST": 1, b"CET": 1, b"CEST": 2, b"EET": 2, b"EEST": 3, b"MSK": 3, b"JST": 9,
    b"EST": -5, b"EDT": -4, b"MST": -7, b"MDT": -6, b"PST": -8, b"PDT": -7,
}  # fmt: skip
"""Zone names that mean one offset wherever they are used; CST, IST and BST do not."""
_ISO = re.compile(
    rb"(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d)([.,]\d{1,9})? ?(Z|UTC|[+-]\d\d:?\d\d)?"
)
_CLF = re.compile(rb"(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)(\.\d{1,9})?(?: ([+-]\d{4}))?")
_NUMBER = re.compile(rb"\d{1,20}(?:\.\d{1,9})?")


class Stamps:
    """Reads the times of one file; remembers what it had to assume."""

    def __init__(self, now: float, zone: ZoneInfo | None = None) -> None:
        """`now` in Unix seconds; `zone` None means this machine's."""
        self.now = now
        self.zone = zone
        self.last = 0
        """The newest time read so far, in Unix seconds."""
        self.no_zone = self.no_year = self.twice = 0
        """How many distinct times had no zone, had no year, or fell into an hour that the
        clocks show twice."""
        self.strange_zone = b""
        """A zone's name that was not understood; empty: there was none."""
        self.zoned = False
        """Whether the last time that `any` read said its zone."""
        self._known: dict[bytes, int | None] = {}
        """Minutes read so far, by their text."""
        self._fleeting = b""

    def local(self, naive: datetime) -> int:
        """A wall time in the zone, as Unix seconds."""
        first, second = (self._seconds(naive.replace(fold=fold)) for fold in (0, 1))
        if second <= first:  # an ordinary time, or one that the clocks jump over
            return first
        self.twice += 1
        return second if first < self.last - BACK_SECONDS else first

    def _seconds(self, naive: datetime) -> int:
        if self.zone is not None:
            naive = naive.replace(tzinfo=self.zone)
        return int(naive.timestamp() // 1)

    def iso(self, text: bytes, zone: bytes | None) -> int | None:
        """`2026-11-20T14:03:07` or with a space, or `2026/11/20 ...`; None: no such time."""
        key = text[:16] + zone if zone else text[:16]
        if key not in self._known:
            self._begin(key, lambda: self._minute(text, zone))
        return self._end(key, text[17:19])

    def short(self, text: bytes) -> int | None:
        """`Nov 20 14:03:07`; None: no such time."""
        key = text[:12]
        if key not in self._known:
            self._begin(key, lambda: self._yearless(text))
        return self._end(key, text[13:15])

    def clf(self, text: bytes, zone: bytes = b"") -> int | None:
        """`20/Nov/2026:14:03:07` with its zone or without; None: no such time."""
        key = text[:17] + zone
        if key not in self._known:
            month = MONTHS.get(text[3:6], 0)
            wall = b"%b-%02d-%b %b" % (text[7:11], month, text[:2], text[12:17])
            self._begin(key, lambda: self._minute(wall, zone))
        return self._end(key, text[18:20])

    def full(self, text: bytes, name: bytes) -> int | None:
        """`2026-11-20 14:03:07` and the zone's name or offset; None: no such time or zone."""
        if name in (b"UTC", b"GMT", b"Z"):
            return self.iso(text, b"Z")
        if name[:1] in b"+-":
            return self.iso(text, name if len(name) > 3 else name + b"00")
        key = text[:16] + name
        if key not in self._known:
            self._begin(key, lambda: self._in_named_zone(text, name))
        return self._end(key, text[17:19])

    @staticmethod
    def number(value: float) -> float | None:
        """A number as Unix seconds: seconds, or milli-, micro- or nanoseconds by its size."""
        if not math.isfinite(value) or value < 1e8:
            return None  # no time since 1973: a duration, or the seconds since the boot
        for scale in (1, 1e3, 1e6, 1e9):
            if value / scale < 1e11:
                return value / scale
        return None

    def any(self, value: object) -> float | None:
        """A time as JSON holds it; None: it is none. `zoned` says whether it had a zone."""
        self.zoned = True
        if isinstance(value, (int, float)):
            return self.number(value)
        if not isinstance(value, str):
            return None
        raw = value[:40].encode("utf-8", "replace")
        if found := _ISO.match(raw):
            text, fraction, zone = found.groups()
            whole = self.iso(text, b"Z" if zone == b"UTC" else zone)
        elif found := _CLF.match(raw):
            text, fraction, zone = found.groups()
            whole = self.clf(text, zone or b"")
        elif _NUMBER.fullmatch(raw):
            return self.number(float(raw))
        else:
            return None
        self.zoned = bool(zone)
        if whole is None or not fraction:
            return whole
        return whole + float(fraction.replace(b",", b"."))

    def _begin(self, key: bytes, read: Callable[[], int | None]) -> None:
        """Remember a minute, unless it comes twice: then it depends on its neighbours."""
        twice = self.twice
        try:
            minute = read()
        except (ValueError, OverflowError, OSError):
            minute = None
        if minute is not None and minute > self.last:
            self.last = minute
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = minute
        self._fleeting = key if self.twice != twice else b""

    def _end(self, key: bytes, seconds: bytes) -> int | None:
        minute = self._known[key]
        if key == self._fleeting:
            del self._known[key]
            self._fleeting = b""
        # 60 is a leap second (RFC 3339 5.6); the next second is as near as Unix time comes.
        return None if minute is None or seconds > b"60" else minute + int(seconds)

    def _minute(self, text: bytes, zone: bytes | None) -> int:
        numbers = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16])
        year, month, day, hour, minute = map(int, numbers)
        naive = datetime(year, month, day, hour, minute)  # noqa: DTZ001
        if not zone:
            self.no_zone += 1
            return self.local(naive)
        seconds = int(naive.replace(tzinfo=UTC).timestamp())
        if zone in (b"Z", b"z"):
            return seconds
        digits = zone[1:].replace(b":", b"")
        offset = int(digits[:2]) * 3600 + int(digits[2:4]) * 60
        return seconds + (offset if zone[:1] == b"-" else -offset)

    def _in_named_zone(self, text: bytes, name: bytes) -> int | None:
        """The zone's own names count first: they tell apart an hour that comes twice."""
        numbers = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16])
        year, month, day, hour, minute = map(int, numbers)
        for fold in (0, 1):
            there = datetime(year, month, day, hour, minute, fold=fold)  # noqa: DTZ001
            aware = there.replace(tzinfo=self.zone) if self.zone else there.astimezone()
            if (aware.tzname() or "").encode() == name:
                return int(aware.timestamp() // 1)
        if name not in HOURS:
            self.strange_zone = name
            return None
        there = datetime(year, month, day, hour, minute, tzinfo=UTC)
        return int(there.timestamp()) - 3600 * HOURS[name]

    def _yearless(self, text: bytes) -> int | None:
        month = MONTHS.get(text[:3], 0)
        self.no_year += 1
        self.no_zone += 1
        day, hour, minute = (int(one) for one in (text[4:6], text[7:9], text[10:12]))
        newest = datetime.fromtimestamp(self.now, UTC).year + 1
        for year in range(newest, newest - 10, -1):  # ten years hold a 29 February
            try:
                naive = datetime(year, month, day, hour, minute)  # noqa: DTZ001
                begun = self.local(naive)
            except (ValueError, OverflowError, OSError):
                continue
            if begun <= self.now + SKEW_SECONDS:
                return begun
        return None
