"""The messages of one deployment: its looks, what waits, and who is told.

State lies in the folder `notices` of the spool folder, so that a run goes on where the last one
stood and a restart is no event; without a spool folder it is in memory alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path

import msgspec

from t3probe.config.types import Deployment
from t3probe.deliver.notices import Notice, Posted, mail, webhook
from t3probe.deliver.notices.change import OR, Standing, look_of, notice_of, step
from t3probe.deliver.notices.outbox import Message, Outbox
from t3probe.deliver.sinks import Receipt
from t3probe.deliver.sinks.spool import SpoolError, locked
from t3probe.exchange.bounds import NOTICE_SECONDS, SPOOL_FILE_BYTES
from t3probe.exchange.client import Budget
from t3probe.exchange.files import read_regular, write_whole
from t3probe.observation import Observation, RunRecord
from t3probe.timing import Clock
from t3probe.verdict.incident.run import RunVerdict

FOLDER = "notices"
Poster = Callable[[Message, Budget], Posted]


def posters(deployment: Deployment, environ: Mapping[str, str]) -> dict[str, Poster]:
    """Who is told -> how. Empty: nobody. Raises DeploymentError or ValueError, one sentence: call
    it before the run begins."""
    delivery, ca = deployment.delivery, deployment.tls_ca
    found: dict[str, Poster] = {}
    if delivery.mail is not None:
        found["mail"] = partial(mail.post, mail.mailbox_of(delivery.mail, environ, ca))
    for one in delivery.webhook:
        name = f"webhook-{one.name}" if one.name else "webhook"
        found[name] = partial(webhook.post, webhook.hook_of(one, environ, ca))
    return found


class Messenger:
    """Decides, keeps and sends. Use it within `open`, from one thread."""

    def __init__(
        self, posters: Mapping[str, Poster], *, settle: float, spool: str | None, clock: Clock
    ) -> None:
        self._posters, self._settle, self._clock = posters, settle, clock
        self._folder = None if spool is None else Path(spool) / FOLDER
        self._standing = Standing()
        self._boxes: dict[str, Outbox] = {}
        self._problems: list[str] = []
        self._loaded = False
        self._known = False
        """Whether a file says what was told before."""
        self.told_elsewhere: Callable[[str], bool] = lambda segment: False
        """Whether somebody else tells of a segment: none of its messages are made here."""

    def go_on_from(self, old: Messenger) -> None:
        """Know what another one has told and what waits there, which is used no more."""
        if self._loaded:
            return
        same = self._folder == old._folder
        if same:
            self._boxes = {name: box for name, box in old._boxes.items() if name in self._posters}
        self._load()
        if same or not self._known:
            self._standing = old._standing
        for name, box in self._boxes.items():
            if not same and name in old._boxes:
                for notice in old._boxes[name].waiting:
                    box.add(notice)

    @contextmanager
    def open(self, budget: Budget) -> Iterator[None]:
        """Nobody else uses the state meanwhile, and what changed is kept. Raises SpoolError."""
        if self._folder is None:
            self._load()
            yield
            return
        with locked(self._folder, budget):
            self._load()
            try:
                yield
            finally:
                self._save()

    def look(
        self, record: RunRecord, seen: Sequence[Observation], judged: RunVerdict, at: float
    ) -> None:
        """Take in what a verdict says, `at` in Unix seconds."""
        look = look_of(record, seen, judged, at)
        broken = {
            name: since
            for name, since in look.broken.items()
            if not all(map(self.told_elsewhere, name.split(OR)))
        }
        turn = step(self._standing, look._replace(broken=broken), self._settle)
        if turn is not None:
            self.hand_over(notice_of(turn, record, judged, at, runbook()))

    def hand_over(self, notice: Notice) -> None:
        """Let this be told to everybody."""
        for box in self._boxes.values():
            box.add(notice)

    def send(self, budget: Budget) -> list[Receipt]:
        """One message to each whose time it is, one after the other; a receipt for each attempt,
        and for what is wrong with files."""
        receipts = []
        for number, (name, box) in enumerate(self._boxes.items()):
            now = self._clock.wall()
            if not box.due(now, self._settle) or budget.left_seconds <= 0:
                continue
            share = budget.left_seconds / (len(self._boxes) - number)
            part = budget.part(min(share, NOTICE_SECONDS))
            post = self._posters[name]
            posted = box.send(lambda message, post=post, part=part: post(message, part), now)  # type: ignore[misc]
            box.save()
            receipts.append(Receipt(posted.ok, posted.sentence))
        problems, self._problems = self._problems, []
        for box in self._boxes.values():
            problems += box.problems
            box.problems.clear()
        return [*receipts, *(Receipt(False, one) for one in dict.fromkeys(problems))]

    @property
    def waiting(self) -> Mapping[str, int]:
        """How many notices wait for each."""
        return {name: len(box.waiting) for name, box in self._boxes.items()}

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded, folder = True, self._folder
        for name in self._posters:
            if name not in self._boxes:
                self._boxes[name] = Outbox(None if folder is None else folder / f"{name}.json")
        if folder is None:
            return
        file = folder / "standing.json"
        try:
            kept = read_regular(file, SPOOL_FILE_BYTES)
            self._standing = msgspec.json.decode(kept, type=Standing)
            self._known = True
        except FileNotFoundError:
            pass
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            self._problems.append(f"{file} cannot be read; what was told before is not known")

    def _save(self) -> None:
        for box in self._boxes.values():
            box.save()
        if self._folder is None:
            return
        file = self._folder / "standing.json"
        try:
            write_whole(file, msgspec.json.encode(self._standing), mode=0o600)
        except OSError as error:
            self._problems.append(f"{file} cannot be written ({error.strerror})")


def after_run(
    messenger: Messenger,
    record: RunRecord,
    seen: Sequence[Observation],
    judged: RunVerdict,
    budget: Budget,
    clock: Clock,
) -> list[Receipt]:
    """A run's look, and what it sends. Never raises for what a disk or a server may do."""
    try:
        with messenger.open(budget):
            messenger.look(record, seen, judged, clock.wall())
            return messenger.send(budget)
    except SpoolError as error:
        return [Receipt(False, f"the folder of messages {error}; this run tells nobody")]


def runbook() -> str:
    """Where the runbook is read: the project's own word."""
    try:
        lines = metadata.metadata("t3probe").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        lines = []
    found = (re.fullmatch(r"Runbook, *(\S+)", str(one)) for one in lines)
    return next((one[1] for one in found if one), "docs/runbook.md")
