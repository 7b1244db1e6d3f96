"""What a leg's run writes down as it goes, and the observation it becomes."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from t3probe.config.types import Leg
from t3probe.observation import (
    AddressTry,
    Attempt,
    Beat,
    Drop,
    Observation,
    Reason,
    Stage,
    TcpSample,
)
from t3probe.probes import ONE_SHOT
from t3probe.probes.base import Echo, Facts, ProbeError
from t3probe.run.conclude import conclude
from t3probe.run.evidence import evidence
from t3probe.run.footing import Footing

__all__ = ["Book", "continued"]


class Book:
    """Beats, drops and facts of one leg, in the order they came."""

    def __init__(self, leg: Leg, started: float, footing: Footing) -> None:
        self.leg = leg
        self.started = started
        self.footing = footing
        self.beats: MutableSequence[Beat] = []
        self.drops: MutableSequence[Drop] = []
        self.addresses: tuple[AddressTry, ...] = ()
        self.facts = Facts()
        """Of the first attempt that worked."""
        self.address = ""
        self.cert_not_after: float | None = None
        self.last_good: float | None = None
        """When the last good beat was answered."""
        self.note = ""
        """A sentence about the leg as a whole, kept beside those of the newest line."""
        self.unresolved = ""
        self.collapsed = ""
        self.broken = ""
        """Sentence when the probe itself failed in a way nobody foresaw."""
        self.doubt: tuple[Reason, str] | None = None
        """Reason and sentence when the newest beat told nothing."""

    @property
    def down(self) -> bool:
        """Whether an outage is under way."""
        return bool(self.drops) and self.drops[-1].recovered is None

    def quiet_since(self, moment: float) -> float:
        """How long before `moment` the last drop was noticed, in seconds."""
        return moment - self.drops[-1].noticed if self.drops else moment

    def looked(self, moment: float) -> None:
        """The leg tried something, whatever came of it."""

    def note_beat(self, beat: Beat) -> None:
        """Keep a beat."""
        self.beats.append(beat)

    def note_drop(self, drop: Drop) -> None:
        """Keep a new drop."""
        self.drops.append(drop)

    def good(self, echo: Echo, conn: int, call: int, tcp: TcpSample | None) -> None:
        """Note a beat that worked."""
        self.last_good = echo.ended
        self.doubt = None
        self.collapsed = self.broken = ""
        self.note_beat(
            Beat(
                sent=echo.sent,
                ended=echo.ended,
                ok=True,
                conn=conn,
                call=call,
                nonce=echo.nonce,
                measured_seconds=echo.measured_seconds,
                first_byte_seconds=echo.first_byte_seconds,
                tcp=tcp,
            )
        )

    def bad(self, sent: float, ended: float, conn: int, error: ProbeError, call: int) -> None:
        """Note a beat or an attempt that did not work, or told nothing."""
        if not error.tells:
            self.doubt = (error.reason, error.detail)
        self.note_beat(
            Beat(sent=sent, ended=ended, ok=False, conn=conn, call=call, tells=error.tells)
        )

    def cut_short(self, sent: float, ended: float, conn: int, call: int) -> None:
        """Note a beat that the run's end cut: no pass and no drop, but no sign of life either."""
        self.note_beat(Beat(sent=sent, ended=ended, ok=False, conn=conn, call=call, tells=False))

    def drop(
        self,
        error: ProbeError,
        *,
        began: float,
        sent: float,
        noticed: float,
        call: int,
        conn: int | None,
        age: float | None,
        facts: Facts,
        tcp: TcpSample | None,
    ) -> None:
        """Note a drop; its symptom is decided later by `amend`."""
        error.tcp = error.tcp or tcp
        proof = evidence(self.leg, error, self.before(conn))
        began = min(began, noticed)
        self.collapsed = self.broken = ""
        self.note_drop(
            Drop(
                began=began,
                noticed=noticed,
                reason=error.reason,
                symptom="unknown",
                stage=error.stage,
                call=call,
                detail=error.detail,
                conn=conn,
                connection_age_seconds=None if age is None else round(age, 6),
                local_address=facts.local_address,
                remote_address=facts.remote_address,
                family=facts.family,
                cf_ray=facts.cf_ray,
                colo=facts.colo,
                carried=proof.carried,
                carried_at=sent if proof.carried else None,
                lost=proof.lost,
                evidence=proof.words,
                stalled=self.footing.stalled(max(sent, began), noticed),
                tcp=error.tcp,
            )
        )

    def before(self, conn: int | None) -> TcpSample | None:
        """The kernel's numbers at the last good beat on this connection, where there was one."""
        if conn is None:
            return None
        good = (one for one in reversed(self.beats) if one.ok)
        newest = next(good, None)
        return newest.tcp if newest is not None and newest.conn == conn else None

    def tried_again(self, attempt: Attempt, failed: ProbeError) -> None:
        """The attempt after the newest drop failed as well: the drop is `down`.

        What it says about the path counts beside what the drop said. Where not even a connection
        could be opened any more, that bytes came through before proves nothing about now; and
        where the drop's own bytes were lost, later ones that came through undo nothing.
        """
        drop, later = self.drops[-1], evidence(self.leg, failed)
        changes: dict[str, object] = {}
        if later.carried and not drop.lost:
            changes = {"carried": later.carried, "carried_at": attempt.started}
        elif failed.stage == "connect" and failed.reason != "connect_refused":
            changes = {"carried": (), "carried_at": None}
        if later.words and not drop.evidence:
            changes["evidence"] = later.words
        if later.lost and not drop.carried:
            changes["lost"] = later.lost
        self.amend(symptom="down", attempt=attempt, **changes)

    def goes_on(self, started: float, ended: float) -> bool:
        """Whether a failed attempt belongs to the outage under way.

        It does not when that was noticed while we stood still, and this one was not: only now
        is it known that the leg does not work, whatever made us believe so before.
        """
        if not self.down:
            return False
        return not self.drops[-1].stalled or self.footing.stalled(started, ended)

    def amend(self, **changes: object) -> None:
        """Complete the newest drop."""
        self.drops[-1] = msgspec.structs.replace(self.drops[-1], **changes)

    def recover(self, moment: float) -> None:
        """The leg works again."""
        if self.down:
            self.amend(recovered=moment)

    def learn(self, facts: Facts) -> None:
        """Keep what an attempt learned on its way, whether it worked or not."""
        if facts.cert_not_after is not None:
            self.cert_not_after = facts.cert_not_after
        if facts.cf_ray:
            self.facts.cf_ray, self.facts.colo = facts.cf_ray, facts.colo

    def broke(self, error: BaseException) -> None:
        """The probe failed in a way nobody foresaw: that costs no other leg its observation."""
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        name = type(error).__name__
        if at is not None:
            name += f" at {Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"
        self.broken = f"the probe itself broke: {name}"

    def observation(self, planned: str, drops: Sequence[Drop] | None = None) -> Observation:
        """What was seen, judged; by other drops than the book's where they are given."""
        drops = tuple(self.drops if drops is None else drops)
        end = conclude(
            self.leg,
            self.beats,
            drops,
            self.addresses,
            unresolved=self.unresolved,
            collapsed=self.collapsed,
            broken=self.broken,
            doubt=self.doubt,
        )
        judged = [beat.ended for beat in self.beats if beat.tells]
        ended = max([self.started, *judged, *(drop.noticed for drop in drops)])
        stood = self.footing.stood_still(self.started, ended)
        return Observation(
            leg=self.leg.name,
            kind=self.leg.kind,
            path=self.leg.path,
            outcome=end.outcome,
            reason=end.reason,
            detail=end.detail,
            level=_level(self.leg.kind),
            started=self.started,
            ended=ended,
            observed_seconds=round(max(0.0, ended - self.started - stood), 6),
            connected=end.connected,
            beats=tuple(self.beats),
            drops=drops,
            phases=dict(self.facts.phases),
            addresses=self.addresses,
            address=self.address,
            cert_not_after=self.cert_not_after,
            cf_ray=self.facts.cf_ray,
            colo=self.facts.colo,
            evidence=(*([self.note] if self.note else ()), *self.facts.evidence),
            planned=planned,
            labels=_labels(self.leg),
        )


def continued(first: Observation, second: Observation) -> Observation:
    """One leg's observation followed by a later one in the same run."""
    offset = 1 + max((beat.conn for beat in first.beats), default=0)
    failed = second.outcome == "failed" and first.outcome != "failed"
    told = second if failed else first
    return msgspec.structs.replace(
        told,
        started=first.started,
        ended=max(first.ended, second.ended),
        observed_seconds=round(first.observed_seconds + second.observed_seconds, 6),
        connected=first.connected if second.connected is None else second.connected,
        beats=(
            *first.beats,
            *(msgspec.structs.replace(beat, conn=beat.conn + offset) for beat in second.beats),
        ),
        drops=(*first.drops, *second.drops),
        phases=first.phases or second.phases,
        addresses=first.addresses or second.addresses,
        baseline=first.baseline,
        views=first.views,
    )


def _labels(leg: Leg) -> dict[str, str]:
    """What the metrics of walls and upstreams are labelled with, from the deployment file."""
    if leg.kind in ("walloff", "walled"):
        expected = "public" if leg.kind == "walloff" else "walled"
        return {"path": urlsplit(leg.url or "").path or "/", "expected": expected}
    if leg.name.startswith("envoy-"):
        return {
            "route": leg.route,
            "listen_port": str(leg.listen_port or ""),
            "backend": leg.backend or leg.name.removeprefix("envoy-"),
        }
    return {}


def _level(kind: str) -> Stage:
    if kind == "tcp":
        return "connect"
    return "ask" if kind in ONE_SHOT else "hold"
