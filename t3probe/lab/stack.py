"""The lab's hops, in a row on loopback.

    client ─ 127.0.0.2:P, [::1]:P ─ wan, cf-edge ─ tunnel ─ traefik at 127.0.0.3:P ┬ carve-out ┐
                                                                                   └ wall ┐    │
    client ─ 127.0.0.2:D ─ wan ─ doh (twice)                    devvm: serve ─────────────┘    │
    client ─ upstreams                                          devvm: dispatch ───────────────┘

Public address and load balancer share the port P, so that a resolver that answers with the
internal address really leads the public leg to the load balancer. Each listener is a `Gate`;
applications stand behind gates, and every hop is a TCP connection of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from t3probe.lab.board import Board
from t3probe.lab.certs import Certificates, ServerTls
from t3probe.lab.control import LabError
from t3probe.lab.control_server import ControlServer
from t3probe.lab.deployment import HOST, LabAddresses, deployment_text, merged_timing
from t3probe.lab.doh import Provider
from t3probe.lab.edge import Edge
from t3probe.lab.faults import UPSTREAMS, Fault, FaultError, parse_duration, parse_fault
from t3probe.lab.gate import Address, Gate, bind
from t3probe.lab.machine import Dispatch, Page, Serve
from t3probe.lab.ready import LabSite, wait_until_ready
from t3probe.lab.rig_faults import checked_number, kinds_of, rig_in, rig_names
from t3probe.lab.streams import Keeper
from t3probe.lab.traefik import Traefik
from t3probe.text.names import UPSTREAM_SEGMENT

LOCAL_HOST = "127.0.0.1"
PUBLIC_HOST = "127.0.0.2"
BALANCER_HOST = "127.0.0.3"
PUBLIC_HOST_IPV6 = "::1"
_PORT_TRIES = 50


class _App(Protocol):
    port: int

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class Lab:
    """One lab inside the running event loop. `start` and `stop` once each."""

    def __init__(
        self,
        faults: Sequence[Fault | str] = (),
        timing: Mapping[str, str] | None = None,
        *,
        experiments: int = 0,
        opinions: bool = False,
    ) -> None:
        """`faults` are in force once the lab is ready; `timing` overrides the deployment's;
        `experiments`: so many remote rigs, with the services that know them; `opinions`: with
        what cloudflared and Traefik say of themselves.

        Raises FaultError and ValueError, each with one sentence.
        """
        self._rig_number = checked_number(experiments)
        self._with_opinions = opinions
        self._first_faults = self._checked(faults)
        self._timing = merged_timing(timing or {})
        self._board = Board()
        self._keeper = Keeper()
        self._gates: list[Gate] = []
        self._apps: list[_App] = []
        self._sockets: list[socket.socket] = []
        self._folder: Path | None = None
        self._control: ControlServer | None = None
        self._places: LabAddresses | None = None

    async def start(self) -> None:
        """Start every hop, wait until each answers end to end, put the faults in force.

        Raises LabError when that is impossible here; nothing is left behind then.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End every connection, task and listener, and remove the lab's files."""
        self._board.close()
        try:
            for gate in self._gates:
                gate.close()
            if self._control:
                await self._control.close()
            for app in self._apps:
                await app.close()
            await self._keeper.close()
            for sock in self._sockets:
                sock.close()
        finally:
            if self._folder:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def deployment_text(self) -> str:
        """The deployment file of this lab, as TOML. Only while it runs."""
        if not self._places:
            raise LabError("the lab has not been started: call start() first.")
        return deployment_text(self._places, self._timing)

    @property
    def has_rigs(self) -> bool:
        """Whether it has remote rigs: runs on it need `t3probe.lab.rig_faults.environment`."""
        return self._rig_number > 0

    @property
    def places(self) -> LabAddresses:
        """Where the lab listens. Only while it runs."""
        if not self._places:
            raise LabError("the lab has not been started: call start() first.")
        return self._places

    async def switch(self, faults: Sequence[Fault | str]) -> None:
        """Replace the faults in force. Returns when those without AFTER have begun."""
        self._board.switch(self._checked(faults))

    async def add(self, faults: Sequence[Fault | str]) -> None:
        """Put more faults in force."""
        self._board.add(self._checked(faults))

    async def clear(self) -> None:
        """End every fault."""
        self._board.switch([])

    def status(self) -> dict[str, object]:
        """The faults given, those in force now, and how many connections and tasks there are."""
        return {
            "faults": [str(fault) for fault in self._board.faults()],
            "active": [str(fault) for fault in self._board.active()],
            "connections": sum(gate.connections for gate in self._gates),
            "tasks": self._keeper.tasks,
        }

    # Building

    async def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="t3probe-lab-"))
        certificates = Certificates(self._folder, HOST, [PUBLIC_HOST])
        edges, balancer = self._public_sockets()
        node, dispatch, serve = await self._machine()
        traefik = await self._traefik(certificates, balancer, dispatch, serve)
        await self._edge(certificates, edges, traefik)
        internal = {"A": BALANCER_HOST}
        public = {"A": PUBLIC_HOST, **({"AAAA": PUBLIC_HOST_IPV6} if len(edges) > 1 else {})}
        providers = [
            await self._provider(certificates, number, public, internal) for number in (1, 2)
        ]
        upstreams = [
            self._gate(self._bound(LOCAL_HOST), None, f"{UPSTREAM_SEGMENT}{name}")
            for name in UPSTREAMS
        ]
        site = LabSite(
            edges=[_address(one) for one in edges],
            balancer=traefik,
            providers=providers,
            node=node,
            dispatch=dispatch,
            serve=serve,
            upstreams=upstreams,
        )
        rig_services = await self._rigs() if self._rig_number else ()
        opinions = await self._opinions() if self._with_opinions else ()
        for gate in self._gates:
            gate.start()
        await wait_until_ready(site, certificates.client())
        await self._quiet()
        self._control = ControlServer(self, self._keeper)
        control = await self._control.start()
        self._places = LabAddresses(
            public=_text(site.edges[0]),
            balancer=_text(site.balancer),
            doh=tuple(_text(one) for one in providers),
            node=_text(node),
            dispatch=_text(dispatch),
            serve=_text(serve),
            upstreams=tuple(_text(one) for one in upstreams),
            rig_services=rig_services,
            opinions=opinions,
            control=_text(control),
            token=self._control.token,
            pid=os.getpid(),
            ca=str(certificates.ca_file),
        )
        self._board.arm(self._first_faults)

    async def _quiet(self) -> None:
        """End what is left of the readiness checks: none of it is a client."""
        await asyncio.gather(
            *(task for gate in self._gates for task in gate.end_all()), return_exceptions=True
        )

    async def _machine(self) -> tuple[Address, Address, Address]:
        """devvm with its metrics page, dispatch and serve."""
        page = await self._run(Page(self._keeper, self._bound(LOCAL_HOST), None))
        beats = (parse_duration(self._timing[name]) for name in ("heartbeat", "watchdog"))
        dispatch = await self._run(Dispatch(self._board, self._bound(LOCAL_HOST), *beats))
        serve = await self._run(Serve(self._board, self._keeper, self._bound(LOCAL_HOST)))
        return (
            self._gate(self._bound(LOCAL_HOST), page, "devvm", silent=("devvm",)),
            self._gate(
                self._bound(LOCAL_HOST),
                dispatch,
                *("devvm", "dispatch"),
                silent=("devvm", "dispatch"),
                websocket=True,
            ),
            self._gate(self._bound(LOCAL_HOST), serve, "devvm", "serve", silent=("devvm", "serve")),
        )

    async def _opinions(self) -> tuple[str, ...]:
        """cloudflared's metrics server and Traefik's API, which no fault's gate stands before."""
        from t3probe.lab.opinions import CloudflaredPage, TraefikApi

        made = [
            await self._run(kind(self._board, self._keeper, self._bound(LOCAL_HOST)))
            for kind in (CloudflaredPage, TraefikApi)
        ]
        return tuple(_text(one) for one in made)

    async def _rigs(self) -> tuple[str, ...]:
        """The remote rigs and relay, jump and book; the base URLs of these three."""
        from t3probe.lab.rigs import BookStandIn, JumpStandIn, RelayStandIn, Rigs

        rigs = Rigs(self._board, self._rig_number)
        bases = []
        for kind in (RelayStandIn, JumpStandIn, BookStandIn):
            app = kind(self._board, self._keeper, self._bound(LOCAL_HOST), rigs)
            gate = self._gate(self._bound(LOCAL_HOST), await self._run(app), app.name)
            app.base = f"http://{_text(gate)}{app.path}"
            bases.append(app.base)
        return tuple(bases)

    def _checked(self, faults: Sequence[Fault | str]) -> list[Fault]:
        """The faults, when they can befall this lab. Raises FaultError."""
        found = _parsed(faults)
        known = rig_names(self._rig_number)
        for one in found:
            if not kinds_of(one.segment):
                continue
            if not known:
                problem = "this lab has no remote rigs; start it with --experiments 3."
                raise FaultError(str(one), problem)
            rig = rig_in(one.segment)
            if rig and rig not in known:
                problem = f"there is no rig {rig!r}; this lab has {known[0]} to {known[-1]}."
                raise FaultError(str(one), problem)
        return found

    async def _traefik(
        self, certificates: Certificates, front: socket.socket, dispatch: Address, serve: Address
    ) -> Address:
        tls = ServerTls(self._board, certificates, "host", "traefik")
        listener = self._bound(LOCAL_HOST)
        app = Traefik(self._board, self._keeper, listener, tls.context, HOST, dispatch, serve)
        return self._gate(front, await self._run(app), "traefik")

    async def _edge(
        self, certificates: Certificates, fronts: Sequence[socket.socket], traefik: Address
    ) -> None:
        tunnel = self._gate(self._bound(LOCAL_HOST), traefik, "tunnel")
        tls = ServerTls(self._board, certificates, "host", "cf-edge")
        listener = self._bound(LOCAL_HOST)
        app = Edge(
            self._board, self._keeper, listener, tls.context, tunnel, certificates.client(), HOST
        )
        edge = await self._run(app)
        for front in fronts:
            self._gate(front, edge, "wan", "cf-edge", silent=("wan",))

    async def _provider(
        self,
        certificates: Certificates,
        number: int,
        public: dict[str, str],
        internal: dict[str, str],
    ) -> Address:
        """One DoH provider; wan has a gate of its own here, so that egress needs no doh."""
        tls = ServerTls(self._board, certificates, "address", "doh", number)
        listener = self._bound(LOCAL_HOST)
        app = Provider(
            self._board, self._keeper, listener, tls.context, number, HOST, public, internal
        )
        behind = self._gate(
            self._bound(LOCAL_HOST), await self._run(app), "doh", process=(), provider=number
        )
        # What ends, refuses and hangs up at the provider's address is the provider itself.
        front = self._bound(PUBLIC_HOST)
        return self._gate(front, behind, "wan", silent=("wan",), process=("doh",), provider=number)

    async def _run(self, app: _App) -> Address:
        self._apps.append(app)
        await app.start()
        return (LOCAL_HOST, app.port)

    def _gate(
        self,
        listener: socket.socket,
        target: Address | None,
        *segments: str,
        silent: tuple[str, ...] = (),
        process: tuple[str, ...] | None = None,
        websocket: bool = False,
        provider: int | None = None,
    ) -> Address:
        gate = Gate(
            self._board,
            self._keeper,
            listener,
            target,
            segments,
            silent=silent,
            process=process,
            websocket=websocket,
            provider=provider,
        )
        self._gates.append(gate)
        return gate.address

    def _bound(self, host: str, port: int = 0) -> socket.socket:
        try:
            sock = bind(host, port)
        except OSError as error:
            if port:
                raise
            raise LabError(
                f"cannot listen on {host} ({error.strerror}): the lab needs the loopback addresses"
                f" {LOCAL_HOST}, {PUBLIC_HOST} and {BALANCER_HOST}, which Linux has by itself;"
                f" elsewhere add them to the loopback interface (macOS: ifconfig lo0 alias {host})."
            ) from error
        self._sockets.append(sock)
        return sock

    def _public_sockets(self) -> tuple[list[socket.socket], socket.socket]:
        """The edge's sockets and the load balancer's, all on one free port."""
        self._bound(BALANCER_HOST).close()  # a missing address is not a taken port
        for _ in range(_PORT_TRIES):
            first = self._bound(PUBLIC_HOST)
            port = first.getsockname()[1]
            try:
                balancer = self._bound(BALANCER_HOST, port)
                edges = [first]
                if _has_ipv6():
                    edges.append(self._bound(PUBLIC_HOST_IPV6, port))
            except OSError:
                continue  # somebody else has that port on one of the addresses
            return edges, balancer
        raise LabError(
            f"found no port that is free on {PUBLIC_HOST}, {BALANCER_HOST} and"
            f" {PUBLIC_HOST_IPV6}: {_PORT_TRIES} were tried; try again."
        )


def _has_ipv6() -> bool:
    try:
        bind(PUBLIC_HOST_IPV6).close()
    except OSError:
        return False
    return True


def _parsed(faults: Sequence[Fault | str]) -> list[Fault]:
    return [parse_fault(one) if isinstance(one, str) else one for one in faults]


def _address(sock: socket.socket) -> Address:
    name = sock.getsockname()
    return (name[0], name[1])


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
