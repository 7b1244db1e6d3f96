"""Answers `/metrics` and `/healthz` from a thread of its own.

Whether the held mode is alive, the probing loop writes and this thread reads (`SignsOfLife`).

A snapshot, which is what the held mode shows at one moment, is made by the probing loop and never
changes afterwards: this thread needs no lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from t3probe.config.types import Timing
from t3probe.deliver.metrics import families, rendered
from t3probe.deliver.metrics.carry import labelled
from t3probe.deliver.metrics.exposition import Sheet
from t3probe.observation import Observation, RunRecord
from t3probe.text import plain
from t3probe.text.words import span
from t3probe.timing import Clock
from t3probe.verdict.incident.run import RunVerdict
from t3probe.watch.serving import PLAIN, Listen, ReadOnlyServer, response

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LIVING = (
    "t3probe_disconnects_total",
    "t3probe_rtt_seconds",
    "t3probe_connection_age_seconds",
    "t3probe_last_disconnect_timestamp",
    "t3probe_observed_seconds_total",
)
"""Families that count over the whole life; all others tell of the present, as after a run."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The present as a run would have recorded it, and the counts of a lifetime."""

    record: RunRecord
    observations: Sequence[Observation]
    judged: RunVerdict
    counts: Sheet
    """A copy: nothing else writes into it."""

    def text(self) -> bytes:
        """The Prometheus text format, as UTF-8."""
        told = families(self.record, self.observations, self.judged)
        present = {name: family for name, family in told.items() if name not in LIVING}
        vantage = self.record.vantage
        whole = present | self.counts.families()
        return rendered(labelled(whole, {"vantage": vantage}) if vantage else whole)


class Server(ReadOnlyServer):
    """Shows the newest snapshot, and whether the held mode is alive."""

    def __init__(self, listen: Listen, health: SignsOfLife) -> None:
        """Raises OSError when the address cannot be had."""
        super().__init__(listen, "t3probe-http")
        self._health = health
        self._snapshot: Snapshot | None = None
        self._text: tuple[Snapshot, bytes] | None = None

    def publish(self, snapshot: Snapshot) -> None:
        """From now on show this. Called by the probing loop; never waits."""
        self._snapshot = snapshot

    def unknown(self, path: str) -> bytes:
        here = path in ("/metrics", "/healthz")
        return b"" if here else b"there are /metrics and /healthz\n"

    def answer(self, method: str, path: str) -> bytes:
        if path == "/healthz":
            well, sentence = self._health.check()
            return response(200 if well else 503, PLAIN, f"{plain(sentence)}\n".encode(), method)
        snapshot = self._snapshot
        if snapshot is None:
            return response(503, PLAIN, b"nothing has been measured yet\n", method)
        if self._text is None or self._text[0] is not snapshot:
            try:
                self._text = snapshot, snapshot.text()
            except Exception as error:  # the scraper is told, and the next one may fare better
                why = f"the metrics cannot be written: {type(error).__name__}\n"
                return response(500, PLAIN, why.encode(), method)
        return response(200, CONTENT_TYPE, self._text[1], method)


LOOP_LIMIT_SECONDS = 5.0
"""A loop that has not turned for so long stands still. It turns every second."""


def beat_limit(timing: Timing, holds: bool) -> float:
    """How long after the newest beat of all legs another one is overdue, in seconds.

    `holds` says whether any leg holds a connection; without one, only sweeps are made. An
    attempt may take the connect timeout twice and then the watchdog, and a drop two of them.
    """
    apart = timing.heartbeat if holds else timing.sweep_interval
    attempt = 2 * timing.connect_timeout + timing.watchdog
    return apart + max(timing.backoff_max, 2 * attempt)


@dataclass(frozen=True, slots=True)
class _Sign:
    """The newest sign of life. Replaced as a whole: a reader sees one or the other."""

    turned: float
    beat: float
    limit: float
    oldest: str


class SignsOfLife:
    """Signs of life and their age. Times are of the monotonic clock, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        now = clock.monotonic()
        self._sign = _Sign(now, now, float("inf"), "")

    def turned(self, beat_age: float, limit: float, oldest: str = "") -> None:
        """The loop turns; the newest beat of all legs is so old and may be as old as `limit`.

        `oldest` names the leg that waits longest for a beat.
        """
        now = self._clock.monotonic()
        self._sign = _Sign(now, now - beat_age, limit, oldest)

    def check(self) -> tuple[bool, str]:
        """Whether all is well, and one sentence."""
        sign, now = self._sign, self._clock.monotonic()
        still, silent = now - sign.turned, now - sign.beat
        if still > LOOP_LIMIT_SECONDS:
            return False, f"the probing loop has stood still for {span(still)}"
        if silent > sign.limit:
            return (
                False,
                f"no leg has beaten for {span(silent)}, at most {span(sign.limit)} expected",
            )
        last = f"; {sign.oldest} waits longest" if sign.oldest else ""
        return True, f"the loop turns, the newest beat is {span(max(0.0, silent))} old{last}"
