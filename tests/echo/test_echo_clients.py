"""The responder against other people's clients, and against our own probe."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import websockets
from echo.echo_client import Child, child
from probes.fixtures import no_stalls, own_footing
from probes.servers import http_leg, one_is_held, probe, ws_leg
from websockets.asyncio.client import connect

__all__ = ["no_stalls", "own_footing"]

SCRIPT = Path(__file__).with_name("echo_node.js")


@pytest.fixture(scope="module")
def served() -> Iterator[Child]:
    with child() as one:
        yield one


async def test_websockets(served: Child) -> None:
    async with connect(served.url, proxy=None, max_size=None) as peer:
        assert peer.protocol.extensions == []
        for message in ("grüß", "", b"\xff" * 65536, "x" * 65536):
            await peer.send(message)
            assert await peer.recv() == message
        await peer.send(part for part in ("in ", "pieces"))  # type: ignore[arg-type]
        assert await peer.recv() == "in pieces"
        await (await peer.ping())
        await peer.send(b"x" * 65537)
        with pytest.raises(websockets.ConnectionClosedError):
            await peer.recv()
        assert peer.close_code == 1009


async def test_websockets_leaves_politely(served: Child) -> None:
    peer = await connect(served.url, proxy=None)
    await peer.close(4321, "bye")
    assert peer.close_code == 4321


@pytest.mark.parametrize("compress", [0, 15])
async def test_aiohttp(served: Child, compress: int) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(served.url, compress=compress) as peer:
            assert peer.compress == 0
            await peer.send_str("grüß")
            assert await peer.receive_str() == "grüß"
            await peer.send_bytes(b"\xff" * 65536)
            assert await peer.receive_bytes() == b"\xff" * 65536
            await peer.send_frame(b"\xff\xfe", aiohttp.WSMsgType.TEXT)
            assert (await peer.receive()).data == 1007
        health = served.url.replace("ws:", "http:").replace("/ws", "/healthz")
        async with session.get(health) as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_our_own_probe(served: Child) -> None:
    leg = ws_leg(url="ws://app.example/probe/ws", pin=f"127.0.0.1:{served.port}")
    seen = await probe(leg, hold=0.5)
    assert (seen.outcome, seen.reason) == ("passed", None)
    held, fresh = one_is_held(seen)
    assert min(len(held), len(fresh)) >= 3


async def test_our_own_heartbeat_on_the_health_page(served: Child) -> None:
    leg = http_leg(url="http://app.example/probe/healthz", pin=f"127.0.0.1:{served.port}")
    seen = await probe(leg, hold=0.5)
    assert (seen.outcome, seen.reason) == ("passed", None)


def node_client() -> list[str]:
    """Node, and the client to be had: its own, else `ws`. Skips with the reason."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: nothing like a browser's WebSocket to try")
    for flags in ([], ["--experimental-websocket"]):
        done = subprocess.run(
            [node, *flags, "-p", "typeof WebSocket"], capture_output=True, text=True, timeout=60
        )
        if done.stdout.strip() == "function":
            return [node, *flags, "--no-warnings"]
    pytest.skip("this node has no WebSocket of its own; 20.10 or newer has")


async def run_node(*words: str) -> dict[str, object]:
    done = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


EXPECTED = {"answers": ["grüß dich", True], "code": 1009, "extensions": ""}


async def test_nodes_own_websocket(served: Child) -> None:
    assert await run_node(*node_client(), str(SCRIPT), served.url) == EXPECTED


def package_ws() -> str:
    """Node, where it finds its package `ws`. Skips with the reason."""
    node = shutil.which("node")
    if node is not None:
        words = [node, "-e", "require('ws')"]
        if not subprocess.run(words, cwd=SCRIPT.parent, capture_output=True, timeout=60).returncode:
            return node
    pytest.skip("node or its package ws is not installed; npm install ws, and name its NODE_PATH")


async def test_the_package_ws(served: Child) -> None:
    node = package_ws()
    assert await run_node(node, str(SCRIPT), served.url, "ws") == EXPECTED
