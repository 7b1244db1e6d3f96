"""No secret reaches the record, the terminal or any JSON, wherever it came from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.server import serve
from websockets.http11 import Request, Response

CANARY = "Canary-7f3a9c"
DEPLOYMENT = """
name = "leaky"
segments = ["app"]
[timing]
hold = "500ms"
heartbeat = "200ms"
watchdog = "2s"
connect_timeout = "1s"
backoff = "200ms"
[sso]
hosts = ["sso.lab.test"]
[[leg]]
name = "redirected"
kind = "http"
url = "http://127.0.0.1:{port}/redirect"
path = ["app"]
[[leg]]
name = "served"
kind = "http"
url = "http://127.0.0.1:{port}/cookie"
path = ["app"]
[[leg]]
name = "closing"
kind = "ws_echo"
url = "ws://127.0.0.1:{port}/close"
path = ["app"]
[[leg]]
name = "rejected"
kind = "ws_echo"
url = "ws://127.0.0.1:{port}/redirect"
path = ["app"]
[[public]]
name = "page"
url = "http://127.0.0.1:{port}/redirect"
prefix = "/redirect"
path = ["app"]
[[walled]]
name = "home"
url = "http://127.0.0.1:{port}/cookie"
path = ["app"]
"""


class LeakyServer:
    """Puts the canary into everything that a server can say."""

    def __init__(self) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        def answer(connection: object, request: Request) -> Response | None:
            if request.path.startswith("/close"):
                return None
            response = connection.respond(200, f"wsTicket={CANARY}")  # type: ignore[attr-defined]
            response.headers["Set-Cookie"] = f"session={CANARY}; HttpOnly"
            response.headers["Authorization"] = f"Bearer {CANARY}"
            if request.path.startswith("/redirect"):
                response.status_code = 302
                response.headers["Location"] = f"https://sso.lab.test/login?wsTicket={CANARY}"
            return response

        async def close(websocket: object) -> None:
            await websocket.recv()  # type: ignore[attr-defined]
            await websocket.close(4001, f"bad token={CANARY}, cookie: {CANARY}")  # type: ignore[attr-defined]

        async with serve(close, "127.0.0.1", 0, process_request=answer) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> LeakyServer:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture
def leaky() -> Iterator[LeakyServer]:
    with LeakyServer() as server:
        yield server


def test_the_canary_is_nowhere(checks, leaky: LeakyServer, tmp_path: Path) -> None:
    file = tmp_path / "leaky.toml"
    file.write_text(DEPLOYMENT.format(port=leaky.port))
    done = checks(deployment=str(file), env={"T3PROBE_GATEWAY_TOKEN": CANARY})
    assert done.code == 1, done.output
    legs = done.legs
    assert legs["redirected"].reason == "walled_off"
    assert legs["rejected"].reason == "walled_off"
    assert legs["closing"].reason == "closed_by_peer"
    assert legs["walled-home"].reason == "not_walled"
    assert CANARY not in done.output
    for result in done.results.iterdir():
        assert CANARY.encode() not in result.read_bytes(), result.name


def test_a_secret_in_the_deployment_file_is_refused_without_repeating_it(checks, tmp_path) -> None:
    file = tmp_path / "secret.toml"
    file.write_text(
        DEPLOYMENT.format(port=1).replace("http://127.0.0.1:1/redirect", f"http://u:{CANARY}@h/x")
    )
    done = checks(deployment=str(file))
    assert done.code == 4
    assert CANARY not in done.output
