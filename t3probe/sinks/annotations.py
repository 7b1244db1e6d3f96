"""A run or a comparison as GitHub Actions shows it: annotations and the job summary. Pure but for
`append`.

Workflow commands are lines of standard output; `%`, CR and LF are escaped in their message, and
`:` and `,` too in their properties
(https://docs.github.com/actions/reference/workflow-commands-for-github-actions). GitHub shows ten
errors and ten warnings of a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from t3probe.compare.difference import Comparison
from t3probe.compare.text import headline as compared
from t3probe.observation import Observation
from t3probe.summary import headline
from t3probe.verdict import RunVerdict
from t3probe.words import sentence

__all__ = ["append", "command", "of_comparison", "of_run"]

MOST = 10
"""Of one kind in one step; GitHub drops the rest."""
SUMMARY_LIMIT_BYTES = 1_000_000
"""GitHub refuses a step's summary of more than 1 MiB."""


def command(kind: str, message: str, **properties: str) -> str:
    """One workflow command: `error`, `warning` or `notice`."""
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{kind}{' ' + said if said else ''}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def of_run(
    observations: Sequence[Observation], judged: RunVerdict, gate: Sequence[str] = ()
) -> Iterator[str]:
    """The verdict and the gate first, then the legs that did not pass."""
    style, head = headline(judged)
    kind = {"red": "error", "yellow": "warning"}.get(style, "notice")
    yield command(kind, head, title="t3probe verdict")
    for word in gate:
        yield command("notice" if word.startswith("open") else "error", word, title="t3probe gate")
    bad = [one for one in observations if one.outcome != "passed" and not one.planned]
    failed = [one for one in bad if one.outcome == "failed"]
    rest = [one for one in bad if one.outcome != "failed"]
    for kind, some in (("error", failed), ("warning", rest)):
        for one in some[: MOST - 2]:
            yield command(kind, sentence(one), title=f"t3probe {one.leg}")


def of_comparison(found: Comparison) -> Iterator[str]:
    """What got worse: a regression behind the gate is an error, elsewhere a warning."""
    yield command(
        "error" if found.regressions else "notice", compared(found), title="t3probe compare"
    )
    worse = [one for one in found.segments if one.regression and not one.gated]
    for one in worse[: MOST - 1]:
        yield command(
            "warning", f"{one.segment}: {one.before} before, {one.after} after", title=one.segment
        )


def append(lines: Iterable[str], environ: Mapping[str, str]) -> bool:
    """Add Markdown to the step's summary, where GitHub names its file. Raises OSError."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    text = "\n".join(lines) + "\n"
    with open(path, "ab") as file:
        room = SUMMARY_LIMIT_BYTES - file.tell()
        data = text.encode("utf-8", "replace")
        file.write(data if len(data) <= room else data[: max(0, room)])
    return True
