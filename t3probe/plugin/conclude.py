"""The end of a run: its verdict, the delivery, its record, the exit code, and the words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from t3probe.deliver.delivery import Shipping
from t3probe.observation import RunRecord
from t3probe.plugin.interrupt import Interrupts
from t3probe.plugin.junit import JUnitFile
from t3probe.plugin.output import RecordLog
from t3probe.record.results import Results
from t3probe.run.session import Session

__all__ = ["EXIT_INTERRUPTED", "RunEnd"]

EXIT_INTERRUPTED = int(pytest.ExitCode.INTERRUPTED)


class RunEnd:
    """What is made of the observations of one run."""

    def __init__(
        self,
        probing: Session,
        shipping: Shipping,
        results: Results,
        log: RecordLog,
        *,
        gate: tuple[str, ...],
        scheduled: bool,
    ) -> None:
        self._probing = probing
        self._shipping = shipping
        self._results = results
        self._log = log
        self._gate = gate
        self._scheduled = scheduled
        self._judged: Any = None
        self._record: RunRecord | None = None
        self._untold = ""
        """Why the gate is closed where nothing was probed."""

    @property
    def reached(self) -> bool:
        """Whether there is a verdict."""
        return self._judged is not None

    def settle(self, junit: JUnitFile, interrupts: Interrupts, exitstatus: int) -> int:
        """Judge and deliver, and put the run's own property into the JUnit file. Gives the exit
        code for one of pytest's."""
        from t3probe.record.facts import run_property

        record = self._probing.record()
        self._judge(record)  # a pod that is killed while it delivers has left its record
        self._shipping.end(record, self._probing.recorded(), self._judged)
        interrupts.settled()
        if self._probing.interrupted and not record.interrupted:
            # All is as it was delivered, but told to end before that was over.
            record = msgspec.structs.replace(record, interrupted=True, complete=False)
            self._judge(record)  # a reader takes the last one of a run
            self._shipping.correct(record, self._probing.recorded(), self._judged)
        self._record = record
        junit.add(*run_property(record))
        if record.trace_id:
            junit.add("t3probe.trace_id", record.trace_id)
        return self._exit_code(exitstatus)

    def without(self, exitstatus: int, *, ran: bool) -> int:
        """The exit code of a session in which nothing was probed, for one of pytest's; `ran`: tests
        did. What was asked for is not there, and a gate that nobody looked at does not open."""
        if self._gate and exitstatus in {0, 1}:
            self._untold = "closed: there is no verdict, since no check of a leg was run"
            return int(pytest.ExitCode.NO_TESTS_COLLECTED)
        if self._scheduled and ran and exitstatus == 0:
            return 1
        return exitstatus

    def _judge(self, record: RunRecord) -> None:
        from t3probe.verdict.incident.run import judge_run

        seen = self._probing.recorded()
        self._judged = judge_run(record, seen)
        self._results.write_verdict(self._judged.to_dict())
        self._log.put(record, seen)

    def _exit_code(self, code: int) -> int:
        if self._probing.interrupted and code in {0, 1}:
            code = EXIT_INTERRUPTED
        if self._gate and code in {0, 1}:
            from t3probe.verdict import gate

            code = int(bool(gate.blocked(self._judged.verdict, self._gate)))
        if self._scheduled and code in {0, 1, 2}:
            code = int(not self._shipping.delivered)
        return code

    def tell(self, write: Callable[..., None], xmlpath: str) -> None:
        """Write the summary, a line at a time."""
        if self._record is None:
            if self._results.problems:
                write("\n".join(self._results.lines(xmlpath)))
            if self._untold:
                write(f"t3probe: gate {self._untold}", red=True)
            return
        from t3probe.show.summary import render, row

        for style, line in render(self._record, self._probing.recorded(), self._judged):
            write(line, **dict.fromkeys(style.split(), True))
        if self._gate:
            from t3probe.verdict import gate

            said = gate.sentences(
                self._judged.verdict, self._gate, self._judged.gloss,
                interrupted=self._record.interrupted,
            )  # fmt: skip
            for sentence in said:
                opened = sentence.startswith("open")
                for line in row("gate", sentence):
                    write(line, red=not opened, green=opened)
        for sentence in self._shipping.sentences:
            for line in row("delivery", sentence, whole=True):
                write(line)
        # A path is never broken: it is there to be copied.
        files = self._results.lines(xmlpath)
        write("\n" + ("  " if sum(map(len, files)) + 2 <= 80 else "\n").join(files))
