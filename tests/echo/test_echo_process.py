"""`t3probe echo` as a process: how it starts, what it says, how it stops."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Iterator

import pytest
from echo.echo_client import CLOSE, Child, Peer, child, masked, request

from t3probe.cli import main
from t3probe.echo import Limits
from t3probe.echo import __main__ as command


@pytest.fixture(autouse=True)
def limit_of_files() -> Iterator[None]:
    """The command raises this process's own when it runs in it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def dial(one: Child, host: str = "127.0.0.1") -> Peer:
    return Peer(*await asyncio.open_connection(host, one.port))


async def test_sigterm_closes_with_1001_and_ends_cleanly() -> None:
    with child() as one:
        polite, deaf, half = [await dial(one) for _ in range(3)]
        assert await polite.open("Cookie: session=hunter2") == 101
        assert await deaf.open() == 101
        half.send(b"GET /probe/ws?token=hunter2 HTTP/1.1\r\n")
        wrong = await dial(one)
        wrong.send(request("/hunter2"))
        assert await wrong.status() == 404
        ending = asyncio.create_task(asyncio.to_thread(one.terminate))
        assert await polite.frame() == (CLOSE, b"\x03\xe9going away")
        polite.send(masked(CLOSE, b"\x03\xe9"))
        assert await polite.gone()
        said = await ending
        assert one.process.returncode == 0
        assert said == "t3probe echo: stopping: closing 2 WebSockets\n"
        for peer in (polite, deaf, half, wrong):
            peer.close()


def test_it_ends_within_five_seconds_whatever_its_clients_do() -> None:
    assert Limits().drain <= 4


def test_ctrl_c_is_no_error() -> None:
    with child() as one:
        one.process.send_signal(2)
        assert "Traceback" not in one.process.communicate(timeout=15)[1]
        assert one.process.returncode == 0


async def test_listens_on_both_families_when_no_host_is_named() -> None:
    with child(listen=":0") as one:
        for host in ("127.0.0.1", *(["::1"] if socket.has_dualstack_ipv6() else [])):
            peer = await dial(one, host)
            assert await peer.open() == 101
            peer.close()


def test_the_soft_limit_of_files_is_raised() -> None:
    with child() as one:
        soft, hard = resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--listen", "8080"], "--listen 8080: expected [HOST]:PORT, such as :8080"),
        (["--listen", ":99999"], "expected [HOST]:PORT"),
        (["--listen", "::1:8080"], "put the address in brackets, such as [::1]:8080"),
        (["--trusted-proxy", "traefik"], "'traefik' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], sentence: str, capsys) -> None:
    assert main(["echo", *words]) == 4
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["--max-connections", "0"], ["--max-per-address", "many"], ["x"]]
)
def test_wrong_usage_ends_with_four(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["echo", *words])
    assert end.value.code == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_help_names_every_option(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["echo", "--help"])
    said = capsys.readouterr().out
    for option in ("--listen", "--trusted-proxy", "--max-connections", "--max-per-address"):
        assert option in said
    assert main(["--help"]) == 0
    assert "echo" in capsys.readouterr().out


def test_a_port_in_use_is_one_sentence(capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        assert main(["echo", "--listen", place]) == 1
    said = capsys.readouterr().err
    assert said == (
        f"t3probe echo: cannot listen on {place}: {os.strerror(errno.EADDRINUSE)}; "
        "name another --listen\n"
    )


def test_fewer_files_mean_fewer_half_open_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, to: seen.append((which, to)))
    assert command._fitted(Limits()).waiting == 4096 - 64 - 2000
    assert seen == [(resource.RLIMIT_NOFILE, (4096, 4096))]
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 1024))
    with pytest.raises(ValueError, match=r"may open 1024 files, which is enough for 832; raise"):
        command._fitted(Limits())
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, resource.RLIM_INFINITY))
    assert command._fitted(Limits()) == Limits()
