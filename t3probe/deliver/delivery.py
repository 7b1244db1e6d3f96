"""Whether a run delivers its results, where to, in which order, and what it says about it.

The scheduled job (`--exit-delivered`) delivers to the deployment's own group, when it ran every
leg. Any other run delivers only when told (`--push`), under a job of its own, so that a run by
hand, of a part, or in CI never overwrites what the alerts read.

At the start zeros go where series are missing: at most two seconds. At the end, within five: the
textfile, then the gateway, then all receivers of remote write at once, then the trace, then mail
and webhooks, then Kuberhealthy, and the heartbeat last and only when the results are where they
were to go. Nothing here raises for what a server or a disk may do, and nothing changes what the
checks found; it is all said in sentences. A sink is imported where a deployment names it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from t3probe.config.secrets import login_of
from t3probe.config.types import Deployment
from t3probe.deliver.sinks import Batch, Deliver, Receipt
from t3probe.deliver.sinks.gateway import Gateway, group_path, raise_for
from t3probe.exchange.client import Budget, Site, Trouble, exchange
from t3probe.timing import Clock, SystemClock

if TYPE_CHECKING:
    from t3probe.deliver.metrics.carry import Group
    from t3probe.deliver.notices.messenger import Messenger
    from t3probe.deliver.sinks.remote_write import RemoteWrites
from t3probe.config.shard import Shard
from t3probe.observation import Observation, RunRecord
from t3probe.run.session import Session

if TYPE_CHECKING:
    from t3probe.config.otel import Receiver
    from t3probe.verdict.incident.run import RunVerdict

T = TypeVar("T")
START_SECONDS = 2.0
END_SECONDS = 4.8
GATEWAY_END_SECONDS = 3.6
SMALL_SECONDS = 1.0
TOLD_SECONDS = 3.0
NOTE_FOLDER = ".undelivered"
"""In the results folder: how many drops were lost, until a push says so."""


class Ended(msgspec.Struct, frozen=True):
    """How a delivery went."""

    delivered: bool
    """Whether the results are at every place the deployment names."""
    sentences: tuple[str, ...]
    """For people; those of what went wrong first."""


class Delivering(msgspec.Struct):
    """One run's delivery between its start and its end."""

    deployment: Deployment
    environ: Mapping[str, str]
    clock: Clock
    sinks: list[Deliver] = []
    opened: list[Receipt] = []
    """What each sink said at the start."""
    reached: list[Deliver] = []
    """Those that took the results at the end."""

    @property
    def known(self) -> Group | None:
        """What stood there at the start, the gateway's before the textfile's."""
        read = [one.known for one in self.opened if one.known is not None]
        return read[-1] if read else None


def gateway_of(
    deployment: Deployment,
    *,
    vantage: str,
    environ: Mapping[str, str],
    url: str | None = None,
    job: str | None = None,
    shard: str = "",
) -> Gateway | None:
    """The gateway that a run pushes to, with its login; None when none is named.

    `url` and `job` win over the deployment file. Raises DeploymentError or ValueError, each one
    sentence, when the login or the URL is wrong: call it before the run begins.
    """
    where = url or deployment.delivery.gateway
    if where is None:
        return None
    login = login_of("gateway", environ, deployment.tls_ca)
    Site(where, login)
    return Gateway(
        url=where,
        job=job or deployment.delivery.job,
        vantage=vantage or deployment.vantage,
        shard=shard,
        login=login,
        end_seconds=GATEWAY_END_SECONDS,
    )


@contextmanager
def with_extra(what: str) -> Iterator[None]:
    """Import what needs the extra `remote-write`. Raises ValueError, one sentence that begins with
    `what`, when that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"cramjam", "google"}:
            raise
        install = "pip install 't3probe[remote-write]'"
        raise ValueError(f"{what} needs packages that are not installed: {install}") from None


BESIDE = "remote-write"


def remote_of(
    deployment: Deployment,
    *,
    job: str,
    vantage: str,
    environ: Mapping[str, str],
    shard: str = "",
) -> RemoteWrites | None:
    """The receivers of remote write, with their logins; None when the deployment names none.

    Raises DeploymentError or ValueError, each one sentence, as `gateway_of`; ValueError, too, when
    the extra is not installed.
    """
    named = deployment.delivery.remote_write
    if not named:
        return None
    with with_extra("[[delivery.remote_write]]"):
        from t3probe.deliver.sinks.remote_write import RemoteWrites
    from t3probe.deliver.sinks.receiver import receiver_of

    receivers = [receiver_of(one, environ, deployment.tls_ca) for one in named]
    labels = {"job": job, "vantage": vantage or deployment.vantage, "shard": shard}
    return RemoteWrites(receivers, labels)


def start_of_run(
    deployment: Deployment,
    gateway: Gateway | None,
    zeros: Group,
    *,
    remote: RemoteWrites | None = None,
    vantage: str,
    results: Path,
    environ: Mapping[str, str],
    clock: Clock | None = None,
    seconds: float = START_SECONDS,
) -> Delivering:
    """Zeros where series are missing, before the probing starts. At most two seconds.

    `zeros` is `metrics.zeros(deployment, vantage)`; `results` is the run's results folder. For a
    run that is not to be pushed, do not call it. With `seconds` 0 no zeros are written: for a
    run that was told to end before it began, and counts nothing.
    """
    clock = clock or SystemClock()
    started = Delivering(deployment, environ, clock)
    file = deployment.delivery.textfile
    if file is not None:
        from t3probe.deliver.sinks import textfile

        where = vantage or deployment.vantage
        started.sinks.append(textfile.sink(file, {"vantage": where} if where else {}))
    if gateway is not None:
        from t3probe.deliver.sinks import pushgateway
        from t3probe.deliver.sinks.spool import Spool

        spool = deployment.delivery.spool
        memory = (
            Spool(Path(spool), keep=True)
            if spool is not None
            else Spool(results / NOTE_FOLDER, keep=False)
        )
        started.sinks.append(pushgateway.sink(gateway, memory, clock))
    if remote is not None:
        from t3probe.deliver.metrics import gauges

        kept = deployment.delivery.spool
        folder = results / NOTE_FOLDER if kept is None else Path(kept)
        stale = gauges(deployment, vantage)
        if remote.labels.get("shard", "0") != "0":
            stale = {n: f for n, f in stale.items() if not n.startswith(OF_SEGMENTS)}
        tells = not started.sinks  # what is read back from a server goes before a file of ours
        started.sinks.append(remote.sink(folder, keep=kept is not None, gauges=stale, tells=tells))
    budget = Budget(clock, seconds)
    for sink in started.sinks:
        report = _whole("a delivery", sink, Batch(zeros, opening=True, seconds=budget.left_seconds))
        started.opened.append(report if seconds else report._replace(ok=True))
    return started


def _whole(what: str, work: Callable[[T], Receipt], with_: T) -> Receipt:
    """One receipt, whatever happens: a fault of ours in one place costs no other its results."""
    try:
        return work(with_)
    except Exception as error:
        return Receipt(False, f"{what} broke: {type(error).__name__}")


def end_of_run(
    started: Delivering,
    families: Group,
    *,
    ok: bool,
    errors: Sequence[str] = (),
    seconds: float = END_SECONDS,
    traces: Callable[[Budget], Receipt] | None = None,
    notices: Callable[[Budget], list[Receipt]] | None = None,
) -> Ended:
    """Deliver what the run measured. At most `seconds`. `traces` sends the run's trace, `notices`
    tells people: what they were not told waits, so that the results are delivered all the same.

    `families` is `metrics.families(run, observations, judged)`. `ok` and `errors` are what
    Kuberhealthy is told: whether all checks passed, and a sentence for each that did not.
    """
    budget = Budget(started.clock, seconds)
    reports = []
    for sink in started.sinks:
        batch = Batch(families, seconds=budget.left_seconds)
        reports.append(_whole("a delivery", sink, batch))
        if reports[-1].ok:
            started.reached.append(sink)
    # A sink that failed twice says it once: at the end, with what became of the counts.
    before = [
        first.sentence
        for first, last in zip(started.opened, reports, strict=True)
        if last.ok and not first.ok
    ]
    kuberhealthy_url = started.environ.get("KH_REPORTING_URL")
    heartbeat_url = started.deployment.delivery.heartbeat_url
    if traces is not None:
        kept = SMALL_SECONDS if kuberhealthy_url or heartbeat_url else 0.0
        part = budget.part(max(kept, budget.left_seconds - kept))
        reports.append(_whole("the run's trace", traces, part))
    delivered = all(one.ok for one in reports)
    if notices is not None:
        kept = SMALL_SECONDS if kuberhealthy_url or heartbeat_url else 0.0
        part = budget.part(min(TOLD_SECONDS, max(kept, budget.left_seconds - kept)))
        reports += notices(part)
    if kuberhealthy_url:
        from t3probe.deliver.sinks import kuberhealthy

        part = budget.part(SMALL_SECONDS)
        reports.append(kuberhealthy.report(kuberhealthy_url, ok, errors, started.environ, part))
    if delivered and heartbeat_url is not None:
        from t3probe.deliver.sinks import heartbeat

        reports.append(heartbeat.beat(heartbeat_url, budget.part(SMALL_SECONDS)))
    reports.sort(key=lambda one: one.ok)
    return Ended(delivered, (*before, *(one.sentence for one in reports)))


def correct(started: Delivering, families: Group, seconds: float) -> list[str]:
    """Replace gauges where the results are; sentences for where that went wrong."""
    budget = Budget(started.clock, seconds)
    reports = [
        _whole("a delivery", sink, Batch(families, correction=True, seconds=budget.left_seconds))
        for sink in started.reached
    ]
    return [one.sentence for one in reports if not one.ok]


def retire(gateway: Gateway, clock: Clock | None = None) -> tuple[Receipt, str]:
    """Delete the groups of a vantage that is gone; the second text is the silence to set.

    `T3ProbeSilent` remembers a vantage for six hours; the silence covers that time. It names the
    vantage and the shard also when there is none: a matcher left out would mute all of them.
    """
    from t3probe.text import matcher

    site = Site(gateway.url, gateway.login)
    budget = Budget(clock or SystemClock(), gateway.end_seconds)
    labels = {"job": gateway.job, "vantage": gateway.vantage, "shard": gateway.shard}
    matchers = (
        shlex.quote(matcher(name, "=", value))
        for name, value in {"alertname": "T3ProbeSilent", **labels}.items()
    )
    silence = f"amtool silence add --duration=6h --comment='vantage retired' {' '.join(matchers)}"
    where = f"the gateway at {site.name}"
    try:
        for key in (gateway.key, gateway.upstream_key):
            raise_for(exchange(site, "DELETE", group_path(key), budget))
    except Trouble as trouble:
        return Receipt(False, f"{where} {trouble.what}; the group is not deleted"), silence
    named = ", ".join(f"{name}={value}" for name, value in gateway.key.items())
    return Receipt(True, f"{where}: it holds no group {named} any more"), silence


def receiver_named(deployment: Deployment, environ: Mapping[str, str]) -> Receiver | None:
    """The receiver of traces; None where none is named, or traces are switched off.

    Raises DeploymentError or ValueError, each one sentence: call it before the run begins.
    """
    otlp = deployment.delivery.otlp
    if otlp is None:
        return None
    from t3probe.config.otel import disabled, receiver_of
    from t3probe.deliver.traces.wire import MISSING, installed

    if disabled(environ):
        return None
    if not installed():
        raise ValueError(f"{deployment.file}: delivery.otlp: {MISSING}")
    return receiver_of(deployment, otlp, environ)


def _send_trace(
    receiver: Receiver,
    run: RunRecord,
    observations: Sequence[Observation],
    judged: RunVerdict,
    budget: Budget,
) -> Receipt:
    from t3probe.deliver.sinks.otlp import send
    from t3probe.deliver.traces.build import run_trace

    return send(run_trace(run, observations, judged), receiver, budget)


def messenger_of(
    deployment: Deployment, environ: Mapping[str, str], clock: Clock
) -> Messenger | None:
    """Who tells people of this deployment; None where nobody is named.

    Raises DeploymentError or ValueError, each one sentence: call it before the run begins.
    """
    delivery = deployment.delivery
    if delivery.mail is None and not delivery.webhook:
        return None
    from t3probe.deliver.notices.messenger import Messenger, posters

    who = posters(deployment, environ)
    return Messenger(who, settle=delivery.settle, spool=delivery.spool, clock=clock)


RUN_COMPLETE = "t3probe_run_complete"
OF_SEGMENTS = "t3probe_segment_"
UNTOLD = "nobody is told by mail or webhook: a run remembers by a folder; name spool in [delivery]"
NOWHERE = "nothing is delivered: no place is named; add --gateway URL, or a [delivery]"


def _tell(
    messenger: Messenger,
    run: RunRecord,
    observations: Sequence[Observation],
    judged: RunVerdict,
    clock: Clock,
    budget: Budget,
) -> list[Receipt]:
    from t3probe.deliver.notices.messenger import after_run

    try:
        return after_run(messenger, run, observations, judged, budget, clock)
    except Exception as error:
        return [Receipt(False, f"telling people broke: {type(error).__name__}")]


class Shipping:
    """One run's delivery, from the zeros at its start to the sentences at its end."""

    def __init__(
        self,
        session: Session,
        *,
        scheduled: bool,
        told: bool,
        gateway: str | None,
        environ: Mapping[str, str],
        results: Path,
        shard: Shard | None = None,
    ) -> None:
        """Raises DeploymentError or ValueError when the gateway's URL or login is wrong."""
        self._session, self._environ, self._results = session, environ, results
        self._told = told
        self._begun: Delivering | None = None
        self._shard = shard
        self.delivered = False
        self.sentences: tuple[str, ...] = ()
        self.wanted = scheduled or told
        self._gateway = None
        self._receiver: Receiver | None = None
        self._remote: RemoteWrites | None = None
        self._messenger: Messenger | None = None
        self._untold = False
        self._label = "" if shard is None else shard.label
        if self.wanted:
            self._receiver = receiver_named(session.deployment, environ)
            self._gateway = gateway_of(
                session.deployment,
                vantage=session.vantage,
                environ=environ,
                url=gateway,
                job=None if scheduled and not told else self._own_job(),
                shard=self._label,
            )
            if scheduled and not told and (shard is None or shard.index == 0):
                self._messenger = messenger_of(session.deployment, environ, SystemClock())
                if session.deployment.delivery.spool is None:
                    self._untold, self._messenger = self._messenger is not None, None
            job = session.deployment.delivery.job if scheduled and not told else self._own_job()
            # Counts that continue and counts of one run must not meet under one job.
            self._remote = remote_of(
                session.deployment,
                job=job if self._gateway is None else f"{job}-{BESIDE}",
                vantage=session.vantage,
                environ=environ,
                shard=self._label,
            )

    def _own_job(self) -> str:
        by = "ci" if self._environ.get("CI") else "manual"
        return f"{self._session.deployment.delivery.job}-{by}"

    def begin(self, whole: bool) -> None:
        """Write zeros where series are missing. `whole`: every leg of the vantage will run."""
        if not self.wanted:
            return
        if not whole and not self._told:
            self.sentences = ("nothing is delivered: this run is only a part of the checks",)
            return
        from t3probe.deliver.metrics import baselines, zeros

        deployment = self._session.deployment
        self._session.traced = self._receiver is not None
        self._begun = start_of_run(
            deployment,
            self._gateway,
            zeros(deployment, self._session.vantage),
            remote=self._remote,
            vantage=self._session.vantage,
            results=self._results,
            environ=self._environ,
            seconds=0.0 if self._session.interrupted else START_SECONDS,
        )
        self._session.baselines = baselines(self._begun.known)

    def end(self, run: RunRecord, observations: Sequence[Observation], judged: RunVerdict) -> None:
        """Deliver. Never raises for what a server or a disk may do."""
        if self._begun is None:
            return
        from t3probe.deliver.metrics import families
        from t3probe.observation import sentence

        errors = [sentence(one) for one in observations if one.outcome == "failed"]
        measured = families(run, observations, judged)
        if self._shard is not None and self._shard.index > 0:
            # Shard 0 has the legs; what another one knows of a segment is next to nothing.
            measured = {n: f for n, f in measured.items() if not n.startswith(OF_SEGMENTS)}
        seconds = self._session.seconds_left(END_SECONDS)
        traces = None
        if self._receiver is not None:
            traces = partial(_send_trace, self._receiver, run, observations, judged)
        notices = None
        if self._messenger is not None:
            notices = partial(_tell, self._messenger, run, observations, judged, self._begun.clock)
        ended = end_of_run(
            self._begun,
            measured,
            ok=not errors,
            errors=errors,
            seconds=seconds,
            traces=traces,
            notices=notices,
        )
        self.delivered, self.sentences = ended.delivered, ended.sentences
        if not self._begun.sinks and traces is None and notices is None:
            self.sentences = (NOWHERE, *self.sentences)
        if self._untold:
            self.sentences = (*self.sentences, UNTOLD)
        if self._receiver is None and self._session.deployment.delivery.otlp is not None:
            self.sentences = (*self.sentences, "no trace is sent: OTEL_SDK_DISABLED is set")

    def correct(
        self, run: RunRecord, observations: Sequence[Observation], judged: RunVerdict
    ) -> None:
        """After `end`, the run was told to end all the same: it is not complete any more."""
        if self._begun is None:
            return
        from t3probe.deliver.metrics import families

        anew = {RUN_COMPLETE: families(run, observations, judged)[RUN_COMPLETE]}
        seconds = self._session.seconds_left(END_SECONDS, 0.5)
        self.sentences = (*correct(self._begun, anew, seconds), *self.sentences)
