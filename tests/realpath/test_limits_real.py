"""Limits that real proxies have, by their own settings: each is named, at the proxy that has it.

haproxy's `timeout tunnel` and nginx's `proxy_read_timeout` end what is silent, Envoy's
`max_stream_duration` what is old, and nginx's `keepalive_timeout` politely what nobody asks.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from probes.servers import deployment, made_run
from realpath.conftest import needs_programs
from realpath.programs import Keeper, Program, envoy_binary, find, until
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from t3probe.config.types import Duration, Leg
from t3probe.observation import Observation, RunRecord
from t3probe.record.facts import ascii_json, decoded
from t3probe.text.words import span
from t3probe.verdict.incident.run import judge_run
from t3probe.verdict.limits.found import Limit, near

SILENCE, AGE, HOLD = 4.0, 6.0, 40.0
"""The proxies' settings, and how long they are looked at, in seconds."""

HAPROXY = """
global
  log stdout format raw local0
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel {silence}s
listen front
  bind 127.0.0.1:{port}
  server app 127.0.0.1:{app}
"""
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    keepalive_timeout {silence}s;
    location /page {{ return 200 "well"; }}
    location / {{
      proxy_pass http://127.0.0.1:{app};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_read_timeout {silence}s;
    }}
  }}
}}
"""


def envoy(port: int, app: int) -> str:
    """A WebSocket lives for so long, whatever travels on it."""
    types = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "common_http_protocol_options": {"max_stream_duration": f"{AGE:g}s"},
        "delayed_close_timeout": "0s",  # else it waits a second before it closes
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
                }
            ]
        },
    }
    chain = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    where = {"socket_address": {"address": "127.0.0.1", "port_value": app}}
    resources = {
        "listeners": [
            {
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [{"filters": [chain]}],
            }
        ],
        "clusters": [
            {
                "name": "app",
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": "app",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": where}}]}],
                },
            }
        ],
    }
    return json.dumps({"static_resources": resources})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The port of each proxy, and of the app behind them all."""
    needs_programs()
    folder = tmp_path_factory.mktemp("limits")
    ports = {name: free_port() for name in ("haproxy", "nginx", "envoy", "app")}

    def given(name: str, text: str) -> Path:
        file = folder / f"{name}.conf"
        values = {"silence": f"{SILENCE:g}", "folder": folder, "app": ports["app"]}
        file.write_text(text.format(port=ports[name], **values))
        return file

    (folder / "envoy.json").write_text(envoy(ports["envoy"], ports["app"]))
    commands = {
        "haproxy": [find("haproxy"), "-db", "-f", str(given("haproxy", HAPROXY))],
        "nginx": [find("nginx"), "-p", str(folder), "-c", str(given("nginx", NGINX))],
        "envoy": [
            *(envoy_binary(), "-c", str(folder / "envoy.json"), "--disable-hot-restart"),
            *("--concurrency", "1", "-l", "error"),
        ],
    }
    keeper = Keeper()
    running = [Program(name, command, folder, keeper) for name, command in commands.items()]
    try:
        for one in running:
            one.start()
            until(lambda one=one: _answers(ports[one.name]), f"{one.name} to listen")  # type: ignore[misc]
        yield ports
    finally:
        for one in running:
            one.kill()
        keeper.close()


async def _echo(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


def leg(name: str, port: int, *path: str, kind: str = "ws_echo", at: str = "/") -> Leg:
    scheme = "http" if kind == "http" else "ws"
    return Leg(
        name=name, kind=kind, path=path, tcp_ends_at=path[0], idle=Duration(9.0),  # type: ignore[arg-type]
        url=f"{scheme}://127.0.0.1:{port}{at}",
    )  # fmt: skip


async def test_each_limit_is_named_at_the_proxy_that_has_it(proxies: dict[str, int]) -> None:
    legs = [
        leg("by-haproxy", proxies["haproxy"], "haproxy", "app-1"),
        leg("by-nginx", proxies["nginx"], "nginx", "app-2"),
        leg("by-envoy", proxies["envoy"], "envoy", "app-3"),
        leg("page", proxies["nginx"], "nginx", kind="http", at="/page"),
        # What dies on one way at the same moment is no sign on another one: each has its own app.
        leg("straight", proxies["app"], "app-1", "app-2", "app-3"),
    ]
    times = {"heartbeat": 0.5, "watchdog": 2.0, "connect_timeout": 2.0, "backoff": 0.1}
    async with serve(_echo, "127.0.0.1", proxies["app"], ping_interval=None):
        run = made_run(deployment(legs, **times, backoff_max=0.5), legs, hold=HOLD)
        seen = await run.measure()
    late = run.footing.worst_seconds
    if late > near(SILENCE):
        pytest.skip(f"this machine was late by {late:.3f} s: what is seen late has another age")
    # What is written is what is read.
    seen = [decoded(ascii_json(one), Observation) for one in seen]
    judged = judge_run(
        RunRecord(segments=tuple(dict.fromkeys(name for one in legs for name in one.path))), seen
    )
    found = {one.legs: one for one in judged.limits}
    assert set(found) == {("by-haproxy",), ("by-nginx",), ("by-envoy",), ("page",)}

    def told(name: str) -> Limit:
        one = found[name,]
        assert one.deaths >= 3
        return one

    for name, at in (("by-haproxy", "haproxy"), ("by-nginx", "nginx")):
        one = told(name)
        assert (one.kind, one.at, one.polite) == ("silence", at, False)
        assert one.seconds == pytest.approx(SILENCE, abs=near(SILENCE))
        assert one.text({}).startswith(
            f"what is silent for {span(one.seconds)} on {name} is cut at {at}"
        )
    old = told("by-envoy")
    assert (old.kind, old.at) == ("age", "envoy")
    assert old.seconds == pytest.approx(AGE, abs=near(AGE))
    assert old.every_seconds is None
    page = told("page")
    assert (page.kind, page.polite, page.one_of) == ("silence", True, (("nginx",),))
    # Silence of an idle connection alone fails nobody, age does; the verdict is as without limits.
    by_leg = {one.leg: one for one in seen}
    assert [by_leg[name].outcome for name in ("by-haproxy", "by-nginx", "page", "straight")] == [
        "passed"
    ] * 4
    assert {one.symptom for one in by_leg["by-envoy"].drops} == {"cut"}
    assert judged.verdict.convicted == ("envoy",)
