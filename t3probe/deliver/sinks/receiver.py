"""A receiver of remote write 1.0: one request after the other, and what its answers mean.

- 2xx: the request is delivered.
- 400, 409, 413, 422: it will never be taken, where the receiver itself says so.
- all else, and no answer: later. That a gate refuses a login is an operator's mistake, and will be
  mended.

Some gates say 400 to a wrong token (vmauth) or to http on a port of https (nginx). So what is
refused for good has to come from a receiver: one that speaks of samples, took something before, or
takes a request without series.

Redirects are not followed: who sends us elsewhere does not get our token there.

https://prometheus.io/docs/specs/prw/remote_write_spec/ ("Retries & Backoff")
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from t3probe.config.delivery import RemoteWrite
from t3probe.config.receivers import site_of
from t3probe.config.secrets import login_of
from t3probe.exchange.bounds import REMOTE_EXCHANGE_SECONDS
from t3probe.exchange.client import Answer, Budget, Kept, Login, Site, Trouble, exchange
from t3probe.text import showable
from t3probe.timing import Clock

PAUSE_SECONDS = 0.15
FOLDER = "remote-write"
EMPTY = b"\x00"
"""A snappy block of no bytes, which is a request without series: nothing is stored."""
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
NEVER = frozenset({400, 409, 413, 422})
_TIMES = re.compile(r"(?i)out.of.(order|bounds)|duplicate sample")
"""What only a receiver says: it has looked at the samples."""
_LOGIN = re.compile(rb"(?i)auth(orization|entication)?[ _-](token|header)|unauthori[sz]ed")


class RemoteReceiver(msgspec.Struct, frozen=True):
    """One receiver, and what may wait for it."""

    url: str
    name: str = ""
    login: Login = msgspec.field(default_factory=Login)
    headers: Mapping[str, str] = {}
    max_age_seconds: float = 3300.0
    max_bytes: int = 1 << 26

    @property
    def folder(self) -> str:
        """Its part of the spool folder."""
        return f"{FOLDER}-{self.name}" if self.name else FOLDER


def receiver_of(
    named: RemoteWrite, environ: Mapping[str, str], ca_file: str | None = None
) -> RemoteReceiver:
    """A receiver of the deployment file, with its login; `ca_file` is the deployment's. Raises
    DeploymentError or ValueError, one sentence."""
    site = site_of(named.name)
    login = login_of(site, environ, named.tls_ca or ca_file, named.token_file)
    return RemoteReceiver(
        url=named.url,
        name=named.name,
        login=login,
        headers=named.headers,
        max_age_seconds=named.max_age,
        max_bytes=named.max_bytes,
    )


class NeverTakenError(Exception):
    """A request that this receiver will never take; `str()` is the end of a sentence."""

    def __init__(self, what: str, said: str) -> None:
        super().__init__(what)
        self.looked = _TIMES.search(said) is not None
        """Whether a receiver has looked at the samples, and no gate answered in its place."""
        self.newer_there = re.search(r"(?i)out.of.order|duplicate", said) is not None
        """Whether it has these times, or newer ones, of the same series."""


class Sender:
    """Requests to one receiver, one after the other on one connection."""

    def __init__(self, receiver: RemoteReceiver) -> None:
        """Raises ValueError, one sentence, for a URL that cannot be one."""
        self.site = Site(receiver.url, receiver.login)
        named = f" {receiver.name}" if receiver.name else ""
        self.subject = f"the receiver{named} at {self.site.name}"
        self.theirs_ahead_ms: int | None = None
        """How far the receiver's clock is ahead of ours; None: it did not say."""
        self.takes: bool | None = None
        """Whether it took a request; false: it refused even one without series."""
        self._headers = {**receiver.headers, **HEADERS}
        variable = f"T3PROBE_{site_of(receiver.name).upper()}"
        self._mend = (
            f"set token_file or {variable}_TOKEN, or {variable}_USER and {variable}_PASSWORD, and "
            "look at the URL"
        )
        self._kept = Kept()
        self._again = True
        self._date = ""
        """Of the last answer."""

    def send(self, body: bytes, budget: Budget, *, unsure: bool = False) -> None:
        """Send one request; once in a sender's life it is tried again. Raises Trouble, or
        NeverTakenError.

        `unsure`: it may be there already. Prometheus then refuses it, as out of order: the times at
        its run's start are older than those at its end.
        """
        try:
            self._tried(body, budget, unsure)
        except NeverTakenError as refused:
            if not refused.looked:
                self._prove(budget, refused)
            raise

    def _prove(self, budget: Budget, refused: NeverTakenError) -> None:
        """That a receiver refused it, and not the gate before it. Raises Trouble."""
        if self.takes is None:
            try:
                self._tried(EMPTY, budget, False)
            except NeverTakenError:
                self.takes = False
            except Trouble as trouble:
                trouble.sent = False  # what was to be sent has its answer
                raise
        if self.takes is False:
            raise Trouble(
                f"{refused}, and a request without series, too, as a gate does with a wrong login "
                f"or path; {self._mend}"
            )

    def _tried(self, body: bytes, budget: Budget, unsure: bool) -> None:
        try:
            self._send(body, budget, unsure)
        except Trouble as trouble:
            if not (trouble.passing and self._again) or budget.left_seconds <= PAUSE_SECONDS:
                raise
            self._again = False
            budget.pause(PAUSE_SECONDS)
            try:
                self._send(body, budget, unsure or trouble.sent)
            except Trouble as last:
                last.sent |= trouble.sent
                raise

    def ask_time(self, budget: Budget, clock: Clock) -> None:
        """Learn the receiver's time. Raises Trouble when it takes nothing now."""
        try:
            self._tried(EMPTY, budget, False)
        except NeverTakenError:  # one that wants no empty requests may want others
            self.takes = False
        try:
            # It is whole seconds.
            there = parsedate_to_datetime(self._date).timestamp() + 0.5
        except (ValueError, TypeError, IndexError, OverflowError):
            return
        self.theirs_ahead_ms = round((there - clock.wall()) * 1000)

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()

    def _send(self, body: bytes, budget: Budget, unsure: bool) -> None:
        part = budget.part(REMOTE_EXCHANGE_SECONDS)
        answer = exchange(
            self.site, "POST", None, part, body=body, headers=self._headers, kept=self._kept
        )
        self._date = answer.headers.get("date", "")
        try:
            self._raise_for(answer)
        except NeverTakenError as refused:
            if not (refused.newer_there and (unsure or self._kept.repeated)):
                raise

    def _raise_for(self, answer: Answer) -> None:
        status = answer.status
        if 200 <= status < 300:
            self.takes = True
            return
        said = showable(answer.body, 160, ascii=False)
        why = f" ({said})" if said else ""
        if status in NEVER:
            if status != 413 and self._of_a_gate(answer):
                raise Trouble(f"refuses our login with {status}, or is no receiver; {self._mend}")
            raise NeverTakenError(f"refuses it with {status}{why}", said)
        if 300 <= status < 400:
            to = showable(answer.headers.get("location", "nowhere"), 80)
            raise Trouble(f"redirects to {to} ({status}), which is not followed; name that URL")
        if status in {401, 403}:
            raise Trouble(f"refuses us with {status}; {self._mend}")
        if status in {404, 405}:
            raise Trouble(
                f"answers {status}; name the URL that takes remote write, path and all, such as "
                "http://HOST:8428/api/v1/write"
            )
        raise Trouble(f"answers {status}{why}", passing=status >= 500 or status == 408)

    def _of_a_gate(self, answer: Answer) -> bool:
        """Whether it is a page, speaks of the login, or quotes it: no receiver does."""
        body = answer.body
        shown = [one.encode() for one in self.site.login.headers().values()]
        if len(self.site.login.token) >= 8:
            shown.append(self.site.login.token.encode())
        page = body.lstrip()[:1] == b"<"
        return page or _LOGIN.search(body) is not None or any(one in body for one in shown)
