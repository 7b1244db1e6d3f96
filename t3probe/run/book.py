"""What a leg's run writes down as it goes, and the observation it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from pathlib import Path

import msgspec

from t3probe.config.types import Leg
from t3probe.observation import (
    AddressTry,
    Attempt,
    AttemptPhase,
    Beat,
    Connection,
    Drop,
    Observation,
    Reason,
    Silence,
    Strand,
    Symptom,
    TcpSample,
)
from t3probe.probes.facts import Echo, Facts, ProbeError
from t3probe.run.conclude import conclude, labels_of, level_of, server_of
from t3probe.run.footing import Footing
from t3probe.run.own_answer import OwnAnswer, evidence

ANSWERS: frozenset[Reason] = frozenset({"connect_refused", "connection_reset", "closed_by_peer"})
"""How a beat ends by an answer that is none of the protocol's."""
DEADLINES: frozenset[Reason] = frozenset({"connect_timeout", "rtt_timeout"})
"""How it ends when time is up, whatever had come by then."""


class Book:
    """Beats, drops and facts of one leg, in the order they came."""

    def __init__(self, leg: Leg, started: float, footing: Footing) -> None:
        self.leg = leg
        self.started = started
        self.footing = footing
        self.gloss: Mapping[str, str] = {}
        """What the file adds to the names of segments."""
        self.beats: MutableSequence[Beat] = []
        self.drops: MutableSequence[Drop] = []
        self.addresses: tuple[AddressTry, ...] = ()
        self.facts = Facts()
        """Of the first attempt that worked."""
        self.address = ""
        self.cert_not_after: float | None = None
        self.server_began: tuple[float, float] | None = None
        """When the run began by the server's clock; never known any more after a contradiction:
        then there are several clocks, or one that was set."""
        self._several_clocks = False
        self.connections: MutableSequence[Connection] = []
        """Those that were held."""
        self.silences: MutableSequence[Silence] = []
        """Of idle connections."""
        self.last_good: dict[Strand, float | None] = {"held": None, "fresh": None}
        """When the last good beat of each strand was answered."""
        self.last_held_sent: float | None = None
        """When the last good held beat was sent."""
        self.undecided = False
        """The newest outage waits for its second look."""
        self.holding: Callable[[], bool] | None = None
        """Whether a held connection works; None where that is not known."""
        self.note = ""
        """A sentence about the leg as a whole, kept beside those of the newest line."""
        self.short: tuple[Reason, str] | None = None
        """Reason and sentence of what fell short in a beat that was good all the same."""
        self.clears: tuple[str, ...] | None = None
        """The least that a good beat proved; None: the whole path."""
        self.gate: dict[str, bool] = {}
        """What was asked of an ingest gate, and whether it was as it must be."""
        self.resolved: AttemptPhase | None = None
        """How the addresses were found that the next attempt dials; None: they were known."""
        self.unresolved = ""
        self.collapsed = ""
        self.broken = ""
        """Sentence when the probe itself failed in an unforeseen way."""
        self.doubts: dict[Strand, tuple[Reason, str]] = {}
        """Reason and sentence of each strand whose newest beat told nothing."""

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

    def note_answer(self, echo: Echo) -> None:
        """Keep what falls short in a good beat, and the least that one of them proved."""
        self.short = echo.short or self.short
        if echo.clears is not None and (self.clears is None or len(echo.clears) < len(self.clears)):
            self.clears = echo.clears

    def note_silence(self, one: Silence) -> None:
        """Keep what became of a silence of the idle connection."""
        self.silences.append(one)

    def note_drop(self, drop: Drop) -> None:
        """Keep a new drop."""
        self.drops.append(drop)

    def well_for(self, moment: float) -> float:
        """How long before `moment` the last outage was over, in seconds; 0 during one."""
        if not self.drops:
            return float("inf")
        over = self.drops[-1].recovered
        return 0.0 if over is None else moment - over

    @property
    def well_since(self) -> float:
        """When the newest outage was over; minus infinity where it is not, or there was none."""
        over = self.drops[-1].recovered if self.drops else None
        return float("-inf") if over is None else over

    def forget_good(self) -> None:
        """The leg is looked at anew. A second look that was under way is over for good."""
        self.undecided = False
        self.last_good = {"held": None, "fresh": None}
        self.short = self.clears = None

    def holds(self, conn: int, opened: float, remote: str) -> None:
        """From now on this connection is the held one."""
        self.last_good["held"] = self.last_good["fresh"]
        self.connections.append(Connection(conn=conn, opened=opened, remote_address=remote))

    def good(
        self,
        echo: Echo,
        conn: int,
        call: int,
        tcp: TcpSample | None,
        strand: Strand,
        began: float | None = None,
        facts: Facts | None = None,
    ) -> None:
        """Note a beat that worked. A fresh one `began` when it was dialled; its round trip is that
        of the exchange alone. `facts` are those of its channel."""
        sent, measured = echo.sent, echo.measured_seconds
        if began is not None and began < sent:
            sent = began
            measured = round(echo.ended - echo.sent, 6) if measured is None else measured
        self.last_good[strand] = echo.ended
        if strand == "held":
            self.last_held_sent = echo.sent
        self.doubts.pop(strand, None)
        self.note_answer(echo)
        self.collapsed = self.broken = ""
        self.note_beat(
            Beat(
                sent=sent,
                ended=echo.ended,
                ok=True,
                conn=conn,
                strand=strand,
                call=call,
                nonce=echo.nonce,
                refused=echo.refused,
                measured_seconds=measured,
                first_byte_seconds=echo.first_byte_seconds,
                tcp=tcp,
                phases=self._phases(strand, facts),
                traced=facts.traced if facts is not None else "",
            )
        )

    def _phases(self, strand: Strand, facts: Facts | None) -> tuple[AttemptPhase, ...]:
        """What a fresh attempt went through."""
        if strand == "held":
            return ()
        found, self.resolved = self.resolved, None
        some = () if facts is None else sorted(facts.steps.values(), key=lambda one: one.started)
        return (*([found] if found else []), *some)

    def bad(
        self,
        sent: float,
        ended: float,
        conn: int,
        error: ProbeError,
        call: int,
        strand: Strand,
        facts: Facts | None = None,
    ) -> None:
        """Note a beat or an attempt that did not work, or told nothing. `facts`: of the channel,
        where the error has none."""
        facts = error.facts or facts
        if not error.conclusive:
            self.doubts[strand] = (error.reason, error.detail)
        elif self.down and not self.undecided and self.drops[-1].answered:
            silent = not _told(error) and not self.own_doing(error, sent, ended)
            self.amend(fell_silent=silent or self.drops[-1].fell_silent)
        self.note_beat(
            Beat(
                sent=sent,
                ended=ended,
                ok=False,
                conn=conn,
                strand=strand,
                call=call,
                conclusive=error.conclusive,
                reason=error.reason,
                phases=self._phases(strand, facts),
                traced=facts.traced if facts is not None else "",
            )
        )

    def own_doing(self, error: ProbeError, started: float, ended: float) -> bool:
        """Whether an attempt was not answered while we stood still, or were late all the time."""
        return _silent(error) and self.footing.stalled(started, ended, started)

    def cut_short(self, sent: float, ended: float, conn: int, call: int, strand: Strand) -> None:
        """Note a beat that the run's end cut: no pass and no drop, but no sign of life either."""
        self.note_beat(
            Beat(
                sent=sent,
                ended=ended,
                ok=False,
                conn=conn,
                strand=strand,
                call=call,
                conclusive=False,
            )
        )

    def drop(
        self,
        error: ProbeError,
        *,
        began: float,
        sent: float,
        noticed: float,
        call: int,
        strand: Strand,
        conn: int | None,
        age: float | None,
        facts: Facts,
        tcp: TcpSample | None,
    ) -> None:
        """Note a drop; its symptom is decided later by a second look."""
        error.tcp = error.tcp or tcp
        proof = self._evidence(error, conn)
        began = min(began, noticed)
        answered = _told(error)
        asked = sent if _silent(error) else None
        self.collapsed = self.broken = ""
        self.undecided = True
        self.note_drop(
            Drop(
                began=began,
                noticed=noticed,
                reason=error.reason,
                symptom="unknown",
                stage=error.stage,
                call=call,
                strand=strand,
                asked=sent,
                answered=answered,
                accused=proof.accused,
                detail=error.detail,
                conn=conn,
                connection_age_seconds=None if age is None else round(age, 6),
                local_address=facts.local_address,
                remote_address=facts.remote_address,
                family=facts.family,
                cf_ray=facts.cf_ray,
                colo=facts.colo,
                carried=proof.carried,
                evidence=proof.words,
                stalled=self.footing.stalled(max(sent, began), noticed, asked),
                tcp=error.tcp,
            )
        )

    def _evidence(self, error: ProbeError, conn: int | None = None) -> OwnAnswer:
        return evidence(self.leg, error, self.before(conn), self.gloss)

    def before(self, conn: int | None) -> TcpSample | None:
        """The kernel's numbers at the last good beat on this connection, where there was one."""
        if conn is None:
            return None
        return next((one.tcp for one in reversed(self.beats) if one.ok and one.conn == conn), None)

    def held_failed_too(
        self,
        error: ProbeError,
        *,
        conn: int,
        age: float,
        facts: Facts,
        tcp: TcpSample | None,
    ) -> None:
        """In an outage that fresh beats noticed, the held connection died as well: the drop takes
        its reason and its age."""
        error.tcp = error.tcp or tcp
        words = self._evidence(error, conn).words
        drop = self.drops[-1]
        if drop.strand == "held":
            return
        self.amend(
            strand="held",
            reason=error.reason,
            stage=error.stage,
            detail=error.detail,
            conn=conn,
            connection_age_seconds=round(age, 6),
            local_address=facts.local_address,
            remote_address=facts.remote_address,
            family=facts.family,
            evidence=drop.evidence or words,
            tcp=drop.tcp or error.tcp,
            **({"symptom": "down"} if drop.symptom == "refusing" else {}),
        )

    def looked_again(self, attempt: Attempt, failed: ProbeError, held: bool) -> None:
        """The second look failed as well: the leg is `down`, or `refusing` if the connection that
        it holds turns out to work."""
        words = self._evidence(failed).words
        changes: dict[str, object] = {} if held else {"symptom": "down"}
        if words and not self.drops[-1].evidence:
            changes["evidence"] = words
        self.amend(attempt=attempt, **changes)
        self.decided()

    def cut_second_look(self, started: float, ended: float, held: bool) -> None:
        """The deadline cut a second look that was open for long enough to count as failed."""
        attempt = Attempt(
            started=started,
            ended=ended,
            ok=False,
            reason="rtt_timeout",
            detail="no answer before the run's deadline",
        )
        self.amend(attempt=attempt, **({} if held else {"symptom": "down"}))

    def decided(self) -> None:
        """The second look is over."""
        self.undecided = False

    def turns_out(self, symptom: Symptom) -> None:
        """Decide the newest drop's symptom, if it is not known yet."""
        if self.drops[-1].symptom == "unknown":
            self.amend(symptom=symptom)

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
        if facts.gate:
            self.note_gate(facts.gate)
        if facts.server_began is not None and not self._several_clocks:
            low, high = facts.server_began
            if self.server_began is not None:
                low, high = max(low, self.server_began[0]), min(high, self.server_began[1])
            self._several_clocks = low > high
            self.server_began = None if self._several_clocks else (low, high)

    def note_gate(self, found: Mapping[str, bool]) -> None:
        """Keep what a beat found of an ingest gate: what was open once was open in this run."""
        self.gate = {**found, **self.gate, **{name: False for name in found if not found[name]}}

    def broke(self, error: BaseException) -> None:
        """The probe failed in an unforeseen way: that costs no other leg its observation."""
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
            doubt=next(iter(self.doubts.values()), None),
            short=self.short,
            holding=None if self.holding is None else self.holding(),
        )
        judged = [beat.ended for beat in self.beats if beat.conclusive]
        ended = max([self.started, *judged, *(drop.noticed for drop in drops)])
        stood = self.footing.stood_still(self.started, ended)
        return Observation(
            leg=self.leg.name,
            kind=self.leg.kind,
            path=self.leg.path,
            outcome=end.outcome,
            reason=end.reason,
            detail=end.detail,
            level=level_of(self.leg.kind),
            tcp_ends_at=self.leg.tcp_ends_at or "",
            server=server_of(self.leg),
            clears=self.clears,
            started=self.started,
            ended=ended,
            observed_seconds=round(max(0.0, ended - self.started - stood), 6),
            connected=end.connected,
            accepting=end.accepting,
            beats=tuple(self.beats),
            connections=tuple(self.connections),
            drops=drops,
            silences=tuple(self.silences),
            phases=dict(self.facts.phases),
            addresses=self.addresses,
            address=self.address,
            cert_not_after=self.cert_not_after,
            server_began=self.server_began or (),
            cf_ray=self.facts.cf_ray,
            colo=self.facts.colo,
            evidence=(*([self.note] if self.note else ()), *self.facts.evidence),
            planned=planned,
            labels=labels_of(self.leg),
            gate=dict(self.gate),
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
        # What was held to the end of the hold is told by that; the later one holds nothing.
        connected=(
            first.connected if first.connections or second.connected is None else second.connected
        ),
        accepting=first.accepting if second.accepting is None else second.accepting,
        beats=(
            *first.beats,
            *(msgspec.structs.replace(one, conn=one.conn + offset) for one in second.beats),
        ),
        connections=(
            *first.connections,
            *(msgspec.structs.replace(one, conn=one.conn + offset) for one in second.connections),
        ),
        drops=(*first.drops, *second.drops),
        silences=first.silences,
        phases=first.phases or second.phases,
        addresses=first.addresses or second.addresses,
        baseline=first.baseline,
        gate={
            name: first.gate.get(name, True) and second.gate.get(name, True)
            for name in {**first.gate, **second.gate}
        },
        views=first.views,
    )


def _told(error: ProbeError) -> bool:
    """Whether somebody answered, if only by a refusal or an end."""
    return error.reason in ANSWERS or error.answered


def _silent(error: ProbeError) -> bool:
    """Whether a deadline ended it, or nothing came back, not even what we did not ask for: only
    then may our own lateness be all there is to it. An answer that began may end late by us."""
    return not _told(error) and (not error.heard or error.reason in DEADLINES)
