"""A run as Markdown, for a job summary or a chat message. Pure; all text is escaped.

The form is GitHub's (https://github.github.com/gfm/): tables, and a backslash before what would
be markup. `<`, `>` and `&` become entities, which chats understand that know no backslash (Slack's
`<!channel>`), and what would call people by `@` gets a space of no width behind it. Names and
reasons may come from the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from t3probe.observation import Observation, RunRecord, badness, parts_said, sentence
from t3probe.show.summary import headline
from t3probe.text import plain
from t3probe.text.words import glossed, moment
from t3probe.verdict.incident.run import RunVerdict

MESSAGE_LIMIT = 2000
"""Characters of a chat message: Discord takes no more, Telegram 4,096, Slack advises 4,000."""
_MARKUP = re.compile(r"[\\`*\[\]#!|~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|:(?=//)|(?<=www)\.", re.I)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@\u200b"}
_MORE = "... and {} more lines; the report has all."
_LEGS_LIMIT = 40


def cell(text: object) -> str:
    """Text that stands in a table's cell or a line as it is, whatever it contains."""
    marked = _MARKUP.sub(r"\\\g<0>", plain(str(text), ascii=False))
    return "".join(_ENTITIES.get(one, one) for one in marked)


def message(lines: Iterable[str], limit: int = MESSAGE_LIMIT) -> Iterator[str]:
    """The first lines, as many as fit into `limit` characters, and how many more there are.

    Lines are left out whole: a table stays a table, and nothing that is escaped is cut open.
    """
    everything = list(lines)
    total = sum(len(one) + 1 for one in everything)
    if total <= limit:
        yield from everything
        return
    room = limit - len(_MORE.format(len(everything))) - 2
    kept = 0
    for line in everything:
        room -= len(line) + 1
        if room < 0:
            break
        yield line
        kept += 1
    yield ""
    yield _MORE.format(len(everything) - kept)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table's lines."""
    yield f"| {' | '.join(cell(one) for one in head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(cell(one) for one in row)} |"


def run_markdown(
    run: RunRecord,
    observations: Sequence[Observation],
    judged: RunVerdict,
    gate: Sequence[str] = (),
) -> Iterator[str]:
    """The verdict, what it rests on, and the legs that did not pass."""
    yield f"**{cell(headline(judged)[1])}** ({cell(run.deployment)}, {moment(run.started_at)})"
    if parts := parts_said((run,)):
        yield ""
        yield f"Of {cell(parts)}."
    for word in gate:
        yield ""
        yield f"Gate {cell(word)}."
    verdict = judged.verdict
    rows = [("convicted", ", ".join(glossed(verdict.convicted, run.gloss)))]
    rows += [("one of", ", ".join(glossed(one, run.gloss))) for one in verdict.at_least_one_of]
    if verdict.at_least_one_of and verdict.simplest:
        rows.append(("simplest explanation", ", ".join(glossed(verdict.simplest, run.gloss))))
    own = set(run.own_segments)
    for name, label in (
        ("cleared", "exonerated"),
        ("masked", "masked"),
        ("not seen", "unobserved"),
    ):
        names = [one for one in getattr(verdict, label) if one not in own]
        rest = len(getattr(verdict, label)) - len(names)
        if label != "exonerated":
            names = glossed(names, run.gloss)
        rows.append((name, ", ".join(names) + (f" and {rest} more" if rest else "")))
    yield ""
    yield from table(("", "segments"), [row for row in rows if row[1]])
    if judged.opinions:
        yield ""
        said = [(one.view.name, one.view.segment, one.sentence) for one in judged.opinions]
        yield from table(("opinion", "segment", "no evidence"), said)
    for text in judged.limit_texts:
        yield ""
        yield f"Limit: {cell(text)}."
    bad = [one for one in observations if one.outcome != "passed" and not one.planned]
    bad.sort(key=lambda one: badness(one.outcome))
    if bad:
        yield ""
        shown = [(one.leg, _outcome(one), sentence(one).partition(": ")[2]) for one in bad]
        more = [(f"and {len(bad) - _LEGS_LIMIT} more", "", "")] if len(bad) > _LEGS_LIMIT else []
        yield from table(("leg", "outcome", "what"), [*shown[:_LEGS_LIMIT], *more])


def _outcome(seen: Observation) -> str:
    """The outcome, and of what failed the symptom, which says the strand."""
    failed = seen.outcome == "failed" and seen.symptom
    return f"{seen.outcome}: {seen.symptom}" if failed else seen.outcome
