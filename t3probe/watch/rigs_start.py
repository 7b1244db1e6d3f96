"""What the held mode needs for the rigs of `[experiments]`, made from a file and a command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from t3probe.config.types import Deployment
from t3probe.timing import RunClock
from t3probe.upstreams.experiments.ask import Rights, RigService
from t3probe.upstreams.experiments.book import BookingSystem
from t3probe.upstreams.experiments.listen import StatsListener
from t3probe.upstreams.experiments.memory import RigMemory
from t3probe.upstreams.experiments.tokens import NoTokensError
from t3probe.watch.log import Log
from t3probe.watch.rigs import RigServices, RigWatch
from t3probe.watch.rigs_api import RigsServer
from t3probe.watch.serving import Listen


def rig_watch(
    deployment: Deployment,
    clock: RunClock,
    log: Log,
    environ: Mapping[str, str],
    *,
    server: RigsServer | None = None,
    state: str | None = None,
    dry_run: bool = False,
) -> RigWatch:
    """The rigs of a deployment that has some. Raises DeploymentError or ValueError, a sentence."""
    table = deployment.experiments
    assert table is not None
    memory = None
    if state is not None:
        try:
            memory = RigMemory(Path(state))
            alone = memory.alone()
        except OSError as error:
            words = error.strerror or error
            raise ValueError(f"--state {state}: expected a folder to write in: {words}") from None
        if not alone:
            raise ValueError(
                f"--state {state}: another process uses this folder; two would both write to book"
            )
    elif table.manage and not dry_run:
        log.say(
            "warning",
            text="without --state each restart tells unhealthy rigs anew, and nothing keeps a "
            "second process from writing to book",
        )
    rights = Rights.of(environ)
    try:
        relay, jump, book = (
            RigService(one, table, rights, clock.clock, deployment.tls_ca)
            for one in ("relay", "jump", "book")
        )
    except NoTokensError as error:
        raise ValueError(str(error)) from None
    silence = float(table.reported) / 2
    services = RigServices(
        StatsListener(relay, clock.now, silence_seconds=silence, keep=server is not None),
        StatsListener(jump, clock.now, silence_seconds=silence, keep=server is not None),
        BookingSystem(book, table.only),
    )
    return RigWatch(
        deployment,
        table,
        services,
        clock=clock,
        log=log,
        memory=memory,
        publish=None if server is None else server.publish,
        dry_run=dry_run,
    )


def api_server(listen: Listen) -> RigsServer:
    """Listens at once. Raises ValueError, a sentence."""
    try:
        return RigsServer(listen)
    except OSError as error:
        host, port = listen
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        words = error.strerror or error
        raise ValueError(f"--api {at}: cannot listen there: {words}; name another") from None
