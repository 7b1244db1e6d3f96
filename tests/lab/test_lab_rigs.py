"""The lab's remote rigs: what its services say, and listening to them through every fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import jwt
import pytest

from t3probe.config import loads
from t3probe.config.types import Experiments
from t3probe.exchange.client import Budget, Site, exchange
from t3probe.lab.faults import FaultError, parse_fault
from t3probe.lab.rig_faults import RIG_FAULT_KINDS, RIG_FAULTS, SECRETS, environment
from t3probe.lab.rigs import go_duration
from t3probe.lab.stack import Lab
from t3probe.timing import SystemClock
from t3probe.upstreams.experiments.ask import Rights, RigService, ServiceError
from t3probe.upstreams.experiments.book import BookingSystem
from t3probe.upstreams.experiments.listen import StatsListener, checked_address
from t3probe.upstreams.experiments.tokens import NoTokensError
from t3probe.upstreams.experiments.wire import Service, ServiceReport, age_of

CLOCK = SystemClock()
SILENCE = 1.2


class Here:
    """A lab with three rigs, and how to ask its services."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        table = loads(lab.deployment_text(), environ={}, now=0).experiments
        assert table is not None
        self.table: Experiments = table
        self.rights = Rights.of(environment())

    def service(self, name: str) -> RigService:
        return RigService(name, self.table, self.rights, CLOCK)  # type: ignore[arg-type]

    async def book(self, work: Callable[[BookingSystem], object]) -> object:
        return await asyncio.to_thread(work, BookingSystem(self.service("book")))

    async def heard(self, name: str) -> ServiceReport:
        found: list[ServiceReport] = []
        listener = StatsListener(self.service(name), CLOCK.monotonic, silence_seconds=SILENCE)

        def take(report: ServiceReport) -> bool:
            found.append(report)
            return False

        await listener.hear(take)
        return found[0]


@asynccontextmanager
async def rigs() -> AsyncIterator[Here]:
    lab = Lab(experiments=3)
    await lab.start()
    try:
        yield Here(lab)
    finally:
        await lab.stop()


def run(work: Callable[[Here], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with rigs() as here:
            await work(here)

    asyncio.run(whole())


def test_what_is_reported() -> None:
    async def work(here: Here) -> None:
        async def relay(*faults: str) -> dict[str, float]:
            await here.lab.switch(faults)
            found = await here.heard("relay")
            return {topic: last.age_seconds for topic, last in found.rigs.items()}

        names = [f"spin0{n}-st-{stream}" for n in (1, 2, 3) for stream in ("data", "video")]
        ages = await relay()
        assert sorted(ages) == names
        assert max(ages.values()) < 1
        ages = await relay("stream-spin01-video:stale")
        assert [one for one, age in ages.items() if age > 45] == ["spin01-st-video"]
        assert sorted(await relay("stream-spin01-video:absent")) == sorted(
            {*names} - {"spin01-st-video"}
        )
        ages = await relay("rig-spin02:stall")
        assert sorted(one for one, age in ages.items() if age > 45) == names[2:4]
        assert min((await relay("relay:mute")).values()) > 45
        assert sorted(await relay("rig-spin02:gone")) == names[:2] + names[4:]
        assert await relay("relay:lost") == {}
        await here.lab.switch(["relay:no-stats"])
        assert all(last.unsaid for last in (await here.heard("relay")).rigs.values())

        async def jump(*faults: str) -> list[str]:
            await here.lab.switch(faults)
            return sorted((await here.heard("jump")).rigs)

        assert await jump() == await jump("jump:camel") == ["spin01", "spin02", "spin03"]
        for fault in ("rig-spin02:stall", "rig-spin02:gone", "rig-spin02:no-jump"):
            assert await jump(fault) == ["spin01", "spin03"]
        assert await jump("jump:lost") == []

    run(work)


BROKEN = {
    "refuse": ("connect_refused", True),
    "blackhole": ("connect_timeout", True),
    "reset": ("connect_failed", True),
    "silent": ("rtt_timeout", True),
    "bad-code": ("rtt_timeout", True),
    "empty": ("rtt_timeout", True),
    "foreign": ("protocol_error", False),
    "garbage": ("protocol_error", True),
    "unauthorized": ("token_refused", False),
    "bad-token": ("token_refused", False),
    "http500": ("http_5xx", True),
}
OTHERS = {"lost", "no-stats", "mute", "camel"}


def test_what_keeps_us_from_hearing_is_told_by_its_reason() -> None:
    """And whether it is the service's own failure."""

    async def work(here: Here) -> None:
        services: tuple[Service, ...] = ("relay", "jump")
        for service in services:
            assert {*RIG_FAULTS[service]} - OTHERS == BROKEN.keys()
            for kind, expected in BROKEN.items():
                await here.lab.switch([f"{service}:{kind}"])
                with pytest.raises(ServiceError) as caught:
                    await here.heard(service)
                assert (caught.value.reason, caught.value.tells) == expected, kind
                assert "\n" not in str(caught.value)
                assert all(one not in str(caught.value) for one in SECRETS.values())

    run(work)


def test_listening_goes_on_after_each_end() -> None:
    async def work(here: Here) -> None:
        failed: list[str] = []
        heard: list[ServiceReport] = []
        pauses: list[float] = []
        listener = StatsListener(here.service("relay"), CLOCK.monotonic, silence_seconds=SILENCE)
        await here.lab.switch(["relay:http500"])

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                await here.lab.clear()

        def take(report: ServiceReport) -> bool:
            heard.append(report)
            return len(heard) < 3

        async with asyncio.timeout(30):
            await listener.listen(take, lambda error: failed.append(error.reason), sleep)
        assert (failed, pauses) == (["http_5xx"] * 3, [1.0, 2.0, 4.0])
        assert len(heard) == 3

    run(work)


def test_book() -> None:
    async def work(here: Here) -> None:
        found = await here.book(lambda book: book.rigs())
        assert [one.name for one in found.rigs] == ["spin01", "spin02", "spin03"]  # type: ignore[attr-defined]
        reason = "t3probe: missing required spin01-st-video & more?"
        await here.book(lambda book: book.write("r-spin01", False, reason))
        said = await here.book(lambda book: book.offered("r-spin01"))
        assert said.available is False  # type: ignore[attr-defined]
        assert said.reason == f"unavailable because {reason}"  # type: ignore[attr-defined]
        await here.lab.switch(["book:forget"])
        said = await here.book(lambda book: book.offered("r-spin01"))
        assert said.available is True  # type: ignore[attr-defined]
        for fault, words in (
            ("book:409", "answers 409"),
            ("book:garbage", "answers 200"),
            ("book:unauthorized", "answers 401"),
        ):
            await here.lab.switch([fault])
            with pytest.raises(ServiceError, match=words):
                await here.book(lambda book: book.write("r-spin01", False, "x"))
        await here.lab.switch(["book:unheeded"])
        await here.book(lambda book: book.write("r-spin01", False, "x"))
        said = await here.book(lambda book: book.offered("r-spin01"))
        assert said.available is True  # type: ignore[attr-defined]

    run(work)


def test_a_token_of_another_audience_or_secret_is_refused_as_these_services_do() -> None:
    async def work(here: Here) -> None:
        def ask(token: str) -> tuple[int, bytes]:
            headers = {"Authorization": token} if token else {}
            site = Site(here.table.relay)
            answer = exchange(site, "POST", "/session/stats", Budget(CLOCK, 5), headers=headers)
            return answer.status, answer.body

        good = here.service("relay").tokens.token()
        claims = jwt.decode(good, options={"verify_signature": False})
        assert claims["aud"] == [here.table.relay]
        assert claims["iat"] == claims["nbf"] < CLOCK.wall() - 20 < claims["exp"]

        def signed(**more: object) -> str:
            return jwt.encode({**claims, **more}, SECRETS["relay"], algorithm="HS256")

        assert (await asyncio.to_thread(ask, good))[0] == 200
        for token, status in (
            ("", 401),
            ("nonsense", 500),
            (signed(aud=["http://other"]), 500),
            (signed(exp=claims["iat"]), 500),
            (signed(scopes=["write"]), 401),
            (signed(booking_id=""), 401),
        ):
            assert (await asyncio.to_thread(ask, token))[0] == status

    run(work)


@pytest.mark.parametrize(
    ("uri", "base", "good"),
    [
        ("ws://a.b/x?code=1", "http://a.b/relay", True),
        ("wss://a.b/x?code=1", "http://a.b/relay", True),
        ("wss://A.b:3001/x?code=1", "https://a.b/relay", True),
        ("ws://a.b/x?code=1", "https://a.b/relay", False),
        ("wss://b.b/x?code=1", "https://a.b/relay", False),
        ("wss://a.b@b.b/x", "https://a.b/relay", False),
        ("https://a.b/x", "https://a.b/relay", False),
        ("ws://127.0.0.2/x", "http://127.0.0.1/relay", False),
        ("ws://[::ffff:127.0.0.1]/x", "http://127.0.0.1/relay", True),
        ("x", "http://127.0.0.1/relay", False),
    ],
)
def test_only_the_services_own_host_is_dialled_and_with_no_weaker_scheme(
    uri: str, base: str, good: bool
) -> None:
    if good:
        assert checked_address(uri, base) == uri
        return
    with pytest.raises(ValueError):
        checked_address(uri, base)


def test_without_a_secret_nothing_is_asked() -> None:
    table = Experiments(relay="http://a.b", jump="http://a.b", book="http://a.b")
    with pytest.raises(NoTokensError, match="set T3PROBE_RELAY_SECRET, or _SECRET_FILE"):
        RigService("relay", table, Rights.of({}), CLOCK)


def texts() -> Iterator[str]:
    for segment, kinds in RIG_FAULTS.items():
        name = {"rig-NAME": "rig-spin01", "stream-NAME": "stream-spin01-video"}.get(
            segment, segment
        )
        yield from (f"{name}:{kind}" for kind in kinds)


@pytest.mark.parametrize("text", [*texts()])
def test_each_fault_is_text_of_a_lab_with_rigs_alone(text: str) -> None:
    assert str(parse_fault(text)) == text
    Lab([text], experiments=3)
    with pytest.raises(FaultError, match="has no remote rigs; start it with --experiments 3"):
        Lab([text])


def test_every_kind_is_explained_and_befalls_something() -> None:
    from t3probe.lab.faults import KINDS

    used = {kind for kinds in RIG_FAULTS.values() for kind in kinds}
    assert used == RIG_FAULT_KINDS.keys() | (used & {"refuse", "blackhole", "reset"})
    assert {"refuse", "blackhole", "reset"} <= KINDS.keys()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rig-spin09:stall", "there is no rig 'spin09'; this lab has spin01 to spin03"),
        ("stream-spin09-video:stale", "there is no rig 'spin09'"),
        ("rig-spin01:stale", "'stale' cannot befall rig-spin01; these can: stall, gone, no-jump"),
    ],
)
def test_what_befalls_no_rig_of_the_lab(text: str, words: str) -> None:
    with pytest.raises(FaultError, match=words):
        Lab([text], experiments=3)


@pytest.mark.parametrize("seconds", [0.0412, 0.8125, 1.5, 63.5, 3600.0, 7384.25])
def test_durations_as_these_services_write_them(seconds: float) -> None:
    assert age_of(go_duration(seconds)) == pytest.approx(seconds)
