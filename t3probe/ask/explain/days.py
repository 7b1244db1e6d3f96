"""The day that a person or a log names: a date, with or without its year, a weekday, yesterday."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

__all__ = ["Day", "TimeError", "read_day"]

YEARS = 10
"""So many years hold a 29 February."""
_MONTHS = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_WORD = re.compile(r"(?:(?P<which>last|this|on)\s+)?(?P<name>[a-z]{3,9})\.?(?:,\s*|\s+|$)", re.I)
_ORDINAL = r"(?:st|nd|rd|th|\.)?"
_FORMS = [
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
    for form in _FORMS:
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
