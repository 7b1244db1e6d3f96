"""The results folder of one run: what could not be written is said, and changes nothing else.

A run's verdict stands on the terminal and its counts in the places of delivery, so a folder that
is full, read-only or gone costs the files and no more. What an earlier run left in their places
is moved aside, or named as old: it is not taken for this run's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from t3probe.exchange.files import clear, set_aside, write_whole
from t3probe.usage import refused_by_system


class Results:
    """The folder, and the record, which may stand elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verdict = folder / "verdict.json"
        self._broken: dict[str, tuple[OSError, str]] = {}
        """What could not be written: why, and what became of the file in its place."""

    def begin(self) -> None:
        """Delete what runs that were killed left behind."""
        for name in ("junit.xml", self._verdict.name):
            clear(self.folder / name)

    def write_verdict(self, judged: dict[str, Any]) -> None:
        """Write `verdict.json`."""
        with self.writing("the verdict", self._verdict):
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(judged, indent=2, ensure_ascii=True) + "\n"
            write_whole(self._verdict, text.encode("ascii"))

    @contextmanager
    def writing(self, what: str, file: Path) -> Iterator[None]:
        """Note an OSError of the block, which writes `what` to `file`, and go on."""
        try:
            yield
        except OSError as error:
            self._broken[what] = error, set_aside(file)
        else:
            self._broken.pop(what, None)

    @property
    def problems(self) -> bool:
        """Whether something could not be written."""
        return bool(self._broken)

    def lines(self, record: str) -> list[str]:
        """Where the files are, for people; one sentence about all that failed for one reason.
        `record` is the name of the JUnit file."""
        files = {"the record": record, "the verdict": str(self._verdict)}
        whole = [f"{what.split()[1]}: {file}" for what, file in files.items()
                 if what not in self._broken]  # fmt: skip
        reasons: dict[tuple[int | None, str], list[str]] = {}
        for what, (found, _) in self._broken.items():
            reason = found.errno, found.strerror or str(found)
            reasons.setdefault(reason, []).append(what)
        for (number, why), names in reasons.items():
            where = {os.path.dirname(files[one]) or "." for one in names}
            error = OSError(number, why, ", ".join(sorted(where)))
            asides = "".join(self._broken[one][1] for one in names)
            whole.append(
                refused_by_system(f"{' and '.join(names)} cannot be written", error) + asides
            )
        return whole
