"""The Pushgateway: read the group back, continue its counts, write it whole once.

One group per job and vantage (and shard); the gauges of upstreams have a group of their own
beside it, with the same labels and `part="upstreams"`. The gateway is a cache and not an adder,
so a run continues what stands there; `t3probe.deliver.metrics.carry` has the rules.

What a count goes through: it is written into the spool folder before anything is sent, added
to what the group holds, and sent; when the gateway took it, the folder's file is deleted, and
the mark inside the group says that it is in. Without a spool folder the results folder keeps
only how many drops would be lost, in the same way, and the next push that finds it there
publishes the number in `t3probe_counts_lost_total`. A pod whose results live in memory takes
that number with it: then nobody knows but its log.

A count whose series Prometheus cannot have seen before would be invisible to `increase()`.
Zeros at the run's start prevent that; where they could not be written, counts of new series
wait in the spool for one run, and without a spool are counted as lost.

Protocol: https://github.com/prometheus/pushgateway#api (PUT replaces a group, POST replaces
families in it; both check types against all other groups and answer 400 on a conflict).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress

from t3probe.deliver.metrics import carry as going
from t3probe.deliver.metrics.carry import LOST, OVERLAPPED, Group
from t3probe.deliver.sinks import Batch as Delivery
from t3probe.deliver.sinks import Deliver, Receipt
from t3probe.deliver.sinks import spool as spooling
from t3probe.deliver.sinks.gateway import Gateway, Wire, older, overlapped, split
from t3probe.deliver.sinks.spool import Spool, SpoolError
from t3probe.exchange.client import Budget, Trouble
from t3probe.timing import Clock, SystemClock

__all__ = ["Gateway", "Pushgateway", "sink"]


def sink(gateway: Gateway, memory: Spool | None, clock: Clock | None = None) -> Deliver:
    """The sink for one gateway. Call it with `opening` at the run's start, then at its end."""
    return Pushgateway(gateway, memory, clock)


class Pushgateway:
    """One run's dealings with the gateway."""

    def __init__(self, gateway: Gateway, memory: Spool | None, clock: Clock | None = None) -> None:
        self.gateway = gateway
        self.memory = memory
        self.clock: Clock = clock or SystemClock()
        self.wire = Wire(gateway)
        self.zeros: Group = {}
        self.known: Group | None = None
        """What the group held when the run began, zeros included; None when that is not known."""

    def __call__(self, batch: Delivery) -> Receipt:
        """Zeros where series are missing, or the run's counts. Never raises for a gateway."""
        own = batch.families
        if batch.correction:
            return self.correct(own, batch.seconds)
        return self.start(own, batch.seconds) if batch.opening else self.end(own, batch.seconds)

    def _budget(self, own: float, given: float | None) -> Budget:
        return Budget(self.clock, own if given is None else min(own, given))

    # -- start ---------------------------------------------------------------------------

    def start(self, zeros: Group, seconds: float | None = None) -> Receipt:
        """Read the group; if series are missing write them at 0 and keep the others."""
        budget = self._budget(self.gateway.start_seconds, seconds)
        self.zeros = zeros
        try:
            there = self.known = self.wire.read(budget)[0]
            new = going.missing(zeros, there)
            if new:
                # POST replaces whole families and leaves all others alone.
                whole = {name: going.filled({}, zeros)[name] for name in new}
                held = {name: there[name] for name in new if name in there}
                self.wire.write("POST", self.gateway.key, going.filled(held, whole), budget)
            self.known = going.filled(there, zeros)
        except Trouble as trouble:
            return Receipt(False, f"{self._subject} {trouble.what}; no zeros were written")
        series = sum(len(one.series) for one in new.values())
        done = f"wrote {series} missing series at 0" if series else "every series is there"
        return Receipt(True, f"{self._subject}: {done}", self.known)

    # -- end -----------------------------------------------------------------------------

    def correct(self, gauges: Group, seconds: float | None = None) -> Receipt:
        """Replace gauges of a group that was written: POST leaves all others alone."""
        budget = self._budget(self.gateway.end_seconds, seconds)
        try:
            self.wire.write("POST", self.gateway.key, gauges, budget)
        except Trouble as trouble:
            what = f"{', '.join(gauges)} there was not corrected"
            return Receipt(False, f"{self._subject} {trouble.what}; {what}")
        return Receipt(True, f"{self._subject}: corrected {', '.join(gauges)}")

    def end(self, own: Group, seconds: float | None = None) -> Receipt:
        """Continue the group by what this run counted, and write it."""
        budget = self._budget(self.gateway.end_seconds, seconds)
        own = going.filled(own, self.zeros)
        notes: list[str] = []
        with ExitStack() as stack:
            memory = self._usable(stack, budget, notes)
            mine = None
            if memory is not None:
                try:
                    mine = memory.add(own)
                except SpoolError as error:
                    notes.append(f"the folder {memory.folder} {error}")
                    memory = None
            try:
                return self._push(own, memory, mine, budget, notes)
            except Trouble as trouble:
                fate = self._fate(going.drops(own), memory)
                notes += [] if memory is None else memory.problems
                return Receipt(False, "; ".join([f"{self._subject} {trouble.what}", fate, *notes]))

    def _push(
        self,
        own: Group,
        memory: Spool | None,
        mine: spooling.WaitingCounts | None,
        budget: Budget,
        notes: list[str],
    ) -> Receipt:
        there, beside = self.wire.read(budget)
        base, extra = self._base(there, notes)
        main, upstreams = split(own)
        main = going.filled(main, {**going.counter(LOST, 0.0), **going.counter(OVERLAPPED, 0.0)})
        batches = [] if memory is None else memory.waiting()
        marks = spooling.read_marks(base)
        pending = self._pending(main, batches, mine, marks, memory, notes)
        unborn = going.missing(pending, base)
        if unborn and memory is not None and memory.keep:
            notes.append("new series begin at 0, so all counts of this run "
                         f"wait in {memory.folder} for the next push")  # fmt: skip
            pending, batches = {}, []
        elif unborn:
            pending = self._without(unborn, pending, base, memory, notes)
        marks = spooling.marked(marks, batches)
        whole = going.continued(base, main, going.added(pending, extra))
        whole.update(spooling.mark_group(marks))
        self._deliver(whole, memory, batches, budget, notes)
        if upstreams or beside:
            try:
                self.wire.write("PUT", self.gateway.upstream_key, upstreams, budget)
            except Trouble as trouble:
                words = f"{self._subject} {trouble.what}; the counts of this run are in it, the "
                return Receipt(False, "; ".join([f"{words}upstreams are not", *notes]))
        count = sum(len(one.series) for group in (whole, upstreams) for one in group.values())
        return Receipt(True, "; ".join([f"{self._subject}: wrote {count} series", *notes]))

    def _deliver(
        self,
        whole: Group,
        memory: Spool | None,
        batches: Sequence[spooling.WaitingCounts],
        budget: Budget,
        notes: list[str],
    ) -> None:
        """Write the group, and delete the files it contains."""
        if memory is None:
            self.wire.write("PUT", self.gateway.key, whole, budget)
            return
        before: int | None = None
        try:
            before = memory.sending(batches)
        except SpoolError as error:
            notes.append(f"the folder {memory.folder} {error}")
        self.wire.in_doubt = False
        try:
            self.wire.write("PUT", self.gateway.key, whole, budget)
        except Trouble:
            if before is not None and not self.wire.in_doubt:
                with suppress(SpoolError):
                    memory.not_sent(before)
            raise
        memory.remove(batches)
        notes += memory.problems

    def _base(self, there: Group, notes: list[str]) -> tuple[Group, Group]:
        """What to continue from, and what the delivery itself has to count."""
        known = self.known
        if known is None:
            return there, {}
        if not there:
            if known:
                notes.append("it lost its state during the run; the counts go on as before it")
            return known, {}
        if overlapped(known, there):
            notes.append(
                "another run wrote this group meanwhile; the counts go on from that one, and "
                "one job and vantage should have one writer"
            )
            return there, going.counter(OVERLAPPED, 1.0)
        if older(known, there):
            notes.append("it went back to an older state during the run; the counts go on from it")
            return there, {}
        return going.filled(there, {n: f for n, f in known.items() if f.kind != "gauge"}), {}

    def _pending(
        self,
        main: Group,
        batches: Sequence[spooling.WaitingCounts],
        mine: spooling.WaitingCounts | None,
        marks: spooling.Marks,
        memory: Spool | None,
        notes: list[str],
    ) -> Group:
        """All counts that a group with these marks does not have yet, for series of `main`.

        The file of this run may hold only what would be lost of it; what is sent is the counts.
        Drops of legs that have left the deployment have no series any more: they are lost. So
        are those of which nobody knows whether they were counted.
        """
        parts = []
        for one in batches:
            if one.number <= marks.get(one.folder, 0) or (mine and one.path == mine.path):
                continue
            if memory is not None and memory.doubtful(one, marks):
                lost = going.drops(one.counts) + going.total(one.counts, LOST)
                parts.append(going.counter(LOST, float(lost)))
                if lost:
                    notes.append(
                        f"{lost} drops that it may have had before it lost its state are "
                        "counted as lost"
                    )
            else:
                parts.append(one.counts)
        pending = going.added(*parts, going.counts(main))
        gone = going.missing(pending, main)
        return going.counts(
            going.added(
                going.excluding(pending, gone), going.counter(LOST, float(going.drops(gone)))
            )
        )

    def _without(
        self,
        unborn: Group,
        pending: Group,
        base: Group,
        memory: Spool | None,
        notes: list[str],
    ) -> Group:
        """Without a spool, counts that would be born unseen are published as lost."""
        lost = going.drops(unborn)
        if lost:
            notes.append(f"{lost} drops of new series are counted as lost")
        if not going.missing(going.counter(LOST, 0.0), base):
            return going.added(going.excluding(pending, unborn), going.counter(LOST, float(lost)))
        # The count of losses is itself new: it waits for the next push.
        lost += going.total(unborn, LOST)
        if lost and memory is not None:
            try:
                memory.add(going.counter(LOST, float(lost)))
            except SpoolError as error:
                notes.append(f"the folder {memory.folder} {error}")
        return going.excluding(pending, unborn)

    # -- words ---------------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        return f"the gateway at {self.wire.site.name}"

    def _fate(self, drops: int, memory: Spool | None) -> str:
        what = f"the {drops} drops of this run are" if drops != 1 else "the 1 drop of this run is"
        if memory is not None and memory.keep:
            kept = "its counts" if drops == 0 else f"its counts, {drops} drops among them,"
            return f"{kept} wait in {memory.folder} for the next push"
        if drops == 0:
            return "this run saw no drop, its other counts are lost"
        if memory is not None:
            return f"{what} lost, and the next push that finds {memory.folder} says so"
        return f"{what} lost"

    def _usable(self, stack: ExitStack, budget: Budget, notes: list[str]) -> Spool | None:
        if self.memory is None:
            return None
        try:
            stack.enter_context(self.memory.locked(budget))
        except SpoolError as error:
            notes.append(f"the folder {self.memory.folder} {error}, so no counts can be kept")
            return None
        return self.memory
