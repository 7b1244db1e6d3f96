"""What `t3probe doctor` finds by asking: resolvers, routes, clock, gateway. Bounded, all at once.

Nothing is judged about the path: that is what a run is for.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from t3probe.config import Deployment, DeploymentError, Duration, Leg
from t3probe.config.delivery import RemoteWrite
from t3probe.config.endpoints import plain_host
from t3probe.config.errors import is_secret_key
from t3probe.config.secrets import login_of
from t3probe.guard import LoopbackOnlyError, is_loopback
from t3probe.observation import median
from t3probe.probes.base import Probing
from t3probe.probes.credential import has_credential
from t3probe.probes.facts import Collapsed, Facts, ProbeError, Target
from t3probe.probes.resolve import ResolveError, Resolver, split_address, targets
from t3probe.run.controller import Run
from t3probe.setup.machine import DoctorRow, fine, untold, wrong
from t3probe.text import showable
from t3probe.text.words import span

if TYPE_CHECKING:
    from t3probe.deliver.sinks.receiver import Sender
    from t3probe.exchange.client import Site

STEP_SECONDS = 3.0
TOTAL_SECONDS = 8.0
TOLERANCE_SECONDS = 5.0
"""A Date (RFC 9110, section 6.6.1) is whole seconds, and an answer may be a little old."""
SOME_IPV6 = ipaddress.IPv6Address("2001:db8::1")
"""For documentation (RFC 3849): routed like any other, and assigned to no host."""
MOST_ASKED = 6
"""Of so many servers the time is asked: enough for a majority."""


def routes(deployment: Deployment) -> list[DoctorRow]:
    """Whether this machine has a route to every address in the file. Sends nothing: a UDP
    socket that is connected asks the routing table alone."""
    known = sorted(_addresses(deployment), key=str)
    rows: list[DoctorRow] = []
    guarded = 0
    for address in known:
        try:
            no_route = not _routed(address)
        except LoopbackOnlyError:
            guarded += 1
            continue
        if no_route:
            fix = (
                f"ip route add {address} via ROUTER; or run elsewhere, with the leg's vantages set"
            )
            rows.append(wrong("route", f"none to {address}", fix))
    if guarded:
        words = f"{guarded} addresses are beyond loopback"
        rows.append(untold("route", words, "unset T3PROBE_LOOPBACK_ONLY"))
    if not rows:
        rows.append(fine("route", f"to {len(known)} addresses of the file"))
    with suppress(LoopbackOnlyError):
        there = "there is a route" if _routed(SOME_IPV6) else "none here: a name's are left out"
        rows.append(fine("IPv6", there))
    return rows


def _routed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((str(address), 9))
    except OSError as error:
        return error.errno not in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL,
                                   errno.EAFNOSUPPORT}  # fmt: skip
    return True


def _addresses(
    deployment: Deployment,
) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = set()
    for leg in deployment.legs:
        hosts = [urlsplit(one).hostname or "" for one in (leg.url or "", *leg.doh)]
        pairs = (leg.pin or "", leg.address or "", *leg.addresses, *leg.fallback)
        for text in (*hosts, *(split_address(one)[0] for one in pairs if one)):
            with suppress(ValueError):
                found.add(ipaddress.ip_address(plain_host(text)))
    return found


def ask(deployment: Deployment, where: str, environ: Mapping[str, str]) -> list[DoctorRow]:
    """Everything that needs an answer from somewhere; ends within `TOTAL_SECONDS`. `where`: the
    gateway's URL; empty: there is none."""
    timing = msgspec.structs.replace(
        deployment.timing,
        connect_timeout=Duration(min(STEP_SECONDS, deployment.timing.connect_timeout)),
        watchdog=Duration(STEP_SECONDS),
    )
    return asyncio.run(_ask(msgspec.structs.replace(deployment, timing=timing), where, environ))


async def _ask(deployment: Deployment, where: str, environ: Mapping[str, str]) -> list[DoctorRow]:
    run = Run(deployment, [], hold=0.0)
    probing = run.probing
    providers = _providers(deployment)
    asked = [asyncio.create_task(_resolver(url, name, probing)) for url, name in providers.items()]
    dated = [
        asyncio.create_task(_date(leg, probing, run.resolver)) for leg in _dated(deployment.legs)
    ]
    shown = [one for one in deployment.legs if has_credential(one)][:MOST_ASKED]
    let_in = [asyncio.create_task(_let_in(leg, probing, run.resolver)) for leg in shown]
    pushed = asyncio.create_task(asyncio.to_thread(gateway, where, deployment.tls_ca, environ))
    traced = asyncio.create_task(asyncio.to_thread(traces, deployment, environ))
    written = [
        asyncio.create_task(asyncio.to_thread(receiver, one, deployment.tls_ca, environ))
        for one in deployment.delivery.remote_write
    ]
    told = asyncio.create_task(asyncio.to_thread(people, deployment, environ))
    try:
        await asyncio.wait(
            [*asked, *dated, *let_in, pushed, traced, told, *written], timeout=TOTAL_SECONDS
        )
        rows = [
            task.result() if task.done() else untold("resolver", f"{url}: too slow", "look again")
            for url, task in zip(providers, asked, strict=True)
        ]
        offsets = [task.result() for task in dated if task.done()]
        rows.append(clock([one for one in offsets if one is not None]))
        rows += [
            task.result()
            if task.done()
            else untold("credential", f"{leg.name}: too slow", "look again")
            for leg, task in zip(shown, let_in, strict=True)
        ]
        rows += pushed.result() if pushed.done() else []
        rows += [row for one in written if one.done() for row in one.result()]
        rows += traced.result() if traced.done() else []
        rows += told.result() if told.done() else []
        return rows
    finally:
        for task in (*asked, *dated, *let_in):
            task.cancel()
        await asyncio.gather(
            *asked, *dated, *let_in, pushed, traced, told, *written, return_exceptions=True
        )
        await run.resolver.aclose()


def _providers(deployment: Deployment) -> dict[str, str]:
    """Each DoH provider, and a name that some leg asks it for."""
    found: dict[str, str] = {}
    for leg in deployment.legs:
        name = leg.query or urlsplit(leg.url or "").hostname or ""
        for url in leg.doh:
            found.setdefault(url, name)
    return found


async def _resolver(url: str, name: str, probing: Probing) -> DoctorRow:
    from t3probe.probes.doh import NoAddress, ask_address
    from t3probe.probes.http_client import HttpClient

    parts = urlsplit(url)
    host = parts.hostname or ""
    client = HttpClient(Target(host, host, parts.port or 443), probing, Facts())
    try:
        told = await ask_address(client, url, name, STEP_SECONDS)
    except NoAddress as error:
        fix = "look whether the name is right, and whether it has records"
        return wrong("resolver", f"{url} knows no address of {name}: {error.words}", fix)
    except ProbeError as error:
        port = parts.port or 443
        fix = f"nc -vz {host} {port}; let HTTPS to {host} out, or name other resolvers in doh"
        return wrong("resolver", f"{url} gives no address: {showable(error.detail)}", fix)
    except LoopbackOnlyError:
        return untold("resolver", f"{url} is beyond loopback", "unset T3PROBE_LOOPBACK_ONLY")
    finally:
        await client.close()
    more = f"; {showable(told.note)}" if told.note else ""
    return fine("resolver", f"{url} answers {name}, {len(told.addresses)} addresses{more}")


def _dated(legs: Iterable[Leg]) -> list[Leg]:
    """Legs whose servers can be asked for the time, each server once."""
    found: dict[tuple[str | None, str], Leg] = {}
    for leg in legs:
        if leg.url:
            found.setdefault((leg.pin, urlsplit(leg.url).netloc), leg)
    return list(found.values())[:MOST_ASKED]


async def _date(leg: Leg, probing: Probing, resolver: Resolver) -> float | None:
    """How far this machine's clock is ahead of a server's, in seconds; None: it does not say."""
    from t3probe.probes.http_client import HttpClient

    url = (leg.url or "").replace("ws", "http", 1) if leg.kind.startswith("ws") else leg.url or ""
    try:
        found = await targets(leg, probing, resolver)
        client = HttpClient(found[0], probing, Facts())
        try:
            answer = await client.ask("GET", url, limit=STEP_SECONDS)
        finally:
            await client.close()
        here = probing.clock.wall_at((answer.sent + answer.ended) / 2)
        # In the middle of the second that it names.
        return here - parsedate_to_datetime(str(answer.headers["date"])).timestamp() - 0.5
    except (ProbeError, ResolveError, Collapsed, LoopbackOnlyError):
        return None
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None


async def _let_in(leg: Leg, probing: Probing, resolver: Resolver) -> DoctorRow:
    """Whether what a leg shows to be let in can be read, and lets it in: one beat."""
    from t3probe.probes import opener

    what, fix = "credential", f"t3probe check FILE -k {leg.name}"
    try:
        found = await targets(leg, probing, resolver)
        line = await opener(leg.kind)(leg, found[0], probing)
        try:
            await line.beat()
        finally:
            await line.close()
    except ProbeError as error:
        words = f"{leg.name}: {showable(error.detail)}"
        if error.reason == "token_refused":
            return wrong(what, words, "put the current one into the file, and let us read it")
        return untold(what, f"{words}; it was not tried", fix)
    except LoopbackOnlyError:
        return untold(what, f"{leg.name} is beyond loopback", "unset T3PROBE_LOOPBACK_ONLY")
    except (ResolveError, Collapsed, IndexError):
        return untold(what, f"{leg.name}: nobody to show it to", fix)
    return fine(what, f"{leg.name} is let in")


def clock(ahead: list[float]) -> DoctorRow:
    """What servers' Dates say about our clock; `ahead`: by how many seconds it leads each."""
    if not ahead:
        return untold("clock", "no server that was asked told the time", "timedatectl status")
    middle = median(ahead)
    agree = [one for one in ahead if abs(one - middle) <= TOLERANCE_SECONDS]
    if len(agree) * 2 <= len(ahead):
        return untold("clock", f"{len(ahead)} servers contradict each other", "timedatectl status")
    if abs(middle) <= TOLERANCE_SECONDS:
        return fine("clock", f"within {span(TOLERANCE_SECONDS)} of {len(agree)} servers")
    way = "ahead of" if middle > 0 else "behind"
    words = f"{span(round(abs(middle)))} {way} {len(agree)} of {len(ahead)} servers"
    return wrong("clock", words, "timedatectl set-ntp true; or start the NTP service")


def gateway(url: str, ca: str | None, environ: Mapping[str, str]) -> list[DoctorRow]:
    """Whether the Pushgateway answers and takes our login; no row without a URL."""
    from t3probe.exchange.client import Site

    if not url:
        return []
    try:
        site = Site(url, login_of("gateway", environ, ca))
    except (ValueError, DeploymentError) as problem:
        return [wrong("gateway", str(problem), "change it in [delivery], --gateway, or T3PROBE_")]
    return [_gateway(site), *_in_the_clear("gateway", site)]


def _gateway(site: Site) -> DoctorRow:
    from t3probe.exchange.client import Budget, Trouble, exchange
    from t3probe.timing import SystemClock

    try:
        answer = exchange(site, "GET", "/api/v1/status", Budget(SystemClock(), STEP_SECONDS))
    except Trouble as problem:
        words = f"{site.name} {problem.what}"
        if "T3PROBE_LOOPBACK_ONLY" in problem.what:
            return untold("gateway", f"{site.name} is beyond loopback", "unset the variable")
        start = f"prometheus-pushgateway --web.listen-address=:{site.port}"
        return wrong("gateway", words, f"start it there: {start}; or change it in [delivery]")
    if answer.status in {401, 403}:
        fix = "set T3PROBE_GATEWAY_TOKEN, or T3PROBE_GATEWAY_USER and T3PROBE_GATEWAY_PASSWORD"
        return wrong("gateway", f"{site.name} refuses the login (HTTP {answer.status})", fix)
    if answer.status != 200 or b'"success"' not in answer.body:
        words = f"{site.name} is no Pushgateway: HTTP {answer.status} at /api/v1/status"
        return wrong("gateway", words, "change gateway in [delivery]")
    return fine("gateway", f"{site.name} answers, and takes our login")


def _in_the_clear(
    what: str, site: Site, headers: Mapping[str, str] | None = None
) -> list[DoctorRow]:
    """A row where a login goes to another host without TLS."""
    login = [*site.login.headers(), *filter(is_secret_key, headers or {})]
    here = is_loopback(site.host) or site.host == "localhost"
    if site.parts.scheme == "https" or here or not (login or site.parts.username):
        return []
    words = f"the login for {site.name} goes over plain http; who reads it on the way is not known"
    return [untold(what, words, "use https; or a network that is yours alone")]


def receiver(named: RemoteWrite, ca: str | None, environ: Mapping[str, str]) -> list[DoctorRow]:
    """Whether a receiver of remote write takes a request, and our login. It is sent one without
    series, so nothing is stored."""
    from t3probe.deliver.sinks.receiver import Sender, receiver_of

    what = "receiver"
    # Who asks for a module inside another imports that one.
    if not (find_spec("cramjam") and find_spec("google") and find_spec("google.protobuf")):
        return [wrong(what, "the extra is not installed", "pip install 't3probe[remote-write]'")]
    try:
        sender = Sender(receiver_of(named, environ, ca))
    except (ValueError, DeploymentError) as problem:
        return [wrong(what, str(problem), "change it in [[delivery.remote_write]], or T3PROBE_")]
    return [_takes(what, sender), *_in_the_clear(what, sender.site, named.headers)]


def _takes(what: str, sender: Sender) -> DoctorRow:
    from t3probe.exchange.client import Budget, Trouble
    from t3probe.timing import SystemClock

    system = SystemClock()
    try:
        sender.ask_time(Budget(system, STEP_SECONDS), system)
    except Trouble as problem:
        name = sender.subject.removeprefix("the receiver ")
        if "T3PROBE_LOOPBACK_ONLY" in problem.what:
            return untold(what, f"{name} is beyond loopback", "unset the variable")
        words, _, fix = problem.what.partition("; ")
        return wrong(what, f"{name} {words}", fix or "start it there, or change its url")
    finally:
        sender.close()
    if sender.takes is False:
        name = sender.subject.removeprefix("the receiver ")
        fix = "look at its url and the login; a receiver takes one"
        return untold(what, f"{name} refuses a request without series", fix)
    ahead = -(sender.theirs_ahead_ms or 0) / 1000
    name = sender.subject.removeprefix("the receiver ")
    if abs(ahead) > TOLERANCE_SECONDS:
        way = "ahead of" if ahead > 0 else "behind"
        words = f"this clock is {abs(ahead):.0f} s {way} that of {name}"
        return wrong(what, words, "timedatectl set-ntp true, there or here")
    return fine(what, f"{name} takes requests, and our login")


def traces(deployment: Deployment, environ: Mapping[str, str]) -> list[DoctorRow]:
    """Whether the receiver of traces takes an empty request, which stores nothing; no row where
    none is named."""
    from t3probe.deliver.delivery import receiver_named
    from t3probe.deliver.sinks.otlp import ask as empty
    from t3probe.exchange.client import Budget
    from t3probe.timing import SystemClock

    if deployment.delivery.otlp is None:
        return []
    try:
        receiver = receiver_named(deployment, environ)
    except (ValueError, DeploymentError) as problem:
        return [wrong("traces", str(problem), "change it in [delivery.otlp], OTEL_ or T3PROBE_")]
    if receiver is None:
        return [untold("traces", "OTEL_SDK_DISABLED is set: none is sent", "unset it")]
    plain = _in_the_clear("traces", receiver.site, receiver.headers)
    taken, words, fix = empty(receiver, Budget(SystemClock(), STEP_SECONDS))
    if "T3PROBE_LOOPBACK_ONLY" in words:
        where = f"{receiver.site.name} is beyond loopback"
        return [untold("traces", where, "unset T3PROBE_LOOPBACK_ONLY"), *plain]
    return [fine("traces", words) if taken else wrong("traces", words, fix), *plain]


def people(deployment: Deployment, environ: Mapping[str, str]) -> list[DoctorRow]:
    """Whether the mail server takes our login, and webhooks answer. Nothing is sent that anybody
    would read; no row where nobody is told."""
    from t3probe.exchange.client import Budget, Login, Site, Trouble, exchange
    from t3probe.timing import SystemClock

    rows: list[DoctorRow] = []
    delivery, ca, clock = deployment.delivery, deployment.tls_ca, SystemClock()
    if delivery.mail is not None:
        from t3probe.deliver.notices import mail

        fix = "change it in [delivery.mail], or T3PROBE_MAIL_PASSWORD"
        try:
            box = mail.mailbox_of(delivery.mail, environ, ca)
        except (ValueError, DeploymentError) as problem:
            rows.append(wrong("mail", str(problem), fix))
        else:
            what = mail.ask(box, Budget(clock, STEP_SECONDS))
            if "T3PROBE_LOOPBACK_ONLY" in what:
                rows.append(untold("mail", f"{box.name} is beyond loopback", "unset the variable"))
            elif what:
                rows.append(wrong("mail", f"{box.name} {what}", fix))
            else:
                login = ", and our login" if box.user else ""
                rows.append(fine("mail", f"{box.name} answers{login}"))
    for one in delivery.webhook:
        from t3probe.deliver.notices import webhook

        try:
            hook = webhook.hook_of(one, environ, ca)
        except (ValueError, DeploymentError) as problem:
            fix = "change it in [[delivery.webhook]], or T3PROBE_WEBHOOK_"
            rows.append(wrong("webhook", str(problem), fix))
            continue
        site = Site(hook.url, hook.login)
        try:
            # Without the path and the login: whether they are right only a message tells.
            exchange(Site(f"{site.parts.scheme}://{site.name}", Login(ca_file=hook.login.ca_file)),
                     "HEAD", None, Budget(clock, STEP_SECONDS))  # fmt: skip
        except Trouble as problem:
            if "T3PROBE_LOOPBACK_ONLY" in problem.what:
                words = f"{site.name} is beyond loopback"
                rows.append(untold("webhook", words, "unset the variable"))
            else:
                fix = "start it there, or change its url"
                rows.append(wrong("webhook", f"{site.name} {problem.what}", fix))
        else:
            rows.append(fine("webhook", f"{site.name} answers"))
        rows += _in_the_clear("webhook", site)
    return rows
