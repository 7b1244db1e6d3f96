"""The whole page: head, the verdict first, then the sections. The same facts, the same bytes."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from t3probe.observation import of_old, parts_said, worst
from t3probe.show.page.answer import answer, title
from t3probe.show.page.blind import blind_section
from t3probe.show.page.checks import certificates_section, walls_section
from t3probe.show.page.evidence import evidence_section
from t3probe.show.page.history import History
from t3probe.show.page.legs import legs_section, phases_section, slow_section
from t3probe.show.page.markup import (
    SHEET,
    STATUS_MEANS,
    Html,
    constant,
    csp_hash,
    data_block,
    join,
    tag,
)
from t3probe.show.page.markup import status as badge
from t3probe.show.page.path import path_section
from t3probe.show.page.strips import history_section
from t3probe.show.page.timeline import timeline_section
from t3probe.show.page.upstreams import upstreams_section
from t3probe.show.page.view import View
from t3probe.text.words import count, moment, span

__all__ = ["render_page"]

SEGMENTS_TOLD = 500
_SECTIONS = (
    ("history", "History"),
    ("path", "Path"),
    ("timeline", "Timeline"),
    ("incidents", "Evidence"),
    ("legs", "Legs"),
    ("phases", "Phases"),
    ("walls", "Walls"),
    ("upstreams", "Upstreams"),
    ("certificates", "Certificates"),
    ("slow", "Slow"),
    ("blind", "Not observed"),
)


@cache
def _asset(name: str) -> str:
    return files("t3probe.show.page").joinpath(name).read_text("utf-8").strip()


def render_page(history: History) -> bytes:
    """The page as UTF-8. Raises ValueError when there is no run."""
    view = history.newest
    if view is None:
        raise ValueError("expected at least one run")
    sections = {
        "history": history_section(history),
        "path": path_section(view),
        "timeline": timeline_section(view),
        "incidents": evidence_section(view),
        "legs": legs_section(view),
        "phases": phases_section(view),
        "walls": walls_section(view),
        "upstreams": upstreams_section(view),
        "certificates": certificates_section(view),
        "slow": slow_section(view),
        "blind": blind_section(view),
    }
    links = (
        tag("a", word, href=f"#{name}") for name, word in _SECTIONS if sections[name] is not None
    )
    body = tag(
        "body",
        tag("a", "Skip to the path", href="#path", class_="skip"),
        SHEET,
        _header(view, history),
        tag("nav", links, aria_label="Sections"),
        tag("main", sections.values()),
        _footer(view),
        data_block("t3probe-verdict", _data(view)),
        constant(f"<script>{_asset('page.js')}</script>"),
    )
    page = join([constant("<!doctype html>\n"), tag("html", _head(view), body, lang="en")])
    return (page + "\n").encode("utf-8")


def _head(view: View) -> Html:
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {csp_hash(style)}; script-src {csp_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    words = f"{title(view)} · {view.run.deployment or 't3probe'}"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", words),
        constant(f"<style>{style}</style>"),
    )


def _header(view: View, history: History) -> Html:
    run, status = view.run, view.verdict.status
    runs = len(history.runs) + history.older
    means = STATUS_MEANS[status] if status != "incomplete" else None  # there it is the heading
    facts = [
        run.deployment or "unnamed deployment",
        f"from {run.vantage}" if run.vantage else "",
        moment(run.started_at),
        f"held {span(run.hold_seconds)}",
        count(len(view.every), "leg"),
        f"newest of {count(runs, 'run')}" if runs > 1 else "",
    ]
    return tag(
        "header",
        tag("p", badge(status), tag("span", means) if means else None, class_="over"),
        tag("h1", title(view)),
        answer(view, history),
        tag("p", (tag("span", one) for one in facts if one), class_="facts"),
        [tag("p", one, class_="warning") for one in _warnings(view, history)],
    )


def _warnings(view: View, history: History) -> list[str]:
    run = view.run
    out = []
    if run.interrupted:
        out.append("Interrupted: this is what was seen so far.")
    if run.partial:
        out.append("Only a part of the deployment's legs was probed.")
    if parts := parts_said((run,)):
        out.append(f"Of {parts}.")
    if old := of_old(*(one.version for one in history.runs)):
        out.append(f"{old[0].upper()}{old[1:]}.")
    return out


def _footer(view: View) -> Html:
    run = view.run
    numbers = (
        ("heartbeat", run.heartbeat_seconds),
        ("watchdog", run.watchdog_seconds),
        ("hold", run.hold_seconds),
        ("took", run.duration_seconds),
        ("own loop late by up to", run.loop_lag_seconds),
    )
    said = " · ".join(f"{name} {span(value)}" for name, value in numbers)
    return tag(
        "footer",
        tag("p", f"t3probe · record version {run.version} · {said}"),
        tag("p", "All times are UTC, and seconds since the run began."),
    )


def _label_rank(segment: tuple[str, str]) -> int:
    return ("convicted", "ambiguous", "masked", "unobserved", "exonerated").index(segment[1])


def _data(view: View) -> dict[str, object]:
    """The verdict for other tools, declared segments only."""
    run = view.run
    declared = [one for one in view.labels.items() if one[0] not in view.own]
    shown = worst(declared, SEGMENTS_TOLD, _label_rank)
    left = len(declared) - len(shown)
    return {
        "deployment": run.deployment[:200],
        "vantage": run.vantage[:200],
        "shard": run.shard,
        "shards": run.shards,
        "started_at": run.started_at,
        "status": view.verdict.status,
        "segments": {name[:200]: label for name, label in shown},
        **({"segments_left_out": left} if left else {}),
    }
