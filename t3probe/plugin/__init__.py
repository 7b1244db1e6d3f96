"""pytest hooks and options of the checks, and nothing else.

Measure, then judge: the probing happens in `pytest_runtestloop`, before the first test body;
each test then judges its own leg. So `-x`, a failing test or an interrupt loses no other
leg's observation.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from t3probe import guard
from t3probe.plugin.interrupt import Interrupts

guard.install_from_environment()
INTERRUPTS = Interrupts()
INTERRUPTS.install()  # before the imports that take long; given back where nothing is probed
# A run starts every minute, is short and makes little garbage: rarer collections save it some
# 15 ms of CPU for less than a MiB.
COLLECTED = gc.get_threshold()
gc.set_threshold(20_000, 20, 20)

from t3probe.config import Deployment, DeploymentError, load  # noqa: E402
from t3probe.config.shard import check_vantage, shard_named, sharded  # noqa: E402
from t3probe.deliver.delivery import Shipping  # noqa: E402
from t3probe.exchange.terminal import sentence as shown  # noqa: E402
from t3probe.judge import require_conclusive  # noqa: E402
from t3probe.observation import Observation  # noqa: E402
from t3probe.plugin import options  # noqa: E402
from t3probe.plugin.collect import Collecting  # noqa: E402
from t3probe.plugin.conclude import EXIT_INTERRUPTED, RunEnd  # noqa: E402
from t3probe.plugin.items import UpstreamItems, leg_of, own_body  # noqa: E402
from t3probe.plugin.junit import JUnitFile  # noqa: E402
from t3probe.plugin.output import RecordLog  # noqa: E402
from t3probe.plugin.own_checks import hush, observed, own_name  # noqa: E402
from t3probe.plugin.passive import stand_in  # noqa: E402
from t3probe.record.results import Results  # noqa: E402
from t3probe.run.session import Session  # noqa: E402
from t3probe.show.progress import progress_for  # noqa: E402
from t3probe.timing import RunClock, SystemClock  # noqa: E402
from t3probe.upstreams.experiments.in_run import RunExperiments, rigs_named  # noqa: E402
from t3probe.upstreams.opinions.in_run import RunOpinions  # noqa: E402
from t3probe.upstreams.sources_run import RunSources  # noqa: E402
from t3probe.usage import refused_by_system  # noqa: E402

if TYPE_CHECKING:
    from t3probe.plugin.hookspec import BuiltInLab

KEY = pytest.StashKey["Checks"]()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from t3probe.plugin import hookspec

    pluginmanager.add_hookspecs(hookspec)


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "legs(*kinds): this check judges the legs of these kinds")
    config.addinivalue_line(
        "markers",
        "segments(*names, leg=None, reason='io_error'): a check with its own body takes part in "
        "the verdict as a leg that crosses these segments",
    )
    file = options.deployment_file(config.option, os.environ)
    lab = None if file else config.hook.pytest_t3probe_lab(config=config)
    other = stand_in(config, file or (lab and lab.template))
    if other is not None:
        INTERRUPTS.release()
        gc.set_threshold(*COLLECTED)
        config.pluginmanager.register(other, "t3probe-passive")
        return
    checks = Checks(config, lab)
    config.stash[KEY] = checks
    checks.own_file = config.option.xmlpath is None
    if checks.own_file and not config.option.collectonly:
        config.option.xmlpath = str(checks.results.folder / "junit.xml")
        checks.results.begin()
    config.pluginmanager.register(checks, "t3probe-checks")
    config.pluginmanager.register(
        Collecting(checks.probing, checks.sources, checks.shard), "t3probe-collecting"
    )
    config.pluginmanager.register(UpstreamItems(config, checks.probing), "t3probe-upstreams")


class Checks:
    """The hooks of a run: what it is made of, the probing, each leg's test, the end."""

    def __init__(self, config: pytest.Config, lab: BuiltInLab | None) -> None:
        self.config, self.lab = config, lab
        option, environ = config.option, os.environ
        file = lab.template if lab is not None else option.deployment
        file = file or environ["T3PROBE_DEPLOYMENT"]
        if option.fault and lab is None:
            raise pytest.UsageError(
                f"--fault breaks the built-in lab only, and the deployment is {file}; leave one out"
            )
        self.results = Results(Path(config.invocation_params.dir, option.results or "results"))
        log = RecordLog(option.record_line or option.exit_delivered)
        vantage = option.vantage or environ.get("T3PROBE_VANTAGE", "")
        try:
            hold = None if option.hold is None else options.hold_seconds(option.hold)
            self.shard = shard_named(option.shard, environ)
            deployment = load(file, environ, now=SystemClock().wall())
            vantage = vantage or deployment.vantage
            check_vantage(vantage)
            self.sources = RunSources(deployment, vantage, environ)
            self.experiments = self._experiments(self.sources.deployment, environ)
            deployment = sharded(self.experiments.deployment, self.shard, vantage)
            self.probing = Session(deployment, vantage=vantage, hold=hold, shard=self.shard)
            if deployment.experiments is not None:
                self.probing.reporting = self.experiments
            if self.lab is not None and option.fault:
                from t3probe.lab.faults import parse_fault

                for text in option.fault:
                    fault = parse_fault(text)
                    if fault.after and fault.after >= self.probing.hold_seconds:
                        raise ValueError(
                            f"fault {text!r}: it begins {fault.after:g} s after the run and the "
                            f"hold is {self.probing.hold_seconds:g} s; give a longer --hold"
                        )
            self.shipping = Shipping(
                self.probing,
                scheduled=option.exit_delivered,
                told=option.push,
                gateway=option.gateway,
                environ=environ,
                results=self.results.folder,
                shard=self.shard,
            )
        except (DeploymentError, ValueError) as error:
            raise pytest.UsageError(shown(error)) from None
        self._conclusion = RunEnd(
            self.probing,
            self.shipping,
            self.results,
            log,
            gate=options.gate_segments(option.gate, deployment, scheduled=option.exit_delivered),
            scheduled=option.exit_delivered,
        )
        self._junit = JUnitFile(config)
        self._looped = False
        """Whether tests were to be run, and not their fixtures listed, say."""
        self.own_file = True
        """Whether the JUnit file is where we keep the last record, and not where we were told."""
        INTERRUPTS.tell(self.probing.stop)

    def pytest_report_collectionfinish(self) -> list[str]:
        deployment, hold = self.probing.deployment, self.probing.hold_seconds
        where = "the built-in lab" if self.lab is not None else deployment.file
        faults = ", ".join(self.config.option.fault)
        return [
            f"t3probe: {where}{' with ' + faults if faults else ''}, hold {hold:g} s"
            + ("" if self.shard is None else f", {self.shard}"),
            *([f"nothing falls to {self.shard}"] if self._idle_shard() else []),
            *(f"warning: {one}" for one in deployment.warnings),
            *self.sources.lines,
            *self.experiments.lines,
            *self.probing.blind_spots(),
        ]

    def _experiments(self, deployment: Deployment, environ: Mapping[str, str]) -> RunExperiments:
        """The remote rigs, which shard 0 runs. Those of the lab are known before it does."""
        if self.shard is not None and self.shard.index:
            deployment = msgspec.structs.replace(deployment, experiments=None)
        if self.lab is None or not self.lab.rigs:
            return RunExperiments(deployment, environ)
        rigs = rigs_named(self.lab.rigs, self.lab.streams)
        return RunExperiments(deployment, {**environ, **self.lab.environ}, rigs=rigs)

    def _idle_shard(self) -> bool:
        """Whether there are more shards than upstreams, and this is one too many."""
        return self.shard is not None and not self.probing.available

    # -- probing -------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        self._looped = session.testscollected > 0
        if session.config.option.collectonly or session.testsfailed:
            return (yield)
        names = [name for item in session.items if (name := leg_of(item)) is not None]
        chosen = {own_name(one) for one in session.items if own_body(one)}
        own = self.probing.own_checks
        self.probing.own_checks = {name: own[name] for name in own if name in chosen}
        INTERRUPTS.never()
        checks = self.sources.observations
        legs = [one for one in names if one not in checks]
        try:
            # Sources that named nothing are told of all the same.
            if legs or (names and not self.probing.available):
                self._measure(legs)
            self.probing.observations |= {one: checks[one] for one in names if one in checks}
            for seen in self.probing.recorded():
                self._write_property(seen)
            return (yield)
        finally:
            if any(seen.after_hold and seen.drops for seen in self.probing.recorded()):
                for seen in self.probing.recorded():
                    self._write_property(seen)  # a reader takes the last one of a name
            if self.lab is not None:
                self.lab.stop()

    def _measure(self, names: list[str]) -> None:
        progress = None
        if not self.config.option.exit_delivered and self.config.option.verbose >= 0:
            progress = progress_for(
                self.config.get_terminal_writer(),
                self.probing.hold_seconds,
                terminal=sys.stdout.isatty(),
                environ=os.environ,
            )
        try:
            if self.lab is not None and not self.probing.interrupted:
                with suppress(KeyboardInterrupt):
                    with INTERRUPTS.raising(1):
                        file = self._lab_started(self.lab)
                    real = load(file, os.environ, now=SystemClock().wall())
                    real = self.experiments.begin(real)
                    self.probing.use(sharded(real, self.shard, self.probing.vantage))
            opinions = self._opinions()
            self.shipping.begin(set(names) == {leg.name for leg in self.probing.available})
            opinions.ready(lambda: self.probing.interrupted)
            self.probing.measure(names, progress)
            self.probing.opinions = opinions.settle(
                self.probing.elapsed, lambda: self.probing.interrupted
            )
            self.sources.settle(self.probing.observations, ask=not self.probing.interrupted)
        except (DeploymentError, guard.LoopbackOnlyError) as error:
            raise pytest.UsageError(shown(error)) from None
        except (OSError, MemoryError, RuntimeError) as error:
            words = refused_by_system("the run cannot be made", error)
            raise pytest.UsageError(shown(words)) from None
        finally:
            if progress is not None:
                progress.end()

    def _opinions(self) -> RunOpinions:
        """What programs on the path say of themselves. Raises UsageError."""
        try:
            return RunOpinions(self.probing.deployment, self.probing.vantage, os.environ)
        except (DeploymentError, ValueError) as error:
            raise pytest.UsageError(shown(error)) from None

    def _lab_started(self, lab: Any) -> str:
        """The lab's deployment file. Raises UsageError."""
        from t3probe.lab.control import LabError

        try:
            return str(lab.start(self.config.option.fault))
        except LabError as error:
            raise pytest.UsageError(shown(error)) from None

    # -- judging -------------------------------------------------------------------------

    @pytest.fixture
    def leg(self, request: pytest.FixtureRequest) -> Observation:
        """What was seen on the leg that this test judges."""
        seen = self.probing.observations.get(request.param)
        if seen is None:
            pytest.fail(f"{request.param}: not probed, the run was interrupted", pytrace=False)
        require_conclusive(seen)
        return seen

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.probing.interrupted and leg_of(item) is None:
            pytest.skip("not run: the run was told to end")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Judging a leg takes no time; the body of another check may, so a signal ends it.

        One that failed is followed at once by a common beat: what the legs would say when all
        checks are through may lie after the end of what it met.
        """
        with INTERRUPTS.raising(1 if leg_of(item) is None else 2):
            done = yield
        seen = self.probing.observations.get(own_name(item)) if own_body(item) else None
        if seen is not None and seen.drops:
            self.probing.look_again(seen.leg)
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        hush(report)
        name = leg_of(item)
        seen = self.probing.observations.get(name) if name is not None else None
        if seen is not None:
            # A test lasts as long as its probe did; the phase that ended it carries the time.
            ending = call.when == "call" or (call.when == "setup" and not report.passed)
            report.duration = max(0.0, seen.ended - seen.started) if ending else 0.0
        elif own_body(item):
            self._observe_own(item, call, report)
        return report

    def _observe_own(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        if call.when == "teardown" or (call.when == "setup" and report.passed):
            return
        self.probing.clock = clock = self.probing.clock or RunClock()
        seen = observed(item, call, report, clock.now(), self.probing.calls + 1)
        self.probing.observations[seen.leg] = seen
        self._write_property(seen)

    # -- the record and the end ------------------------------------------------------------

    def _write_property(self, seen: Observation) -> None:
        from t3probe.record.facts import leg_property

        many = seen.of_many
        (self._junit.add_one_of_many if many else self._junit.add)(*leg_property(seen))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, object, object]:
        INTERRUPTS.never()
        usage = exitstatus == pytest.ExitCode.USAGE_ERROR
        if not usage and (self.probing.probed or self.probing.observations):
            session.exitstatus = self._conclusion.settle(
                self._junit, INTERRUPTS, int(session.exitstatus)
            )
        INTERRUPTS.settled()
        if not self._conclusion.reached:
            nothing = session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
            if nothing and self._idle_shard() and self.config.option.exit_delivered:
                session.exitstatus = 0  # there was nothing to deliver
            ran = self._looped and not self.config.option.collectonly
            session.exitstatus = self._conclusion.without(int(session.exitstatus), ran=ran)
            if self.probing.interrupted and session.exitstatus in {0, 1, 5}:
                session.exitstatus = EXIT_INTERRUPTED
            if self.own_file and (usage or not (self._looped or session.testsfailed)):
                self._junit.keep_last()
        file = Path(self.config.option.xmlpath or os.devnull)
        with self.results.writing("the record", file), self._junit.written_whole():
            return (yield)
        return None  # it could not be written

    def pytest_unconfigure(self) -> None:
        INTERRUPTS.over()
        gc.freeze()  # the process ends: looking through all that is left for garbage is for nothing

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        self._conclusion.tell(terminalreporter.write_line, self.config.option.xmlpath)
