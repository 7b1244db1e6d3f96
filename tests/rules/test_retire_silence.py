"""What `t3probe retire` prints is pasted into a shell: the real amtool, a real Alertmanager."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway
from plugin.plugin_runner import ENVIRON
from rules_alertmanager import Somebody, alertmanager
from rules_programs import program

Labels = dict[str, str]


def retired(gateway: RealGateway, vantage: str) -> str:
    """The command that a retirement prints."""
    words = ["retire", "--gateway", gateway.url, "--vantage", vantage]
    done = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", *words],
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    before, found, command = done.stdout.rpartition("silence it: ")
    assert found, done.stdout
    assert "it holds no group" in before
    return command.strip()


def paste(command: str, address: str) -> str:
    """The command in a shell, with where Alertmanager is; the silence's id."""
    program("amtool")
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} --alertmanager.url=http://{address}"],
        env={"PATH": os.environ["PATH"], "USER": "somebody"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("vantage", ["attic", "", 'it\'s "the" attic\\1'])
async def test_the_printed_silence_mutes_the_one_alert_of_that_vantage(
    vantage: str, tmp_path: Path
) -> None:
    gateway = RealGateway(tmp_path)
    gateway.start()
    try:
        command = retired(gateway, vantage)
    finally:
        gateway.stop()
    where = {"vantage": vantage} if vantage else {}
    silent: Labels = {"alertname": "T3ProbeSilent", "job": "t3-probe", **where}
    others = [
        {**silent, "vantage": "cellar"},
        {**silent, "job": "t3-probe-ci"},
        {**silent, "shard": "1"},
        {**silent, "alertname": "T3ProbeLegDown", "leg": "edge"},
    ]
    async with (
        Somebody().listening() as somebody,
        alertmanager(tmp_path, "", somebody.url) as manager,
    ):
        name = paste(command, manager.address)
        await manager.fire(silent, *others)
        for one in others:
            await somebody.hears("firing", one)
        seen = {str(one["labels"]): one["status"]["silencedBy"] for one in await manager.alerts()}
        assert ("firing", silent) not in somebody.told
    assert {labels for labels, by in seen.items() if by} == {str(silent)}
    assert [name] in seen.values()
