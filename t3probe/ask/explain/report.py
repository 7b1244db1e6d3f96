"""The answer as lines of at most 80 columns, and as JSON.

The JSON object, one for each question; all `..._at` are Unix seconds:

- `at`, `at_utc`, `at_local`, `read_from`, `window_seconds`, `began_at`, `ended_at`: what was asked.
- `source`: `kind` (`runs`, `prometheus`), `name`, `resolution`, `runs` (that overlap the window).
- `people`, `users`.
- `finding`: see `t3probe.ask.explain.judge.Finding`; `sentence`; `answered`: whether it is an
  answer.
- `proven`: whether the last mile is accused because our legs cleared all else of that very drop.
- `clients`: people's own records (`leg`, `covers` the time, `began_at`, `ended_at`,
  `clock_within_seconds`, `clock_known`, `told` (see `t3probe.ask.explain.judge.Told`), `cleared`
  like with like, `drop`, what of the device ended it (`pause`) or came of no drop (`outlived`),
  `edge`, `network`).
- `way`: `segments` of the person's way, `source`, and `not_cleared` among them.
- `covered_share`: the share of the window from which on a leg clears.
- `legs`: `leg`, `path`, `state`, `observed_seconds`, `observed_share`, `clears`, `looking` at the
  very time, `colos` (where the CDN answered it, in their order), `drops` (`reason`, `count`,
  `symptom`, `began_at`, `noticed_at`, `ended_at`), `why`.
- `incident`: the one that explains the drop, or null; `incidents`: all in the window; `nearby`:
  before and after it. Each has `began_at`, `ended_at` (null: its end was not seen), `legs`,
  `symptom`, `finding`, `explains`.
- `verdict`: as `t3probe verdict` prints it, with the person as one leg more: over `last-mile`, or
  `last-mile-1` ... and `shared-network`, and the way.
- `opinions`: what programs on the path said of themselves in the window: `at`, `name`, `segment`,
  `opinion`, `sentence`, `disagreement`; no evidence.
- `pressure`: machines (`instance`, `io_stalled`, `io_stalled_peak`, `memory_stalled`,
  `memory_stalled_peak` as shares of time, `swap_free_bytes`, `swap_total_bytes`,
  `hard_pressed`), or null when Prometheus was not asked.
- `limits`: ages and silences at which our connections died on the way, as `t3probe verdict` has
  them.
- `blind_spots`, `doubts`, `notes`: sentences. `send_back`: the text for the person.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from t3probe.ask.explain.client_sentences import client_lines, clients_dict
from t3probe.ask.explain.judge import Explained
from t3probe.ask.explain.moment import Moment
from t3probe.ask.explain.pressure import MachineThen
from t3probe.ask.explain.seen import DropSeen, Outage
from t3probe.ask.explain.sentences import blind_spots, doubts, headline, send_back, strain
from t3probe.ask.explain.window import COVERED_SHARE, LegThen
from t3probe.observation import worst
from t3probe.text import cut, distinct, plain
from t3probe.text.words import ago, at_places, count, glossed, percent, size, some, span, utc

WIDTH = 80
WAS = {"down": "was down", "refusing": "refused new", "cut": "was cut"}
"""What a leg was that worked again, the worst first."""
ANSWERED = frozenset(
    {
        *("ours", "ours_one_of", "both", "last_mile", "their_device", "their_edge", "no_drop"),
        "shared_blind_spot",
    }
)
"""The findings that are answers."""
LISTED = 30
NEARBY_LISTED = 3
SETS = 3
OPINIONS = 8
MOVES = 4


class Report(NamedTuple):
    """Everything there is to tell."""

    told: Explained
    when: Moment
    users: tuple[str, ...]
    source: str
    """`runs` or `prometheus`."""
    source_name: str
    machines: Sequence[MachineThen] | None
    """None: not asked."""
    notes: tuple[str, ...]

    @property
    def resolution(self) -> str:
        """How fine the times are, in words."""
        if self.source == "runs":
            return "exact to the beat"
        return "a run's minute: where in a run a drop fell is not known"


def to_lines(report: Report) -> Iterator[str]:
    """The answer for people."""
    for line in _lines(report):
        yield _plain(line)


_plain = partial(plain, ascii=False)


def _lines(report: Report) -> Iterator[str]:
    told, when = report.told, report.when
    question = told.question
    yield from _row("asked", f"{when.said}, read as {when.text}, {_ago(report)}")
    if when.note:
        yield from _row("", when.note)
    window = f"{when.clock(question.began)} to {when.clock(question.ended)} {when.zone_name}"
    yield from _row("window", f"{window}, {span(question.window)} to either side")
    if question.people > 1:
        yield from _row("people", f"{question.people} at once")
    runs = f"{count(len(told.runs), 'run')} in it"
    yield from _row("source", f"{report.source_name}, {runs}; {report.resolution}")
    yield ""
    yield from textwrap.wrap(headline(told, when), WIDTH)
    for spot in blind_spots(told):
        yield from _bullet(spot)
    for doubt in doubts(told, when):
        yield from _bullet(doubt)
    yield ""
    if told.clients:
        yield "What their browsers recorded:"
        for line in client_lines(told, when):
            yield from _bullet(line)
        yield ""
    yield from _legs(report)
    yield from _segments(report)
    yield from _incidents(report)
    yield from _opinions(report)
    yield from _pressure(report)
    for note in report.notes:
        yield from textwrap.wrap(f"note: {note}", WIDTH, subsequent_indent="  ")
    yield ""
    yield "Send back:"
    yield from textwrap.wrap(
        send_back(told, when, report.users), WIDTH, initial_indent="  ", subsequent_indent="  "
    )


def _ago(report: Report) -> str:
    return ago(report.told.question.now - report.told.question.at)


def _row(name: str, text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=f"{name:<8}", subsequent_indent=" " * 8
    ) or [name]


def _bullet(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _legs(report: Report) -> Iterator[str]:
    told = report.told
    if not told.legs:
        return
    yield f"{'leg':<18}{'then':<14}{'observed':>15}  drops"
    way = set(told.way.segments)
    on_way = [
        one for one in told.legs if not one.clears or not one.path or way.intersection(one.path)
    ]
    shown = worst(on_way, LISTED, lambda one: (not one.drops, one.clears))
    names = distinct((leg.name for leg in shown), 17, _plain)
    for leg in shown:
        seen = f"{leg.seconds:.0f} of {told.question.seconds:.0f} s"
        line = f"{names[leg.name]:<18}{_then(leg):<14}{seen:>15}  {_drops(leg, report)}"
        yield cut(line.rstrip())
    if len(told.legs) > len(shown):
        rest = [one for one in told.legs if one.name not in names]
        dropped = sum(bool(one.drops) for one in rest)
        yield f"... and {len(rest)} more" + (
            f", of which {dropped} dropped" if dropped else " without a drop"
        )
    at, looking = report.when.clock(told.question.at), len(told.looking_at)
    if looking:
        whole = "all legs" if looking == len(told.legs) else f"{looking} of {len(told.legs)} legs"
        yield f"At {at} {whole} were looking."
    else:
        yield f"At {at} no leg was looking."
    share = percent(COVERED_SHARE)
    yield f"A leg clears from {share} of the window on, if it was looked at just then."
    if colos := at_places((leg.name, ", then ".join(some(leg.colos, MOVES))) for leg in shown):
        yield from _row("colo", colos)
    yield ""


def _then(leg: LegThen) -> str:
    """Its state; of one that came back what it was, where that is known."""
    if leg.state != "dropped":
        return leg.state
    known = [one.symptom for one in leg.drops]
    return next((said for symptom, said in WAS.items() if symptom in known), leg.state)


def _drops(leg: LegThen, report: Report) -> str:
    if not leg.drops:
        return leg.why if leg.state in ("told nothing", "planned") else "-"
    total = sum(one.count for one in leg.drops)
    reasons = ", ".join(dict.fromkeys(one.reason for one in leg.drops))
    noticed = [one.noticed for one in leg.drops if one.noticed is not None]
    last = f" at {report.when.clock(max(noticed))}" if noticed else ""
    return f"{total} {reasons}{last}"


def _segments(report: Report) -> Iterator[str]:
    verdict = report.told.verdict
    more = len(verdict.at_least_one_of) - SETS
    rows = [
        ("convicted", glossed(verdict.convicted, report.told.gloss)),
        *(("one of", glossed(one, report.told.gloss)) for one in verdict.at_least_one_of[:SETS]),
        ("", [f"and {more} more such sets"] * (more > 0)),
        ("cleared", verdict.exonerated),
        ("masked", glossed(verdict.masked, report.told.gloss)),
        ("not observed", glossed(verdict.unobserved, report.told.gloss)),
    ]
    for name, names in rows:
        if names:
            yield from textwrap.wrap(
                ", ".join(names), WIDTH, initial_indent=f"{name:<14}", subsequent_indent=" " * 14
            )


def _incidents(report: Report) -> Iterator[str]:
    told = report.told
    if told.outages:
        yield ""
        yield "What failed in the window:"
        shown = worst(told.outages, LISTED, lambda one: one is not told.outage)
        for one in shown:
            yield from _incident(one, report)
        if len(told.outages) > len(shown):
            yield f"  ... and {len(told.outages) - len(shown)} more"
    elif told.nearby:
        yield ""
        yield "Nothing failed in the window. What failed nearest to it:"
        nearest = sorted(told.nearby, key=lambda one: one.distance(told.question.at))
        for one in sorted(nearest[:NEARBY_LISTED], key=lambda one: one.began):
            yield from _incident(one, report)
        if len(nearest) > NEARBY_LISTED:
            yield f"  ... and {len(nearest) - NEARBY_LISTED} further away"


def _incident(outage: Outage, report: Report) -> Iterator[str]:
    clock = report.when.clock
    over = clock(outage.ended) if outage.ended is not None else "?"
    yield from textwrap.wrap(
        f"{clock(outage.began)} to {over}  {outage.finding}",
        WIDTH, initial_indent="  ", subsequent_indent="    ",
    )  # fmt: skip


def _opinions(report: Report) -> Iterator[str]:
    at = report.told.question.at
    found = [one for run in report.told.runs for one in run.opinions]
    if not found:
        return
    yield ""
    yield "What they said of themselves, which is no evidence:"
    shown = worst(found, OPINIONS, lambda one: (one.disagreement is None, abs(one.at - at)))
    for one in shown:
        yield from _bullet(f"{report.when.clock(one.at)}  {one.sentence}")
    if len(found) > len(shown):
        yield f"  ... and {len(found) - len(shown)} more"


def _pressure(report: Report) -> Iterator[str]:
    if report.machines is None:
        return
    yield ""
    if not report.machines:
        yield "Pressure: Prometheus has no node_pressure_* or swap series for that time."
        return
    yield f"{'pressure':<26}{'io stalled':>16}{'memory stalled':>16}{'swap free':>20}"
    names = distinct((one.instance for one in report.machines), 25, _plain)
    for one in report.machines:
        swap = "-" if one.swap_free_bytes is None else size(one.swap_free_bytes)
        if one.swap_total_bytes is not None:
            swap += f" of {size(one.swap_total_bytes)}"
        yield (
            f"{names[one.instance]:<26}{_share(one.io_stalled, one.io_stalled_peak):>16}"
            f"{_share(one.memory_stalled, one.memory_stalled_peak):>16}{swap:>20}"
        )
    if sentence := strain(report.machines):
        yield from textwrap.wrap(sentence, WIDTH)


def _share(share: float | None, peak: float | None) -> str:
    return "-" if share is None or peak is None else f"{percent(share)}, peak {percent(peak)}"


def to_dict(report: Report) -> dict[str, Any]:
    """The JSON form, described above."""
    told, when, question = report.told, report.when, report.told.question
    looking = set(told.looking_at)
    return {
        "at": question.at,
        "at_utc": utc(question.at),
        "at_local": when.local(question.at).isoformat(),
        "read_from": when.said,
        "window_seconds": question.window,
        "began_at": question.began,
        "ended_at": question.ended,
        "source": {
            "kind": report.source,
            "name": report.source_name,
            "resolution": report.resolution,
            "runs": len(told.runs),
        },
        "people": question.people,
        "users": list(report.users),
        "finding": told.finding,
        "answered": told.finding in ANSWERED,
        "sentence": headline(told, when),
        "proven": told.proven,
        "clients": clients_dict(told),
        "way": {
            "segments": list(told.way.segments),
            "source": told.way.source,
            "not_cleared": [one for one in told.way.segments if one not in told.verdict.exonerated],
        },
        "covered_share": COVERED_SHARE,
        "legs": [_leg_dict(one, one.name.partition("@")[0] in looking) for one in told.legs],
        "incident": None if told.outage is None else _outage_dict(told.outage, told),
        "incidents": [_outage_dict(one, told) for one in told.outages],
        "nearby": [_outage_dict(one, told) for one in told.nearby],
        "verdict": told.verdict.to_dict(),
        "opinions": [msgspec.to_builtins(one) for run in told.runs for one in run.opinions],
        "pressure": None
        if report.machines is None
        else [
            {**msgspec.to_builtins(one), "hard_pressed": list(one.hard_pressed)}
            for one in report.machines
        ],
        "limits": [one.to_dict(0.0, told.gloss) for one in told.limits],
        "blind_spots": blind_spots(told),
        "doubts": doubts(told, when),
        "notes": [*([when.note] if when.note else []), *report.notes],
        "send_back": send_back(told, when, report.users),
    }


def _leg_dict(leg: LegThen, looking: bool) -> dict[str, Any]:
    return {
        "leg": leg.name,
        "path": list(leg.path),
        "state": leg.state,
        "observed_seconds": round(leg.seconds, 3),
        "observed_share": round(leg.share, 4),
        "clears": leg.clears,
        "looking": looking,
        "colos": list(leg.colos),
        "drops": list(_drop_dicts(leg.drops)),
        "why": leg.why,
    }


def _drop_dicts(drops: Iterable[DropSeen]) -> Iterator[dict[str, Any]]:
    for one in drops:
        yield {
            "reason": one.reason,
            "count": one.count,
            "symptom": one.symptom,
            "began_at": one.began,
            "noticed_at": one.noticed,
            "ended_at": one.ended,
        }


def _outage_dict(outage: Outage, told: Explained) -> dict[str, Any]:
    return {
        "began_at": outage.began,
        "ended_at": outage.ended,
        "legs": list(outage.legs),
        "symptom": outage.incidents[0].symptom,
        "finding": outage.finding,
        "explains": outage is told.outage,
    }
