"""A run imports whatever its legs need before it begins, each kind in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from t3probe.probes import KINDS

SCRIPT = """
import asyncio
import os
import sys

from probes.servers import HOST, Leg, Run, answering, deployment, echo, response, serve

from t3probe.config.types import Ingest

OTHERS = {
    "ws_echo": dict(url=f"ws://{HOST}/"),
    "ws": dict(url=f"ws://{HOST}/", send="{nonce}", expect="{nonce}"),
    "ws_upgrade": dict(url=f"ws://{HOST}/"),
    "http": dict(url=f"https://{HOST}/"),
    "doh": dict(query=HOST),
    "tcp": dict(address="PIN"),
    "walloff": dict(url=f"http://{HOST}/"),
    "walled": dict(url=f"https://{HOST}/", public_prefixes=("/p",)),
    "ingest": dict(url=f"https://{HOST}/"),
    "ingest_gate": dict(url=f"https://{HOST}/"),
}


async def main(kind: str, found: str) -> None:
    handler = echo if kind.startswith("ws") else answering(response())
    async with serve(handler) as server:
        values = {key: server.pin if one == "PIN" else one for key, one in OTHERS[kind].items()}
        if found == "doh" or kind == "doh":
            values["doh"] = (f"https://{server.pin}/",)
        elif found == "pin" and kind != "tcp":
            values["pin"] = server.pin
        elif found == "system":
            name = f"localhost:{server.port}"
            values = {key: str(one).replace(HOST, name) for key, one in values.items()}
            if kind == "tcp":
                values["address"] = name
        if kind.startswith("ingest"):
            url = values["url"]
            table = dict(name="m", kind="remote_write", url=url, path=("a",), gate="a")
            values["ingest"] = Ingest(**table)
            os.environ["T3PROBE_INGEST_M_TOKEN"] = "token-of-senders"
        leg = Leg(name="leg", kind=kind, path=("a",), **values)
        run = Run(deployment([leg], watchdog=0.5, connect_timeout=0.5), [leg], hold=0.3)
        before = set(sys.modules)
        (seen,) = await run.measure()
        assert "itself broke" not in seen.detail, seen.detail
        print(*sorted(set(sys.modules) - before))


asyncio.run(main(*sys.argv[1:]))
"""
CASES = [(kind, found) for kind in KINDS for found in ("pin", "system", "doh")]
CASES = [one for one in CASES if one not in {("doh", "system"), ("doh", "pin"), ("tcp", "doh")}]


@pytest.mark.parametrize(("kind", "found"), CASES)
def test_nothing_is_imported_once_a_run_has_begun(kind: str, found: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, found],
        env={"PYTHONPATH": ":".join(sys.path), "T3PROBE_LOOPBACK_ONLY": "1"},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
