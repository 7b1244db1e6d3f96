"""What waits to be told to one receiver: bounded, kept in a file where there is a folder.

While a receiver is away its notices wait. When it is back one message holds all of them, the newest
first, since that is what is so now: never more than one message a `settle`. What does not fit into
the bound goes, the oldest first, and the next message says how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from t3probe.deliver.notices import Notice, Posted
from t3probe.exchange.bounds import NOTICE_MESSAGE_BYTES, NOTICES_KEPT_BYTES, SPOOL_FILE_BYTES
from t3probe.exchange.files import read_regular, write_whole
from t3probe.text.words import count, moment

AGAIN_SECONDS, AGAIN_MOST_SECONDS = 30.0, 300.0
"""Pauses after failed attempts; they double."""


class Message(NamedTuple):
    """One message, of one notice or of several."""

    id: str
    at: float
    """When it is made, Unix seconds."""
    subject: str
    text: str
    notices: Sequence[Notice]
    """The newest first."""
    lost: int
    """How many older ones did not fit into the bound."""


class QueuedNotices(msgspec.Struct):
    """The file."""

    notices: list[Notice] = []
    lost: int = 0
    sent_at: float = 0.0
    failed: int = 0
    """Attempts since the last good one."""
    tried_at: float = 0.0


class Outbox:
    """The notices for one receiver. Its caller has the lock of the folder."""

    def __init__(self, file: Path | None) -> None:
        """`file`: None keeps it in memory alone."""
        self._file = file
        self.problems: list[str] = []
        """Sentences about the file."""
        self._state, self._kept = QueuedNotices(), b""
        if file is not None:
            self._read(file)
        self._bytes = sum(map(size_of, self._state.notices))

    @property
    def waiting(self) -> Sequence[Notice]:
        """Oldest first."""
        return self._state.notices

    @property
    def bytes(self) -> int:
        """What they take."""
        return self._bytes

    @property
    def lost(self) -> int:
        """How many went for room, and no message has said so."""
        return self._state.lost

    def add(self, notice: Notice) -> None:
        """Let one wait."""
        state = self._state
        if any(one.id == notice.id for one in state.notices[-4:]):
            return
        state.notices.append(notice)
        self._bytes += size_of(notice)
        while self._bytes > NOTICES_KEPT_BYTES and len(state.notices) > 1:
            self._bytes -= size_of(state.notices.pop(0))
            state.lost += 1

    def due(self, now: float, settle: float) -> bool:
        """Whether a message may be sent now, Unix seconds."""
        state = self._state
        if now < max(state.sent_at, state.tried_at):  # the clock was set back
            state.sent_at, state.tried_at = min(state.sent_at, now), min(state.tried_at, now)
        if not state.notices or (state.sent_at and now - state.sent_at < settle):
            return False
        pause = min(AGAIN_MOST_SECONDS, AGAIN_SECONDS * 2.0 ** min(state.failed - 1, 9))
        return not state.failed or now - state.tried_at >= pause

    def send(self, post: Callable[[Message], Posted], now: float) -> Posted:
        """One attempt with what waits."""
        state, chosen = self._state, self._chosen()
        posted = post(message_of(chosen, state.lost, now))
        state.tried_at = now
        if posted.over:
            gone = {one.id for one in chosen}
            state.notices = [one for one in state.notices if one.id not in gone]
            self._bytes = sum(map(size_of, state.notices))
            state.sent_at, state.failed, state.lost = now, 0, 0
            return posted
        state.failed += 1
        waits = count(len(state.notices), "message")
        verb = "waits" if len(state.notices) == 1 else "wait"
        return posted._replace(sentence=f"{posted.sentence}; {waits} {verb}")

    def _chosen(self) -> list[Notice]:
        """The newest, then the oldest ones, as far as one message goes."""
        *older, newest = self._state.notices
        chosen, room = [newest], NOTICE_MESSAGE_BYTES - size_of(newest)
        for one in older:
            room -= size_of(one)
            if room < 0:
                break
            chosen.insert(1, one)
        return chosen

    def save(self) -> None:
        """Write the file where something changed."""
        if self._file is None:
            return
        content = msgspec.json.encode(self._state)
        if content == self._kept:
            return
        try:
            write_whole(self._file, content, mode=0o600)
            self._kept = content
        except OSError as error:
            self.problems.append(f"{self._file} cannot be written ({error.strerror})")

    def _read(self, file: Path) -> None:
        try:
            self._kept = read_regular(file, 2 * SPOOL_FILE_BYTES)
            self._state = msgspec.json.decode(self._kept, type=QueuedNotices)
        except FileNotFoundError:
            return
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            self.problems.append(f"{file} cannot be read; the messages in it are lost")


def size_of(notice: Notice) -> int:
    """Bytes, as the file has it."""
    return len(msgspec.json.encode(notice))


def message_of(notices: Sequence[Notice], lost: int, now: float) -> Message:
    """One message of these, the newest first."""
    newest, older = notices[0], notices[1:]
    subject, parts = newest.subject, [newest.text]
    if older:
        subject = f"{subject} (and {count(len(older), 'earlier message')})"
        parts.append("Earlier, while this could not be sent:\n")
        parts += [f"-- {moment(one.at)}\n{one.text}" for one in older]
    if lost:
        verb = "was" if lost == 1 else "were"
        parts.append(f"{count(lost, 'older message')} {verb} lost: too many waited.\n")
    name = newest.id if not older else f"{newest.id[:16]}{older[-1].id[:16]}"
    return Message(name, now, subject, "\n".join(parts), notices, lost)
