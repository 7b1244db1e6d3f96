"""A real held mode tells systemd that it is ready, lives, and ends."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from probes.servers import echo, serve
from watch_process import toml, watching, ws


async def test_it_says_that_it_is_ready_and_lives_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, place = tmp_path / "kept.toml", tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(place))
        sock.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(place))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        async with serve(echo) as server:
            file.write_text(toml([ws("one", server)]))
            async with watching(file) as kept:
                said = [await asyncio.to_thread(sock.recv, 99) for _ in range(3)]
                assert await kept.end() == 0
                while said[-1] != b"STOPPING=1":
                    said.append(await asyncio.to_thread(sock.recv, 99))
    assert said[:3] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
