"""The time that a person names: read in any usual form, and said back.

One reader for every option that takes a time. It takes what this suite prints, what logs hold and
what people write: `now`, `2 h 10 min ago`; Unix seconds, milli-, micro- and nanoseconds; and a time
of day, with a day before or behind it (`Day`), and a zone behind it. Without a
zone a time is in the one that was asked for, or this machine's.

A day is a date, with or without its year, a weekday, yesterday.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from t3probe.exchange.bounds import MOMENT_CHARACTERS

_MONTHS = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_WORD = re.compile(r"(?:(?P<which>last|this|on)\s+)?(?P<name>[a-z]{3,9})\.?(?:,\s*|\s+|$)", re.I)
_ORDINAL = r"(?:st|nd|rd|th|\.)?"
_DAY_FORMS = [
    re.compile(one, re.I | re.A)
    for one in (
        r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})",
        r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
        rf"(?P<d>\d{{1,2}}){_ORDINAL}[ /-](?P<n>[a-z]{{3,9}})\.?"
        r"(?:[ /,-]{1,2}(?P<y>\d{4}|\d\d))?",
        rf"(?P<n>[a-z]{{3,9}})\.? (?P<d>\d{{1,2}}){_ORDINAL}(?:,? (?P<y>\d{{4}}))?",
        r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})?",
        r"(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y>\d{4})",
        r"[IWEF](?P<m>\d\d)(?P<d>\d\d)",  # klog
    )
]


class TimeError(Exception):
    """A time that cannot be read; one sentence."""


class Day(NamedTuple):
    """Which dates are meant."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    """0 is Monday."""
    days_back: int | None = None
    """From today."""
    not_today: bool = False
    """`last Friday`."""
    either: bool = False
    """Month and day may be the other way round."""

    @property
    def of_any_date(self) -> bool:
        """Whether nothing is said about the day."""
        return self == Day()

    def dates(self, today: date, said: str) -> Iterable[date]:
        """The dates that may be meant, the newest first. Raises TimeError when it is none, or when
        the weekday is another one's."""
        if self.either:
            raise TimeError(
                f"expected one day, found {said!r}, in which day and month may be either; "
                f"write {self.year}-{self.month:02d}-{self.day:02d} or "
                f"{self.year}-{self.day:02d}-{self.month:02d}"
            )
        if self.days_back is not None:
            found = [today - timedelta(days=self.days_back)]
        elif self.month is not None and self.day is not None:
            found = list(self._of_years(today, said))
        else:
            # One more: just before midnight our clock may be behind.
            near = [today - timedelta(days=n) for n in range(1 if self.not_today else -1, 9)]
            return [one for one in near if self.weekday in (None, one.weekday())]
        if self.weekday is not None and self.days_back is None:
            past = next((one for one in found if one <= today + timedelta(days=1)), found[0])
            self._agree(past, said)
            return [past]
        if self.weekday is not None:
            self._agree(found[0], said)
        return found

    def _of_years(self, today: date, said: str) -> Iterable[date]:
        month, day = self.month or 0, self.day or 0
        years = [self.year] if self.year is not None else range(today.year + 1, today.year - 9, -1)
        found = []
        for year in years:
            try:
                found.append(date(year, month, day))
            except ValueError:
                continue
        if not found:
            raise TimeError(
                f"expected a time such as 2026-11-20T14:03:07Z, found {said!r}, a day that no "
                "calendar has; correct it"
            )
        return found

    def _agree(self, found: date, said: str) -> None:
        if found.weekday() != self.weekday:
            raise TimeError(
                f"expected a weekday and a date that agree, found {said!r}, but {found} is a "
                f"{_WEEKDAYS[found.weekday()].title()}; correct one of them or leave the weekday "
                "out"
            )


def read_day(text: str) -> Day | None:
    """The day of a text that holds nothing else; None: it is no day."""
    text = text.strip(" ,")
    day = Day()
    word = _WORD.match(text)
    if word and (weekday := _index(_WEEKDAYS, word["name"])) is not None:
        day = day._replace(weekday=weekday, not_today=(word["which"] or "").lower() == "last")
        text = text[word.end() :].strip(" ,")
    elif text.lower().startswith("on "):
        text = text[3:].strip()
    if not text:
        return None if day.of_any_date else day
    if text.lower() in ("today", "yesterday", "tomorrow"):
        back = {"today": 0, "yesterday": 1, "tomorrow": -1}[text.lower()]
        return day._replace(days_back=back)
    for form in _DAY_FORMS:
        if match := form.fullmatch(text):
            return _dated(day, match.groupdict())
    return None


def _dated(day: Day, found: dict[str, str | None]) -> Day | None:
    year = None if not found.get("y") else int(found["y"] or 0)
    if year is not None and year < 100:
        year += 2000 if year < 70 else 1900
    if found.get("a"):
        first, second = int(found["a"] or 0), int(found["b"] or 0)
        if first > 12:
            first, second = second, first
        either = second <= 12 and first != second
        return day._replace(year=year, month=first, day=second, either=either)
    month = _index(_MONTHS, found["n"] or "") if "n" in found else int(found["m"] or 0) - 1
    if month is None:
        return None
    return day._replace(year=year, month=month + 1, day=int(found["d"] or 0))


def _index(names: list[str], word: str) -> int | None:
    """Which of the names a word is, whole or cut to three letters or more."""
    word = word.lower().rstrip(".")
    if len(word) < 3:
        return None
    return next((n for n, name in enumerate(names) if name.startswith(word)), None)


SKEW_SECONDS = 60
"""How far in the future a time may lie before one without a year or a day is an earlier one."""
_MINUTE = 60.0
_SECOND_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PIECE = re.compile(
    r"(\d{1,6}(?:\.\d+)?|an?)\s?"
    r"(ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?![a-z])", re.I
)  # fmt: skip
_AGO = re.compile(r"(?:now ?)?- ?(?P<minus>\S.*)|(?P<ago>.*\S) ago", re.I)
_AND = re.compile(r"(?:,|\s|\band\b)*", re.I)
_UNIX = re.compile(r"@?(\d{9,20})(?:[.,]\d+)?")
_UNIX_FLOAT = re.compile(r"\d\.\d{6,}e\+?0?9", re.I)
"""As Prometheus and its clients write Unix seconds: `1.795267845e+09`."""
_COMPACT = re.compile(r"\b(\d{4})(\d\d)(\d\d)[T ]?(\d\d)(\d\d)(\d\d)?(?=$|[.,Zz\s+-])")
_JOINED = re.compile(r"(?<=\d)[T_](?=\d\d:\d\d)|(?<=\d{4}):(?=\d\d:)", re.I)
"""Between a date and a time: `2026-11-28T14:03`, `28/Nov/2026:14:03`."""
_TIME = re.compile(
    r"(?<![\w:.+-])(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d{1,9})?)?"
    r"(?:\s?(?P<half>[ap])\.?m\b\.?)?|\s?(?P<alone>[ap])\.?m\b\.?)(?![:\d])", re.I
)  # fmt: skip
_OFFSET = re.compile(
    r"(?:(?:UTC|GMT|Z)\s?)?([+-])(\d{1,2})(?::?([0-5]\d))?(?::?([0-5]\d))?(?![\w:])", re.I
)
_NAME = re.compile(r"[A-Za-z][A-Za-z_]*(?:[/+-][A-Za-z0-9_+-]+)*")
_COMMENT = re.compile(r"\s?\(([^()]*)\)")
_ZONE_BEHIND = re.compile(r"\s?\[([A-Za-z][\w/+-]*)\]$")
"""RFC 9557: `+01:00[Europe/Berlin]`."""
_MONOTONIC = re.compile(r" m=[+-][\d.]+$")
"""What Go's `time.Time` prints behind a time."""
_OF_UTC = {"z", "utc", "gmt", "uct", "zulu"}
_SHORT_ZONES = {
    "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MET": 1, "MEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
    "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9,
    "AKDT": -8, "HST": -10, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
"""Hours from UTC of the abbreviations that mean one zone. BST, IST and CST mean several."""
_FORMS = "14:03, 'Fri 14:03', '14:03 Europe/Berlin', 2026-11-20T14:03:07Z or '5 minutes ago'"


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
        return f"{self.local(self.at):%Y-%m-%d %H:%M:%S} {self.zone_name}{self._utc('%H:%M:%S')}"

    @property
    def brief(self) -> str:
        """To the minute: `14:03 CET (13:03 UTC) on 2026-11-21`."""
        there = self.local(self.at)
        return f"{there:%H:%M} {self.zone_name}{self._utc('%H:%M')} on {there:%Y-%m-%d}"

    def _utc(self, form: str) -> str:
        there, utc = self.local(self.at), datetime.fromtimestamp(self.at, UTC)
        if not there.utcoffset():
            return ""
        day = "" if there.date() == utc.date() else "%Y-%m-%d "
        return f" ({utc.strftime(day + form)} UTC)"


def read_zone(name: str) -> ZoneInfo:
    """A time zone by its name. Raises TimeError."""
    try:
        return ZoneInfo("UTC" if name.lower() in _OF_UTC else name)
    except (OSError, ValueError, LookupError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise TimeError(
            f"expected a time zone such as Europe/Berlin or UTC, found {name[:60]!r}; name one of "
            "the machine's zoneinfo, or write an offset such as +02:00 behind the time"
        ) from error


def read_moment(
    text: str, now: float, zone: ZoneInfo | None = None, *, future: bool = False
) -> Moment:
    """A time as a person, a log or this suite writes it; `now` in Unix seconds. Raises TimeError.

    Without a zone it is in `zone`, or this machine's when that is None. Without a year or a date it
    is the newest such time that does not lie in the future; `future`: a whole date may.
    """
    said = "".join(one if one.isprintable() else "?" for one in text.strip())[:60]
    if len(text) > MOMENT_CHARACTERS:
        raise _unreadable(said)
    words = " ".join(text.replace("\u2212", "-").split()).strip("\"'<>,; ")
    if words[:1] == "[" and words[-1:] == "]" and words.count("[") == 1:
        words = words[1:-1].strip()
    found = _relative(words, now) or _unix(words)
    if found is not None:
        at, vague = found
        moment = Moment(at, zone, said, vague=vague)
    else:
        moment = _written(words, now, zone, said)
    if moment.at > now + SKEW_SECONDS and not future:
        raise TimeError(
            f"expected a time in the past, found {said!r}, which was read as {moment.text}; "
            "add the date or the zone"
        )
    if moment.at < 0:
        raise TimeError(f"expected a time after 1970, found {said!r}; write another")
    return moment


def _relative(words: str, now: float) -> tuple[float, tuple[float, float]] | None:
    """The time, and how vague it is: half of the smallest unit that was used."""
    if words.lower() in ("now", "just now"):
        return now, (_MINUTE, 0.0)
    match = _AGO.fullmatch(words)
    if match is None:
        return None
    rest = match["minus"] or match["ago"]
    seconds, unit, at = 0.0, 0.0, 0
    while at < len(rest):
        piece = _PIECE.match(rest, at)
        if piece is None:
            return None
        number = 1.0 if piece[1].lower() in ("a", "an") else float(piece[1])
        name = piece[2].lower()
        unit = _SECOND_UNITS["ms" if name == "ms" else name[0]]
        seconds += number * unit
        gap = _AND.match(rest, piece.end())
        at = gap.end() if gap else piece.end()
    half = unit / 2 if unit > 1 else 0.0
    return now - seconds, (half, half)


def _unix(words: str) -> tuple[float, tuple[float, float]] | None:
    """Whole Unix seconds of a number of seconds, milli-, micro- or nanoseconds."""
    if _UNIX_FLOAT.fullmatch(words):
        return float(int(float(words))), (0.0, 0.0)
    match = _UNIX.fullmatch(words)
    if match is None or (len(match[1]) == 14 and _COMPACT.fullmatch(match[1])):
        return None
    finer = max(0, (len(match[1]) - 9) // 3)
    return float(int(match[1]) // 1000**finer), (0.0, 0.0)


class _Time(NamedTuple):
    """A wall time and what stood around it."""

    since_midnight: timedelta
    exact: bool
    """Whether it had seconds."""
    before: str
    behind: str


def _unreadable(said: str) -> TimeError:
    return TimeError(f"expected a time such as {_FORMS}, found {said!r}; write it in such a form")


def _time(words: str, said: str) -> _Time:
    found = _TIME.search(words)
    if found is None:
        if read_day(words) is not None:
            raise TimeError(
                f"expected a time such as {_FORMS}, found the day {said!r} alone; "
                "add the time of day"
            )
        raise _unreadable(said)
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    second, half = int(found["second"] or 0), (found["half"] or found["alone"] or "").lower()
    # 60 is a leap second (RFC 3339 5.6), 24:00 the end of a day (ISO 8601).
    most = 24 if (minute, second) == (0, 0) else 23
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    elif half:
        raise _unreadable(said)
    if hour > most or minute > 59 or second > 60:
        raise _unreadable(said)
    since = timedelta(hours=hour, minutes=minute, seconds=second)
    exact = found["second"] is not None
    return _Time(since, exact, words[: found.start()], words[found.end() :])


def _written(words: str, now: float, zone: ZoneInfo | None, said: str) -> Moment:
    """A time of day with what stands around it."""
    words = _MONOTONIC.sub("", words)
    words = _COMPACT.sub(
        lambda one: f"{one[1]}-{one[2]}-{one[3]} {one[4]}:{one[5]}" + f":{one[6]}" * bool(one[6]),
        words,
    )
    words = _JOINED.sub(" ", words, count=1)
    comment = _COMMENT.search(words)
    if comment:
        words = words[: comment.start()] + words[comment.end() :]
    behind = _ZONE_BEHIND.search(words)
    if behind:
        words = words[: behind.start()]
    time = _time(words, said)
    offset, name, rest = _zone_of(time.behind.strip(" ,"))
    if behind and offset is None and not name:
        name = behind[1]
    utc = None if comment is None else _utc_of(comment[1], said)
    if comment and utc is None and offset is None and not name:
        name = comment[1]
    day = _day_of(time.before, rest, said)
    read = _Reading(day, time, now, said)
    if utc is not None:
        return read.beside_utc(utc, zone, offset, name)
    if offset is not None:
        return read.at_offset(timezone(offset))
    if not name:
        return read.in_zone(zone)
    if name.lower() in _OF_UTC:
        return read.in_zone(ZoneInfo("UTC"))
    if name.isalpha() and (moment := read.abbreviated(zone, name)) is not None:
        return moment
    if name.upper() in _SHORT_ZONES:
        return read.at_offset(timezone(timedelta(hours=_SHORT_ZONES[name.upper()]), name.upper()))
    return read.in_zone(read_zone(name))


def _zone_of(text: str) -> tuple[timedelta | None, str, str]:
    """The offset from UTC at the beginning of a text, the zone's name, and what is left.

    Raises TimeError.
    """
    if match := _OFFSET.match(text):
        hours, minutes, seconds = (int(one or 0) for one in match.groups()[1:])
        if hours > 14:
            raise TimeError(
                f"expected an offset from UTC of at most 14 hours, found {match[0].strip()!r}; "
                "write one such as +02:00"
            )
        span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        rest = text[match.end() :].strip(" ,")
        # Go and some loggers write the abbreviation, too: `+0100 CET`.
        if (also := _NAME.match(rest)) and also[0].upper() in _SHORT_ZONES.keys() | {"UTC", "GMT"}:
            rest = rest[also.end() :]
        return (-span if match[1] == "-" else span), "", rest
    if (match := _NAME.match(text)) and match[0].lower() != "on" and read_day(match[0]) is None:
        month_first = read_day(text) is not None
        if not month_first:
            return None, match[0], text[match.end() :]
    return None, "", text


def _day_of(before: str, behind: str, said: str) -> Day:
    """The day, from what stands before and behind a time."""
    before, behind = before.strip(" ,"), behind.strip(" ,")
    if before.lower().endswith(" at"):
        before = before[:-3].rstrip(" ,")
    if before and behind:  # `Sat Nov 28 14:03:00 2026`
        before, behind = (f"{before} {behind}", "") if re.fullmatch(r"\d{4}", behind) else ("?", "")
    day = read_day(before or behind) if before or behind else Day()
    if day is None:
        raise _unreadable(said)
    return day


def _utc_of(comment: str, said: str) -> tuple[Day, _Time] | None:
    """The same time in UTC, as this suite writes it in brackets; None: no such thing."""
    if not comment.upper().endswith(" UTC") or not _TIME.search(comment):
        return None
    time = _time(comment[:-4], said)
    return _day_of(time.before, time.behind, said), time


class _Reading:
    """A day and a time on it, to be read in one zone or another."""

    def __init__(self, day: Day, time: _Time, now: float, said: str) -> None:
        self._day, self._time, self._now, self._said = day, time, now, said
        self._vague = (0.0, 0.0 if time.exact else _MINUTE)

    def in_zone(self, zone: ZoneInfo | None) -> Moment:
        """As the clocks of a zone, or this machine's, show it."""
        naive, at = self._newest(zone)
        note = ""
        again = _seconds(naive.replace(fold=1), zone)
        if again > at:
            note = "the clocks showed this time twice; it is read as the first, add an offset to it"
        moment = Moment(at, zone, self._said, note, self._vague)
        if moment.local(at).replace(tzinfo=None) != naive:
            shown = f"{moment.clock(at)} {moment.zone_name}"
            note = f"the clocks jumped over this time; it is read as {shown}, add an offset to it"
        return moment._replace(note=note)

    def at_offset(self, zone: timezone) -> Moment:
        """As a clock at an offset from UTC shows it."""
        return Moment(self._newest(zone)[1], zone, self._said, "", self._vague)

    def abbreviated(self, zone: ZoneInfo | None, name: str) -> Moment | None:
        """In this zone, whose clocks bore that abbreviation then; None: they did not."""
        naive, _ = self._newest(zone)
        for fold in (0, 1):
            at = _seconds(naive.replace(fold=fold), zone)
            moment = Moment(at, zone, self._said, "", self._vague)
            there = moment.local(at)
            if there.replace(tzinfo=None, fold=0) == naive and moment.zone_name == name.upper():
                return moment
        return None

    def beside_utc(
        self, utc: tuple[Day, _Time], zone: ZoneInfo | None, offset: timedelta | None, name: str
    ) -> Moment:
        """As one clock shows it, with the same time in UTC beside it. Raises TimeError."""
        day, time = utc
        at, naive = 0.0, datetime.min  # noqa: DTZ901
        apart: timedelta | None = None
        for date_there in self._dates(zone):
            naive = datetime.combine(date_there, datetime.min.time()) + self._time.since_midnight
            near = [naive.date() + timedelta(days=one) for one in (0, -1, 1)]
            for date_utc in near if day.of_any_date else day.dates(near[0], self._said):
                there = datetime.combine(date_utc, datetime.min.time()) + time.since_midnight
                shown = naive if time.exact else naive.replace(second=0)
                if timedelta(hours=-13) < shown - there < timedelta(hours=15):
                    apart = shown - there
                    at = (naive - apart).replace(tzinfo=UTC).timestamp()
                    break
            if apart is not None and at <= self._now + SKEW_SECONDS:
                break
        fixed = offset
        if fixed is None and name.upper() in _SHORT_ZONES:
            fixed = timedelta(hours=_SHORT_ZONES[name.upper()])
        if apart is None or (fixed is not None and fixed != apart):
            raise TimeError(
                f"expected one time, found two that are not the same in {self._said!r}; "
                "leave one of them out"
            )
        here = Moment(at, zone, self._said, "", self._vague)
        if here.local(at).utcoffset() != apart or here.zone_name != name.upper():
            meant = timezone(apart, name) if name else timezone(apart)
            here = here._replace(zone=meant)
        return here

    def _dates(self, zone: tzinfo | None) -> Iterator[date]:
        today = datetime.fromtimestamp(self._now, UTC).astimezone(zone).date()
        yield from self._day.dates(today, self._said)

    def _newest(self, zone: tzinfo | None) -> tuple[datetime, float]:
        """The newest such time that is not in the future, or the only one."""
        best: tuple[datetime, float] | None = None
        for one in self._dates(zone):
            try:
                naive = datetime.combine(one, datetime.min.time()) + self._time.since_midnight
                best = naive, _seconds(naive, zone)
            except (ValueError, OverflowError, OSError):
                continue
            if best[1] <= self._now + SKEW_SECONDS:
                return best
        if best is None:
            raise _unreadable(self._said)
        return best


def _seconds(naive: datetime, zone: tzinfo | None) -> float:
    """Unix seconds of a wall time, in this machine's zone when that is None."""
    return float((naive.replace(tzinfo=zone) if zone is not None else naive).timestamp() // 1)
