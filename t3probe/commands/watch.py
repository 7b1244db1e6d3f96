"""`t3probe watch`: its arguments, its signals, and its start and end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t3probe.config.types import Deployment
    from t3probe.timing import Clock
    from t3probe.watch.http import SignsOfLife
    from t3probe.watch.log import Log
    from t3probe.watch.rigs_api import RigsServer
    from t3probe.watch.service import Watch
    from t3probe.watch.serving import ReadOnlyServer
    from t3probe.watch.systemd import Supervisor

EXIT_USAGE = 4


def add(commands: Any) -> None:
    """Add the command to the subparsers of `t3probe`."""
    parser = commands.add_parser(
        "watch",
        help="hold the legs until told to stop, with metrics of its own",
        description="Hold every leg of a deployment until told to stop: the checks' own probes, "
        "heartbeats and verdicts, with /metrics and /healthz, and one JSON line per drop on "
        "standard output. SIGHUP reads the file anew, SIGTERM ends it.",
    )
    parser.add_argument(
        "deployment", nargs="?", metavar="DEPLOYMENT", help="default: T3PROBE_DEPLOYMENT"
    )
    parser.add_argument(
        "--listen", default=":9108", metavar="HOST:PORT", help="default: %(default)s, everywhere"
    )
    parser.add_argument("--vantage", default="", metavar="NAME", help="where this runs from")
    parser.add_argument(
        "--push",
        action="store_true",
        help="send a trace of each incident to [delivery.otlp]",
    )
    parser.add_argument(
        "--api",
        metavar="HOST:PORT",
        help="[experiments]: serve the read-only interface about rigs there; default: nowhere",
    )
    parser.add_argument(
        "--state",
        metavar="FOLDER",
        help="[experiments]: where what was told of each rig outlives a restart",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="[experiments]: say what would be written to book, and write nothing",
    )
    parser.set_defaults(run=main)


class _Early:
    """Signals that come before the loop runs. PID 1 ignores SIGTERM until there is a handler,
    and SIGHUP would end the process."""

    def __init__(self) -> None:
        self.stop = self.reload = False
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, self._arrived)

    def _arrived(self, number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop = True


def main(arguments: argparse.Namespace) -> int:
    """Run the held mode; the exit code: 0 when told to end, 4 for wrong usage."""
    early = _Early()
    from t3probe import guard

    guard.install_from_environment()
    file = arguments.deployment or os.environ.get("T3PROBE_DEPLOYMENT")
    if not file:
        return _say("watch: expected a deployment file, found none; name one: t3probe watch FILE")

    import asyncio

    from t3probe.config import DeploymentError, load
    from t3probe.config.shard import check_vantage
    from t3probe.deliver.delivery import messenger_of
    from t3probe.timing import RunClock, SystemClock
    from t3probe.upstreams.nodes import with_names
    from t3probe.watch.http import Server, SignsOfLife
    from t3probe.watch.log import Log
    from t3probe.watch.serving import parse_listen

    clock = SystemClock()

    def read() -> Deployment:
        return with_names(load(file, os.environ, now=clock.wall()))

    try:
        listen = parse_listen(arguments.listen)
        deployment = read()
        check_vantage(arguments.vantage or deployment.vantage)
        if arguments.push:
            _check_receiver(deployment)
        messenger_of(deployment, os.environ, clock)
        health = SignsOfLife(clock)
        api = _api(arguments, deployment)
        server = Server(listen, health)
    except (DeploymentError, ValueError) as error:
        return _say(error)
    except OSError as error:
        words = error.strerror or error
        return _say(f"--listen {arguments.listen}: cannot listen there: {words}; name another")

    log = Log(clock.wall)
    run_clock = RunClock(clock)
    rigs = None
    if deployment.experiments is not None:
        from t3probe.watch.rigs_start import rig_watch

        try:
            rigs = rig_watch(
                deployment,
                run_clock,
                log,
                os.environ,
                server=api,
                state=arguments.state,
                dry_run=arguments.dry_run,
            )
        except (DeploymentError, ValueError) as error:
            log.end()
            return _say(error)

    async def hold() -> None:
        from t3probe.watch.service import Watch

        watch = Watch(
            deployment,
            load=read,
            vantage=arguments.vantage,
            log=log,
            publish=server.publish,
            health=health,
            clock=run_clock,
            rigs=rigs,
            traced=os.environ if arguments.push else None,
            told=os.environ,
            environ=os.environ,
        )
        listening = [one for one in (server, api) if one is not None]
        await _hold(watch, listening, log, early, health)

    stopped: list[BaseException] = []
    try:
        asyncio.run(hold())
    except* guard.LoopbackOnlyError as group:
        stopped.append(group)
    finally:
        server.stop()
        if api is not None:
            api.stop()
        log.end()
    return _say(_first(stopped[0])) if stopped else 0


def _api(arguments: argparse.Namespace, deployment: Deployment) -> RigsServer | None:
    """The server of `--api`, which listens already. Raises ValueError, a sentence."""
    if deployment.experiments is None:
        for option in ("api", "state", "dry_run"):
            if getattr(arguments, option):
                name = "--" + option.replace("_", "-")
                raise ValueError(
                    f"watch {name}: expected [experiments] in {deployment.file}, found none"
                )
    if not arguments.api:
        return None
    from t3probe.watch.rigs_start import api_server
    from t3probe.watch.serving import parse_listen

    return api_server(parse_listen(arguments.api, "--api"))


def _check_receiver(deployment: Deployment) -> None:
    """Raises DeploymentError or ValueError when traces have nowhere to go."""
    from t3probe.deliver.delivery import receiver_named

    if deployment.delivery.otlp is None:
        raise ValueError(
            f"watch --push: expected [delivery.otlp] in {deployment.file}, found none; the metrics "
            "are scraped, and only traces are sent"
        )
    receiver_named(deployment, os.environ)


async def _hold(
    watch: Watch,
    servers: Sequence[ReadOnlyServer],
    log: Log,
    early: _Early,
    health: SignsOfLife,
) -> None:
    import asyncio
    import gc

    from t3probe.watch.systemd import Supervisor

    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, watch.stop)
    loop.add_signal_handler(signal.SIGHUP, watch.reload)
    if early.stop:
        watch.stop()
    if early.reload:
        watch.reload()
    log.say(
        "start",
        deployment=watch.deployment.name,
        file=watch.deployment.file,
        vantage=watch.vantage,
        legs=len(watch.held.legs),
        listen=servers[0].address,
        api=servers[1].address if servers[1:] else None,
    )
    # What is loaded by now stays for good: no collection needs to look at it again.
    gc.collect()
    gc.freeze()
    serving = asyncio.create_task(watch.serve())
    await asyncio.sleep(0)  # the first snapshot is there before the first scrape
    for server in servers:
        server.start()
    supervisor = Supervisor(os.environ, os.getpid())
    supervisor.ready()
    signs = asyncio.create_task(_signs(supervisor, health, watch.clock.clock))
    try:
        await serving
    finally:
        supervisor.stopping()
        signs.cancel()
        drops = sum(one.drops for one in watch.held.tallies.values())
        log.say("stop", seconds=round(watch.clock.now(), 3), drops=drops)


async def _signs(supervisor: Supervisor, health: SignsOfLife, clock: Clock) -> None:
    """Signs of life for systemd, from the loop that probes: one that stands still gives none, and
    neither do legs that do not beat any more."""
    while supervisor.period_seconds is not None:
        if health.check()[0]:
            supervisor.alive()
        await clock.sleep(supervisor.period_seconds / 4)


def _first(error: BaseException) -> BaseException:
    """One of a group of groups: legs are stopped together, and for the same reason."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say(sentence: object) -> int:
    print(f"t3probe: {sentence}", file=sys.stderr)
    return EXIT_USAGE
