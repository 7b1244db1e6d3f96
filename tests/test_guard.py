"""The guard: every library stays on loopback. Each case runs in a process of its own.

No case sends anything: where the hook raises, it raises before the system call.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from t3probe.guard import LoopbackOnlyError, is_loopback

ROOT = Path(__file__).resolve().parent.parent

PREAMBLE = """
import asyncio, os, socket, sys
from t3probe import guard

guard.install()

def refused(what, *args, **more):
    try:
        what(*args, **more)
    except guard.LoopbackOnlyError as error:
        assert not isinstance(error, OSError)
        return str(error)
    raise SystemExit(f"let through: {what} {args}")

async def arefused(awaitable):
    try:
        await awaitable
    except guard.LoopbackOnlyError as error:
        return str(error)
    raise SystemExit(f"let through: {awaitable}")
"""


def run(code: str, **environment: str) -> str:
    """Run `code` after the preamble in a new Python; its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(code)],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_plain_sockets() -> None:
    run("""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as four, socket.socket(socket.AF_INET6, kind) as six:
                for host in ("192.0.2.1", "0.0.0.0", b"192.0.2.1", bytearray(b"192.0.2.1"),
                             "255.255.255.255"):
                    refused(four.connect, (host, 9))
                    refused(four.connect_ex, (host, 9))
                    refused(four.sendto, b"x", (host, 9))
                for host in ("::ffff:192.0.2.1", "2001:db8::1", "::", "fe80::1%lo"):
                    refused(six.connect, (host, 9))
                    refused(six.sendto, b"x", (host, 9))
                    refused(six.sendmsg, [b"x"], [], 0, (host, 9))
        """)


def test_loopback_works() -> None:
    run("""
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.9.9.9"),
                             (socket.AF_INET, b"127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as listener, socket.socket(family) as sock:
                listener.bind((host, 0))
                listener.listen()
                sock.connect((host, listener.getsockname()[1]))
                sock.sendmsg([b"x"])
        with socket.create_server(("127.0.0.1", 0)) as listener:
            socket.create_connection(("localhost", listener.getsockname()[1])).close()
        one, two = socket.socketpair()
        one.send(b"x")
        one.close(), two.close()
        with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
            a.bind(("127.0.0.1", 0))
            b.sendto(b"x", a.getsockname())
        """)


def test_name_lookups() -> None:
    run("""
        for name in ("example.com", "EXAMPLE.com.", "localhost.example.com", b"example.com"):
            refused(socket.getaddrinfo, name, 80)
        refused(socket.gethostbyname, "example.com")
        refused(socket.gethostbyname_ex, "example.com")
        refused(socket.gethostbyaddr, "192.0.2.1")
        refused(socket.getnameinfo, ("192.0.2.1", 80), 0)
        refused(socket.create_connection, ("example.com", 80))
        for name in ("localhost", "LOCALHOST", None, "127.0.0.1", "::1", "192.0.2.1"):
            assert socket.getaddrinfo(name, 80)   # an address needs no look-up
        """)


def test_asyncio() -> None:
    run("""
        async def main():
            loop = asyncio.get_running_loop()
            for host in ("192.0.2.1", "example.com", "::ffff:192.0.2.1"):
                await arefused(asyncio.open_connection(host, 80))
            await arefused(loop.getaddrinfo("example.com", 80))
            with socket.socket() as sock:
                sock.setblocking(False)
                await arefused(loop.sock_connect(sock, ("192.0.2.1", 80)))
            server = await asyncio.start_server(lambda r, w: w.close(), "localhost", 0)
            for one in server.sockets:
                host, port = one.getsockname()[:2]
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                await writer.wait_closed()
            server.close()
        asyncio.run(main())
        """)


def test_aiohttp_and_websockets() -> None:
    run("""
        import aiohttp, websockets
        async def main():
            async with aiohttp.ClientSession() as session:
                for url in ("http://192.0.2.1/", "http://example.com/",
                            "http://[::ffff:192.0.2.1]/"):
                    await arefused(session.get(url))
            for url in ("ws://192.0.2.1/", "ws://example.com/", "ws://[::ffff:192.0.2.1]/"):
                await arefused(websockets.connect(url, proxy=None).__aenter__())
        asyncio.run(main())
        """)


KINDS = {
    "ws_echo": "url='ws://app.example/', pin='192.0.2.1:80'",
    "ws_echo by system": "url='ws://app.example/'",
    "ws_echo by doh": "url='ws://app.example/', doh=('https://192.0.2.1/', 'https://192.0.2.2/')",
    "http": "url='http://app.example/', pin='192.0.2.1:80'",
    "http tls": "url='https://app.example/', pin='[2001:db8::1]:443'",
    "doh": "doh=('https://192.0.2.1/dns-query', 'https://192.0.2.2/dns-query'), query='a.example'",
    "tcp": "addresses=('192.0.2.1:53', '127.0.0.1:9'), any_of=True",
    "tcp mapped": "address='[::ffff:192.0.2.1]:53'",
    "walloff": "url='http://app.example/p', pin='192.0.2.1:80'",
    "walled": "url='http://192.0.2.1/p', public_prefixes=('/probe',)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_with_a_leg_outside_ends_with_one_sentence(kind: str) -> None:
    out = run(f"""
        from t3probe.config.types import Deployment, Leg
        from t3probe.run.controller import Run
        # Whatever comes past the hook would reach these; nothing may.
        left = []
        class Never(asyncio.SelectorEventLoop):
            async def sock_connect(self, sock, address):
                sys.audit("socket.connect", sock, address)
                if address[0] != "127.0.0.1":
                    left.append(address)
                raise ConnectionRefusedError(111, "refused")
        bad = Leg(name="bad", kind="{kind.split()[0]}", path=("a",), {KINDS[kind]})
        good = Leg(name="good", kind="tcp", path=("b",), address="127.0.0.1:9")
        made = Deployment(name="t", file="t", segments=("a", "b"), legs=(bad, good))
        async def main():
            try:
                async with asyncio.timeout(8):  # at once, not at the next heartbeat
                    await Run(made, made.legs, hold=30).measure()
            except guard.LoopbackOnlyError as error:
                print(error)
            assert len(asyncio.all_tasks()) == 1
        with asyncio.Runner(loop_factory=Never) as runner:
            runner.run(main())
        assert left == [], left
        """)
    assert out.startswith("T3PROBE_LOOPBACK_ONLY=1 allows 127.0.0.0/8 and ::1 only, and ")
    assert out.count("\n") == 1


def test_installed_only_when_the_environment_asks() -> None:
    code = (
        "import sys\nfrom t3probe import guard\nguard.install_from_environment()\n"
        "guard.install_from_environment()\n"
        "try:\n    sys.audit('socket.connect', None, ('192.0.2.1', 9))\n    print('free')\n"
        "except guard.LoopbackOnlyError:\n    print('guarded')\n"
    )
    for value, expected in (("1", "guarded"), ("true", "guarded"), ("0", "free"), ("", "free")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(ROOT), "T3PROBE_LOOPBACK_ONLY": value},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected, value


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::", False),
        ("0.0.0.0", False),
        ("localhost", False),
        ("127.1", False),
        ("", False),
    ],
)
def test_is_loopback(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


def test_the_sentence() -> None:
    assert str(LoopbackOnlyError("192.0.2.1")) == (
        "T3PROBE_LOOPBACK_ONLY=1 allows 127.0.0.0/8 and ::1 only, and '192.0.2.1' is neither; "
        "unset the variable to probe a real deployment"
    )
