"""Mail and webhooks of the held mode, by a thread of its own: nothing here holds up a beat.

The thread takes what was judged, decides, and sends. A look that does not fit into its queue, as
while a server is slow, is left out: what is not looked at neither begins nor ends anything.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from t3probe.deliver.notices import Notice
from t3probe.deliver.notices.messenger import Messenger
from t3probe.deliver.sinks.spool import SpoolError
from t3probe.exchange.bounds import NOTICE_SECONDS
from t3probe.exchange.client import Budget
from t3probe.observation import Observation, RunRecord
from t3probe.timing import Clock
from t3probe.verdict.incident.run import RunVerdict
from t3probe.watch.log import Log

MOST_WAITING = 8
"""Looks that wait for the thread."""
MOST_TOLD = 256
"""Messages decided elsewhere that wait for it: none of them is made again."""
TURN_SECONDS = 1.0
"""Without a look, what waits is tried so often, if it is its time."""
END_SECONDS = 2.0
"""How long the end waits for the thread."""


class _Judged(NamedTuple):
    record: RunRecord
    seen: Sequence[Observation]
    judged: RunVerdict
    at: float


class Words:
    """The thread. `look` never waits."""

    def __init__(self, messenger: Messenger | None, log: Log, clock: Clock) -> None:
        self._messenger, self._log, self._clock = messenger, log, clock
        self._used: Messenger | None = None
        """The messenger of the newest turn."""
        self._looks: queue.Queue[_Judged | None] = queue.Queue(MOST_WAITING)
        self._told: deque[Notice] = deque()
        self._said = ""
        self._thread = threading.Thread(target=self._work, name="t3probe-notices", daemon=True)
        self._thread.start()

    def look(self, record: RunRecord, seen: Sequence[Observation], judged: RunVerdict) -> None:
        """Hand over what was judged now."""
        try:
            self._looks.put_nowait(_Judged(record, seen, judged, self._clock.wall()))
        except queue.Full:
            pass

    def tell(self, subject: str, text: str) -> None:
        """Hand over something that was decided elsewhere. It waits for nothing but room."""
        if len(self._told) < MOST_TOLD:
            self._told.append(Notice(uuid.uuid4().hex, self._clock.wall(), subject, text))
        else:
            self._say("a message is lost: too many wait for the thread that sends them")

    def change(self, messenger: Messenger | None) -> None:
        """The file was read anew. What was told and what waits is known to the new messenger."""
        self._messenger = messenger

    def end(self) -> None:
        """Wait for a while until what came is written down."""
        try:
            self._looks.put(None, timeout=END_SECONDS)
        except queue.Full:
            return
        self._thread.join(END_SECONDS)

    def _work(self) -> None:
        while True:
            try:
                one = self._looks.get(timeout=TURN_SECONDS)
            except queue.Empty:
                self._turn(None)
                continue
            if one is None:
                if self._told:
                    self._turn(None, sends=False)  # to be written down
                return
            self._turn(one)

    def _turn(self, one: _Judged | None, *, sends: bool = True) -> None:
        messenger, before = self._messenger, self._used
        if messenger is None:
            self._told.clear()  # nobody is named any more
            return
        if before is not None and before is not messenger:
            messenger.go_on_from(before)
        self._used = messenger
        budget = Budget(self._clock, 2 * NOTICE_SECONDS)
        try:
            with messenger.open(budget):
                while self._told:
                    messenger.hand_over(self._told[0])
                    self._told.popleft()
                if one is not None:
                    messenger.look(*one)
                receipts = messenger.send(budget) if sends else []
        except SpoolError as error:
            self._say(f"the folder of messages {error}; nobody is told meanwhile")
        except Exception as error:  # the thread lives on: the next look may be a better one
            self._say(f"telling people broke: {type(error).__name__}")
        else:
            self._said = ""
            for receipt in receipts:
                self._log.say("notice", ok=receipt.ok, text=receipt.sentence)

    def _say(self, text: str) -> None:
        """Once, until it is well again."""
        if text != self._said:
            self._said = text
            self._log.say("notice", ok=False, text=text)
