"""The time that a person names: read in any usual form, and said back.

Beyond what `t3probe.forensics.stamps` reads: `now`, `5 minutes ago`, `yesterday 14:03`,
`2:03 pm`, `21 Nov 14:03`, `21.11.2026 14:03`, RFC 5322 dates, Unix milliseconds, and each with a
zone behind it: `UTC`, `+02:00`, `UTC+2`, `Europe/Berlin`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from t3probe.forensics.stamps import SKEW_SECONDS, TimeError, moment

__all__ = ["Moment", "TimeError", "ago_text", "read_moment", "read_zone"]

_AGO = re.compile(
    r"(\d{1,6}(?:\.\d+)?|an?) ?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?) ago", re.I
)
_SCALE = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_OFFSET = re.compile(r"(?<=[\dm.])\s*(?:(?:UTC|GMT)\s*)?([+-])(\d{1,2})(?::?(\d\d))?", re.I)
"""Behind a time of day."""
_TIME_OF_DAY = re.compile(r"\d:\d\d|\d ?[ap]\.?m", re.I)
_ZONE_NAME = re.compile(r"\s+([A-Za-z][A-Za-z_]*(?:[/+-][A-Za-z0-9_+-]+)*)$")
_TWELVE = re.compile(r"\b(\d{1,2})(?::(\d\d)(?::(\d\d))?)?\s*([ap])\.?m\.?(?=$|\s|[+-])", re.I)
_WEEKDAY = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+", re.I)
_DAY = re.compile(r"(today|yesterday),?(?:\s+at)?\s+", re.I)
_MONTH_FIRST = re.compile(r"([A-Z][a-z]{2})[a-z]*\.?\s+(\d{1,2})(?:,?\s+(\d{4}))?,?\s+(?=\d)", re.I)
_DAY_FIRST = re.compile(
    r"(\d{1,2})\.?\s+([A-Z][a-z]{2})[a-z]*\.?(?:,?\s+(\d{4}))?,?\s+(?=\d)", re.I
)
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4}),?\s+")
_MILLISECONDS = re.compile(r"@?(\d{9,11})\d{3}")
_SECONDS = re.compile(r"\d:\d\d:\d\d|@?\d{9,}(?:\.\d+)?")
_MINUTE = 60.0
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


class Moment(NamedTuple):
    """A time that was read."""

    at: float
    """Unix seconds."""
    zone: tzinfo | None
    """The zone it was meant in; None: this machine's."""
    said: str
    """What was written, fit for one line."""
    note: str = ""
    """What had to be decided, as a sentence; empty when nothing had."""
    vague: tuple[float, float] = (0.0, 0.0)
    """How many seconds before and after `at` may be meant: `14:03` is any second of that minute."""

    def local(self, seconds: float) -> datetime:
        """Another time in the same zone."""
        when = datetime.fromtimestamp(seconds, UTC)
        return when.astimezone(self.zone)

    def clock(self, seconds: float, reference: float | None = None) -> str:
        """`14:03:07` in its zone, with the date when it is another day than the reference's."""
        when = self.local(seconds)
        same = when.date() == self.local(self.at if reference is None else reference).date()
        return f"{when:%H:%M:%S}" if same else f"{when:%Y-%m-%d %H:%M:%S}"

    @property
    def zone_name(self) -> str:
        """The zone's own abbreviation then."""
        return self.local(self.at).tzname() or "UTC"

    @property
    def text(self) -> str:
        """`2026-11-21 14:03:00 CET (13:03:00 UTC)`, and the date in UTC where it differs."""
        there, utc = self.local(self.at), datetime.fromtimestamp(self.at, UTC)
        out = f"{there:%Y-%m-%d %H:%M:%S} {self.zone_name}"
        if there.utcoffset() == timedelta(0):
            return out
        form = "%H:%M:%S" if there.date() == utc.date() else "%Y-%m-%d %H:%M:%S"
        return f"{out} ({utc.strftime(form)} UTC)"

    @property
    def brief(self) -> str:
        """To the minute: `14:03 CET (13:03 UTC) on 2026-11-21`."""
        there, utc = self.local(self.at), datetime.fromtimestamp(self.at, UTC)
        also = f" ({utc:%H:%M} UTC)" if there.utcoffset() else ""
        return f"{there:%H:%M} {self.zone_name}{also} on {there:%Y-%m-%d}"


def read_zone(name: str) -> ZoneInfo:
    """A time zone by its name. Raises TimeError."""
    try:
        return ZoneInfo("UTC" if name.upper() in ("Z", "UTC", "GMT") else name)
    except (OSError, ValueError, LookupError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise TimeError(
            f"expected a time zone such as UTC, +02:00 or Europe/Berlin, found {name[:60]!r}; "
            "name one of the machine's zoneinfo"
        ) from error


def read_moment(text: str, now: float, zone: ZoneInfo | None = None) -> Moment:
    """A time as a person writes it; `now` in Unix seconds. Raises TimeError.

    Without a zone it is in `zone`, or this machine's when that is None. Without a date it is the
    newest such time that does not lie in the future.
    """
    said = "".join(one if one.isprintable() else "?" for one in text.strip())[:60]
    words = " ".join(text.split())
    found = _relative(words, now)
    if found is not None:
        at, vague = found
        return _checked(Moment(at, zone, said, vague=vague), now)
    vague = (0.0, 0.0 if _SECONDS.search(words) else _MINUTE)
    meant: tzinfo | None = zone
    offset: timedelta | None = None
    fixed = _last_offset(words)
    if fixed is not None:
        words, offset = fixed
        meant = timezone(offset)
    elif (named := _ZONE_NAME.search(words)) and _TIME_OF_DAY.search(words):
        if named[1].lower().replace(".", "") not in ("am", "pm"):
            meant = read_zone(named[1])
            words = words[: named.start()]
    elif words[-1:] in "Zz" and words[-2:-1].isdigit():
        words, meant = words[:-1], ZoneInfo("UTC")
    if offset is not None:
        # As a clock there shows it: read as if it were UTC, then moved.
        shift = offset.total_seconds()
        at = _read(words, now + shift, ZoneInfo("UTC"), text) - shift
        return _checked(Moment(at, meant, said, vague=vague), now)
    in_zone = meant if isinstance(meant, ZoneInfo) else None
    at = _read(words, now, in_zone, text)
    note = "" if words.lstrip("@").isdigit() else _doubt(at, in_zone)
    return _checked(Moment(at, meant, said, note, vague), now)


def _checked(found: Moment, now: float) -> Moment:
    if found.at > now + SKEW_SECONDS:
        raise TimeError(
            f"expected a time in the past, found {found.said!r}, which was read as {found.text}; "
            "add the date or the zone"
        )
    if found.at < 0:
        raise TimeError(f"expected a time after 1970, found {found.said!r}; write another")
    return found


def _relative(words: str, now: float) -> tuple[float, tuple[float, float]] | None:
    """The time, and how vague it is: half of the unit that was used."""
    if words.lower() in ("now", "just now"):
        return now, (_MINUTE, 0.0)
    if match := _AGO.fullmatch(words):
        number = 1.0 if match[1].lower() in ("a", "an") else float(match[1])
        unit = _SCALE[match[2][0].lower()]
        half = unit / 2 if unit > 1 else 0.0
        return now - number * unit, (half, half)
    return None


def _last_offset(words: str) -> tuple[str, timedelta] | None:
    """The words before an offset at their end, and the offset. Raises TimeError."""
    for match in _OFFSET.finditer(words):
        if match.end() == len(words) and _TIME_OF_DAY.search(words[: match.start()]):
            hours, minutes = int(match[2]), int(match[3] or 0)
            if hours > 14 or minutes > 59:
                raise TimeError(
                    f"expected an offset from UTC of at most 14 hours, found {match[0].strip()!r}; "
                    "write one such as +02:00"
                )
            span = timedelta(hours=hours, minutes=minutes)
            return words[: match.start()], -span if match[1] == "-" else span
    return None


def _read(words: str, now: float, zone: ZoneInfo | None, text: str) -> int:
    """A time without its zone."""
    words = _TWELVE.sub(_twenty_four, _WEEKDAY.sub("", words, count=1)).strip()
    if milliseconds := _MILLISECONDS.fullmatch(words):
        words = milliseconds[1]
    if day := _DAY.match(words):
        date = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
        date -= timedelta(days=day[1].lower() == "yesterday")
        words = f"{date} {words[day.end() :]}"
    words = _MONTH_FIRST.sub(lambda one: _dated(one, one[2], one[1], one[3]), words, count=1)
    words = _DAY_FIRST.sub(lambda one: _dated(one, one[1], one[2], one[3]), words, count=1)
    words = _DOTTED.sub(lambda one: f"{one[3]}-{int(one[2]):02d}-{int(one[1]):02d} ", words, 1)
    try:
        return moment(words, now, zone)
    except TimeError as error:
        raise TimeError(
            "expected a time such as 14:03, '14:03 Europe/Berlin', 2026-11-20T14:03:07Z or "
            f"'5 minutes ago', found {text[:60]!r}; write it in one of these forms"
        ) from error


def _twenty_four(match: re.Match[str]) -> str:
    hour = int(match[1])
    if not 1 <= hour <= 12:
        return match[0]
    hour = hour % 12 + (12 if match[4].lower() == "p" else 0)
    return f"{hour:02d}:{match[2] or '00'}:{match[3] or '00'}"


def _dated(match: re.Match[str], day: str, month: str, year: str | None) -> str:
    if month.lower() not in _MONTHS:
        return match[0]
    if year is None:
        return f"{month.title()} {int(day)} "
    return f"{year}-{_MONTHS.index(month.lower()) + 1:02d}-{int(day):02d} "


def _doubt(at: float, zone: ZoneInfo | None) -> str:
    """What to say of a time that the clocks show twice, or never."""
    naive = datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None)
    first, second = (
        (naive.replace(tzinfo=zone) if zone else naive).replace(fold=fold).timestamp()
        for fold in (0, 1)
    )
    if second > first:
        return "the clocks showed this time twice; it is read as the first, add an offset to it"
    return ""


def ago_text(seconds: float) -> str:
    """How long ago, in words: `40 s ago`, `12 min ago`, `2 h 10 min ago`, `3 days ago`."""
    if seconds < 120:
        return f"{max(0, seconds):.0f} s ago"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 48 * 60:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min ago" if rest else f"{hours} h ago"
    return f"{minutes // 1440} days ago"
