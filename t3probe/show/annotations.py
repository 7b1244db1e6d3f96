"""A run or a comparison as GitHub Actions shows it: annotations and the job summary. Pure but for
`append`.

Workflow commands are lines of standard output; `%`, CR and LF are escaped in their message, and
`:` and `,` too in their properties
(https://docs.github.com/actions/reference/workflow-commands-for-github-actions). GitHub shows ten
errors, ten warnings and ten notices of a step; a run and a comparison in one step take half each.
A run has no file and no line to point at, and both are optional.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from t3probe.exchange.terminal import disarmed
from t3probe.observation import Observation, sentence
from t3probe.show.compare.difference import Comparison
from t3probe.show.compare.lines import decision
from t3probe.show.compare.lines import headline as compared
from t3probe.show.summary import headline
from t3probe.text import cut, plain
from t3probe.text.words import glossed, label_word
from t3probe.verdict.incident.run import RunVerdict

MOST = 5
"""Of one kind, from a run or from a comparison. GitHub drops what comes after ten in a step."""
MESSAGE_LIMIT = 1000
"""Characters of one message; more of it stands in the summary."""
SUMMARY_LIMIT_BYTES = 1_000_000
"""GitHub refuses a step's summary of more than 1 MiB."""
_LEFT_OUT = "\n... and {} more lines, for which a summary has no room\n"


def command(kind: str, message: str, **properties: str) -> str:
    """One workflow command: `error`, `warning` or `notice`."""
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{kind}{' ' + said if said else ''}::{_data(cut(message, MESSAGE_LIMIT))}"


def _data(text: str) -> str:
    text = disarmed("\n".join(plain(line, ascii=False) for line in text.split("\n")))
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
    yield from _of_gate(gate)
    bad = [one for one in observations if one.outcome != "passed" and not one.planned]
    failed = [one for one in bad if one.outcome == "failed"]
    rest = [one for one in bad if one.outcome != "failed"]
    room = MOST - 2  # the verdict and the gate
    for kind, some in (("error", failed), ("warning", rest)):
        shown = some if len(some) <= room else some[: room - 1]
        for one in shown:
            yield command(kind, sentence(one), title=f"t3probe {one.leg}")
        if len(shown) < len(some):
            names = ", ".join(one.leg for one in some[len(shown) :])
            yield command(kind, names, title=f"t3probe {len(some) - len(shown)} more legs")


def _of_gate(said: Sequence[str]) -> Iterator[str]:
    """All that a gate says, in one."""
    if said:
        opened = all(one.startswith("open") for one in said)
        yield command("notice" if opened else "error", "\n".join(said), title="t3probe gate")


def of_comparison(found: Comparison) -> Iterator[str]:
    """What got worse: a regression behind the gate is an error, elsewhere a warning."""
    yield command(
        "error" if found.regressions else "notice", compared(found), title="t3probe compare"
    )
    yield from _of_gate(decision(found))
    worse = [one for one in found.segments if one.regression and not one.gated]
    names = glossed((one.segment for one in worse), found.gloss)
    shown = len(worse) if len(worse) <= MOST else MOST - 1
    for one, name in zip(worse[:shown], names, strict=False):
        words = f"{name}: {label_word(one.before)} before, {label_word(one.after)} after"
        yield command("warning", words, title=one.segment)
    if len(worse) > shown:
        rest = ", ".join(names[shown:])
        yield command("warning", f"{rest}: cleared before and not after", title="more segments")


def append(lines: Iterable[str], environ: Mapping[str, str]) -> bool:
    """Add Markdown to the step's summary, where GitHub names its file. Raises OSError.

    What has no room is left out by whole lines, and counted: one byte too many, and GitHub shows
    nothing.
    """
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    # A pipe without a reader is an error, and not waited for.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags, 0o666), "ab") as file:
        room = SUMMARY_LIMIT_BYTES - file.tell()
        # The empty line keeps the next table apart.
        whole = [one.encode("utf-8", "replace") + b"\n" for one in (*lines, "")]
        kept, note = len(whole), b""
        if sum(map(len, whole)) > room:
            kept, room = 0, room - len(_LEFT_OUT.format(len(whole)))
            while (room := room - len(whole[kept])) >= 0:
                kept += 1
            note = _LEFT_OUT.format(len(whole) - 1 - kept).encode()
        if file.tell() + len(note) <= SUMMARY_LIMIT_BYTES:
            file.writelines((*whole[:kept], note))
    return True
