"""Remote write 1.0 (Prometheus): whole runs to receivers that nobody need read back.

A run writes each counter as 0 at its start and as what it counted at its end, in one request at its
end (`t3probe.deliver.metrics.remote`). What is not taken waits in the spool folder and goes first
the next time, each run in a request of its own: one bad sample makes Prometheus throw a request
away, and what is older than the newest sample of its series is refused.

A request that will never be taken (`receiver` says which) is put aside, and its drops are counted
as lost. Any other trouble ends the sending of this run: one more try is made, and the next run is
the one after that.

Two things would spoil what is there, and are not sent but kept: a run that began before the last
one that was taken had ended (this machine's clock went back, or two runs ran at once), and one that
ended in the receiver's future (its Date says so), after which every right sample would be out of
order. The receiver is asked for its time, by a request without series, only when nothing says that
our clock goes on as before: from the last run that was taken over each one that waits to this one.
Until it said so nothing that waits is too old.

https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from t3probe.deliver.metrics import carry as going
from t3probe.deliver.metrics.carry import LOST, RUN_TIMESTAMP, Family, Group
from t3probe.deliver.metrics.remote import Written, written
from t3probe.deliver.sinks import Batch, Deliver, Receipt
from t3probe.deliver.sinks.aside import Aside
from t3probe.deliver.sinks.backlog import STATE, Backlog, Waiting, whose
from t3probe.deliver.sinks.receiver import FOLDER, NeverTakenError, RemoteReceiver, Sender
from t3probe.deliver.sinks.spool import BusyError, SpoolError
from t3probe.deliver.sinks.usual import Usual
from t3probe.exchange.client import Budget, Trouble
from t3probe.text.words import count, span, utc
from t3probe.timing import Clock, SystemClock

END_SECONDS = 3.6
READ_SECONDS = 0.5
LATE_SECONDS = 0.3
"""What a thread's deadline is before the delivery's own, so that it can say what it met."""
DOUBT_MS = 600_000
"""After so long without a run nothing says that our clock was not set meanwhile."""
FUTURE_MS = 120_000
"""So far ahead of the receiver our clock may be."""
DURATION = "t3probe_run_duration_seconds"
THREAD = "t3probe remote write"


class RemoteWrites:
    """One run's dealings with all receivers, which are written at once."""

    def __init__(
        self, receivers: list[RemoteReceiver], labels: Mapping[str, str], clock: Clock | None = None
    ) -> None:
        """`labels`: job, vantage and shard. Raises ValueError, one sentence, for a URL that cannot
        be one."""
        self.labels = {name: value for name, value in labels.items() if value}
        self.clock: Clock = clock or SystemClock()
        self._receivers = receivers
        for one in receivers:
            Sender(one)

    def sink(self, folder: Path, *, keep: bool, gauges: Group, tells: bool) -> Deliver:
        """The sink of one run. `folder`: where runs wait; with `keep` false only the number of lost
        drops is kept there. `gauges`: those that get a stale marker where the run has none.
        `tells`: what was usual comes from here."""
        writers = [
            _Writer(one, folder / one.folder, keep=keep, clock=self.clock)
            for one in self._receivers
        ]
        usual = Usual(folder / f"{FOLDER}-usual-{whose(self.labels)}.json")
        return _Run(writers, self.labels, usual, gauges, tells=tells, clock=self.clock).deliver


class _Run:
    """The sink: what the receivers have in common."""

    def __init__(
        self,
        writers: list[_Writer],
        labels: Mapping[str, str],
        usual: Usual,
        gauges: Group,
        *,
        tells: bool,
        clock: Clock,
    ) -> None:
        self._writers, self._labels, self._usual, self._gauges = writers, labels, usual, gauges
        self._tells, self._clock = tells, clock
        self._zeros: Group = {}
        self._reading: Aside[Group | None] | None = None
        self._ended_ms = 0

    def deliver(self, batch: Batch) -> Receipt:
        """What is usual, or the run. Never raises for what a receiver or a disk may do."""
        seconds = END_SECONDS if batch.seconds is None else min(END_SECONDS, batch.seconds)
        if batch.opening:
            self._zeros = batch.families
            known = self._known(min(READ_SECONDS, seconds))
            return Receipt(True, "", known if self._tells else None)
        budget = Budget(self._clock, seconds)
        if batch.correction:
            return self._at_once("correct", self._made(batch.families, self._ended_ms, 1), budget)
        own = going.filled(batch.families, self._zeros)
        left, problem = self._go_on(own, budget)
        began_ms, self._ended_ms = span_ms(own, self._clock)
        made = self._made(own, began_ms, self._ended_ms - began_ms, self._gauges)
        report = self._at_once("end", made, budget)
        if left is not None:
            with suppress(Exception):
                problem = left.result(min(READ_SECONDS, budget.left_seconds)) or ""
        return report._replace(sentence=f"{report.sentence}; {problem}") if problem else report

    def _known(self, seconds: float) -> Group | None:
        """What earlier runs left, once it was read."""
        if self._reading is None:
            self._reading = Aside(THREAD, self._usual.read)
        with suppress(Exception):
            return self._reading.result(seconds)
        return None

    def _go_on(self, own: Group, budget: Budget) -> tuple[Aside[str] | None, str]:
        """Continue what is usual with this run, and leave it to the next one. Where the file was
        not read it stays as it is: what earlier runs knew is more than what one does."""
        self._known(min(READ_SECONDS, budget.left_seconds) / 2)
        if self._reading is None or not self._reading.over:
            return None, f"{self._usual.file} could not be read in time, and was left as it is"
        kept = self._usual.kept(self._known(0.0), own)
        for name in going.CARRIED:
            if name in kept:
                own[name] = kept[name]
        return Aside(THREAD, partial(self._usual.write, kept)), ""

    def _made(
        self, own: Group, began_ms: int, lasted_ms: int, gauges: Group | None = None
    ) -> _Made:
        return _Made(own, self._labels, began_ms, began_ms + lasted_ms, gauges or {})

    def _at_once(self, what: str, made: _Made, budget: Budget) -> Receipt:
        late = min(LATE_SECONDS, budget.left_seconds / 5)
        part = budget.part(budget.left_seconds - late)
        work = [
            (one, Aside(THREAD, partial(getattr(one, what), made, part))) for one in self._writers
        ]
        reports = [one.receipt(thread, budget.left_seconds) for one, thread in work]
        # What went wrong first, as everywhere.
        reports.sort(key=lambda one: one.ok)
        return Receipt(all(one.ok for one in reports), "; ".join(one.sentence for one in reports))


class _Made:
    """What a run says, as a request."""

    def __init__(
        self, own: Group, labels: Mapping[str, str], began_ms: int, ended_ms: int, gauges: Group
    ) -> None:
        self._labels, self._gauges = labels, gauges
        self.own, self.began_ms, self.ended_ms = own, began_ms, ended_ms
        self.request = written(own, labels, began_ms, ended_ms, gauges)

    def waiting(self) -> Waiting:
        """As a backlog knows it."""
        drops = going.drops(self.own) + going.total(self.own, LOST)
        return Waiting(self.began_ms, self.ended_ms, whose(self._labels), drops)

    def telling(self, drops: int) -> _Made:
        """The same, which also says that so many drops were lost."""
        lost = going.added(going.counter(LOST, float(drops)), {LOST: self.own[LOST]})
        own = {**self.own, **lost}
        return _Made(own, self._labels, self.began_ms, self.ended_ms, self._gauges)


class _Writer:
    """One run's dealings with one receiver."""

    def __init__(
        self,
        receiver: RemoteReceiver,
        folder: Path,
        *,
        keep: bool,
        clock: Clock,
    ) -> None:
        self._receiver = receiver
        self._keep, self._clock = keep, clock
        self._sender = Sender(receiver)
        self._backlog = Backlog(folder)
        self._notes: list[str] = []
        self._settled: set[str] = set()
        """Those that were taken, or are counted as lost."""

    @property
    def late(self) -> Receipt:
        """When nobody knows yet how it went."""
        folder = self._backlog.folder
        words = f"{self._sender.subject} or the folder {folder} took too long"
        return Receipt(False, f"{words}; what is written there goes with the next run")

    def receipt(self, work: Aside[Receipt], seconds: float) -> Receipt:
        """What came of it within so many seconds. Never raises."""
        try:
            return work.result(seconds) or self.late
        except Exception as error:
            words = f"{self._sender.subject}: writing to it broke: {type(error).__name__}"
            return Receipt(False, words)

    def correct(self, made: _Made, budget: Budget) -> Receipt:
        """The gauges anew, a millisecond after the run's end: at once, or not at all."""
        subject, what = self._sender.subject, ", ".join(made.own)
        try:
            self._sender.send(made.request.body, budget)
        except (Trouble, NeverTakenError) as error:
            return Receipt(False, f"{subject} {error}; {what} there was not corrected")
        finally:
            self._sender.close()
        return Receipt(True, f"{subject}: corrected {what}")

    def end(self, made: _Made, budget: Budget) -> Receipt:
        """Send what waits, and then this run."""
        try:
            with self._backlog.locked(budget):
                report = self._with_backlog(made, budget)
        except BusyError as error:
            report = self._put_only(made, str(error))
        except SpoolError as error:
            self._note(f"the folder {self._backlog.folder} {error}, so nothing can be kept")
            report = self._alone(made, budget)
        finally:
            self._sender.close()
        if not self._keep:
            self._note("nothing is kept over an outage: no spool folder is named")
        notes = [*self._notes, *self._backlog.problems]
        return report._replace(sentence="; ".join([report.sentence, *notes]))

    # -- without the folder ----------------------------------------------------------------

    def _put_only(self, made: _Made, why: str) -> Receipt:
        """Another run sends: it, or the next one, takes this one along."""
        folder, fresh = self._backlog.folder, made.waiting()
        try:
            self._backlog.put(fresh, made.request.body)
        except SpoolError as error:
            return Receipt(False, f"the folder {folder} {why} and {error}; {self._lost(fresh)}")
        return Receipt(False, f"the folder {folder} {why}; this run waits in it")

    def _alone(self, made: _Made, budget: Budget) -> Receipt:
        try:
            self._sender.send(made.request.body, budget)
        except (Trouble, NeverTakenError) as error:
            return Receipt(False, f"{self._sender.subject} {error}; {self._lost(made.waiting())}")
        return Receipt(True, f"{self._sender.subject}: wrote {made.request.series} series")

    # -- with it ---------------------------------------------------------------------------

    def _with_backlog(self, made: _Made, budget: Budget) -> Receipt:
        backlog = self._backlog
        waiting = backlog.opened()
        who = made.waiting().whose
        leapt = self._leapt(made.waiting(), waiting)
        doubt = leapt or not backlog.sent_ms(who)
        if not leapt:
            waiting = self._without_old(waiting, self._now_ms(), who)
        room = self._receiver.max_bytes - len(made.request.body)
        gone = backlog.over(waiting, room)
        if not leapt:
            backlog.pass_over(who, gone)
        waiting = self._without(gone, waiting, "for want of room")
        made = self._put(made)
        return self._sent([*waiting, made.waiting()], made.request, budget, doubt)

    def _put(self, made: _Made) -> _Made:
        """Write this run's file; what it is sent as. It tells of what was lost only where that is
        noted: else each run would tell of it again."""
        backlog = self._backlog
        if backlog.untold:
            telling = made.telling(backlog.untold)
            with suppress(SpoolError):
                backlog.tell(telling.waiting(), telling.request.body)
                return telling
        try:
            backlog.put(made.waiting(), made.request.body)
        except SpoolError as error:
            self._note(f"the folder {backlog.folder} {error}, so this run cannot be kept")
        return made

    def _sent(self, waits: list[Waiting], request: Written, budget: Budget, doubt: bool) -> Receipt:
        """Send what waits, this run last."""
        backlog, fresh = self._backlog, waits[-1]
        sent, behind, future = 0, 0, 0
        trying = ""
        try:
            if doubt:
                self._sender.ask_time(budget, self._clock)
                waits = [*self._without_old(waits[:-1], self._now_ms()), fresh]
            for one in waits:
                if one.began_ms <= backlog.sent_ms(one.whose):
                    if one.ended_ms == backlog.sent_ms(one.whose):
                        backlog.taken(one)  # of which only the file was left
                    else:
                        behind += 1
                    backlog.settled(one)
                    continue
                if one.ended_ms > self._now_ms() + FUTURE_MS:
                    future += 1
                    continue
                try:
                    body = self._body(one, fresh, request)
                except OSError as error:
                    self._note(f"{backlog.folder / one.name} cannot be read ({error.strerror})")
                    backlog.settled(one)
                    continue
                trying = one.name
                backlog.begin(one)
                try:
                    self._sender.send(body, budget, unsure=one.name == backlog.unsure)
                except NeverTakenError as error:
                    self._refused(one, fresh, str(error))
                else:
                    backlog.taken(one)
                    self._settled.add(one.name)
                    sent += 1
                backlog.settled(one)
        except Trouble as trouble:
            if trouble.sent and trying:
                backlog.unsure = trying
            report = Receipt(False, f"{self._sender.subject} {trouble}; {self._left(fresh)}")
        else:
            report = self._over(fresh, request, sent, behind, future)
        backlog.close()
        return report

    def _leapt(self, fresh: Waiting, waiting: list[Waiting]) -> bool:
        """Whether our clock went back, or far ahead, since the last run that was taken: as each run
        says that waits, or went, since then."""
        newest = self._backlog.passed_ms(fresh.whose)
        since = [one for one in waiting if one.whose == fresh.whose and one.began_ms > newest]
        for one in sorted([*since, fresh]):
            if newest and not newest <= one.began_ms <= newest + DOUBT_MS:
                return True
            newest = max(newest, one.ended_ms)
        return False

    def _now_ms(self) -> int:
        """By the receiver's clock, where it told its time; else by ours."""
        return round(self._clock.wall() * 1000) + (self._sender.theirs_ahead_ms or 0)

    def _without_old(self, waiting: list[Waiting], now_ms: int, who: str = "") -> list[Waiting]:
        oldest = now_ms - round(self._receiver.max_age_seconds * 1000)
        unsure = self._backlog.unsure
        gone = [one for one in waiting if one.began_ms < oldest and one.name != unsure]
        self._backlog.pass_over(who, gone)
        return self._without(gone, waiting, f"older than {span(self._receiver.max_age_seconds)}")

    def _without(self, gone: list[Waiting], waiting: list[Waiting], why: str) -> list[Waiting]:
        if not gone:
            return waiting
        try:
            self._backlog.lose(gone)
        except SpoolError as error:
            self._note(f"the folder {self._backlog.folder} {error}, so nothing in it can be lost")
            return waiting
        self._note(
            f"{count(len(gone), 'run')} that waited went, {why}; {_drops(gone)} counted as lost"
        )
        return [one for one in waiting if one not in gone]

    def _refused(self, run: Waiting, fresh: Waiting, why: str) -> None:
        """Never again. Said once: here."""
        which = (
            "this run" if run is fresh else f"a run that waited since {utc(run.ended_ms / 1000)}"
        )
        try:
            self._backlog.lose([run], aside=True)
        except SpoolError as error:
            self._note(f"it {why}: {which}; the folder {self._backlog.folder} {error}")
        else:
            self._settled.add(run.name)
            self._note(f"it {why}: {which}, which was put aside; {_drops([run])} counted as lost")

    def _over(
        self, fresh: Waiting, request: Written, sent: int, behind: int, future: int
    ) -> Receipt:
        """Everything that could be sent was."""
        subject = self._sender.subject
        backlog = self._backlog
        if behind:
            self._note(
                f"{count(behind, 'run')} began before the last run that it took had ended, so this "
                "machine's clock went back, or two runs ran at once: not sent but kept for "
                f"{span(self._receiver.max_age_seconds)}; if that last run's time was wrong, "
                f"delete {backlog.folder / STATE}"
            )
        if future:
            self._note(
                f"{count(future, 'run')} ended in its future, so this machine's clock is, or was, "
                "ahead: not sent but kept; set the clock"
            )
        # What waits may have to go, whatever became of this run.
        left = self._left(fresh) if behind or future else ""
        if backlog.sent_ms(fresh.whose) != fresh.ended_ms:
            if left and fresh.name not in self._settled:
                return Receipt(False, f"{subject}: this run was not sent; {left}")
            return Receipt(False, f"{subject}: wrote nothing of this run")
        more = f" and {count(sent - 1, 'run')} that waited" if sent > 1 else ""
        return Receipt(True, f"{subject}: wrote {request.series} series{more}")

    def _left(self, fresh: Waiting) -> str:
        """What becomes of what is still there, and of this run where it is neither there nor
        settled."""
        left, unsure = self._backlog.waiting(), self._backlog.unsure
        kept = fresh.name in {one.name for one in left}
        # One that it may have is sent once more, or was never kept: it is not counted as lost.
        gone = [] if self._keep else [one for one in left if one.name != unsure]
        if not kept and fresh.name not in {unsure, *self._settled}:
            gone.append(fresh)
        try:
            self._backlog.lose(gone)
        except SpoolError:
            return self._lost(fresh)
        if fresh.name == unsure and not kept:
            return "whether it has this run is not known, and it could not be kept"
        if kept and self._keep:
            others = f" and {count(len(left) - 1, 'run')} before it" if len(left) > 1 else ""
            verb = "wait" if len(left) > 1 else "waits"
            return f"this run{others} {verb} in {self._backlog.folder}"
        if fresh.name == unsure:
            return "whether it has this run is not known, and the next run asks again"
        if not fresh.drops:
            return "this run saw no drop, its other counts are lost"
        next_run = f"the next run that finds {self._backlog.folder} says so"
        return f"{_drops([fresh])} counted as lost, and {next_run}"

    def _lost(self, fresh: Waiting) -> str:
        return f"this run is lost, and its {count(fresh.drops, 'drop')} with it"

    def _body(self, run: Waiting, fresh: Waiting, request: Written) -> bytes:
        return request.body if run is fresh else self._backlog.body(run)

    def _note(self, sentence: str) -> None:
        self._notes.append(sentence)


def span_ms(own: Group, clock: Clock) -> tuple[int, int]:
    """When a run began and ended, in Unix milliseconds; without a stamp of its own it ends now."""
    stamp = _number(own, RUN_TIMESTAMP)
    ended = round((stamp or clock.wall()) * 1000)
    lasted = round(_number(own, DURATION) * 1000) if stamp else 0
    return ended - max(1, lasted), ended


def _number(own: Group, name: str) -> float:
    values = own.get(name, Family("gauge")).series.values()
    return max((one for one in values if isinstance(one, float)), default=0.0)


def _drops(runs: list[Waiting]) -> str:
    number = sum(one.drops for one in runs)
    return f"{count(number, 'drop')} {'is' if number == 1 else 'are'}"
