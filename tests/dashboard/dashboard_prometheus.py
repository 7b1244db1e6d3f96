"""A real Prometheus on loopback that holds a recorded history and scrapes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

READY_TRIES = 600
PAUSE_SECONDS = 0.05
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Series = dict[str, str]


def program(name: str) -> str:
    """The path of a program. Without it the test is skipped, or fails where CI=true."""
    path = shutil.which(name)
    if path is not None:
        return path
    sentence = f"{name} is not installed; on Debian: apt install prometheus"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


class Prometheus:
    """Its HTTP API, as Grafana uses it."""

    def __init__(self, url: str) -> None:
        self.url = self._url = url

    def _get(self, path: str, **words: str | float) -> Any:
        url = f"{self._url}{path}?{urllib.parse.urlencode(words)}"
        try:
            with DIRECT.open(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words} is refused: {error.read().decode()}") from None

    def ready(self) -> bool:
        try:
            with DIRECT.open(f"{self._url}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def range(
        self, query: str, start: float, end: float, step: float
    ) -> list[tuple[Series, dict[float, float]]]:
        """Labels and values by time of every series; NaN is left out, as a graph does."""
        data = self._get("/api/v1/query_range", query=query, start=start, end=end, step=step)
        found = []
        for one in data["result"]:
            values = {at: float(value) for at, value in one["values"] if value != "NaN"}
            if values:
                found.append((one["metric"], values))
        return found

    def label_values(self, selector: str, label: str, start: float, end: float) -> list[str]:
        """What a dashboard's variable `label_values(selector, label)` offers."""
        words: dict[str, str | float] = {"match[]": selector, "start": start, "end": end}
        found = self._get(f"/api/v1/label/{label}/values", **words)
        return list(found)


@contextlib.contextmanager
def prometheus(folder: Path, openmetrics: Path, lookback_seconds: int) -> Iterator[Prometheus]:
    """One whose data is what the file says.

    A scrape marks a series that is gone as stale; a file cannot. A lookback that is shorter than
    the time between two scrapes has the same effect.
    """
    server, tool = program("prometheus"), program("promtool")
    data = folder / "data"
    made = subprocess.run(
        [tool, "tsdb", "create-blocks-from", "openmetrics", str(openmetrics), str(data)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    config, log = folder / "prometheus.yml", folder / "log"
    config.write_text("scrape_configs: []\n")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                server,
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=100y",
                f"--query.lookback-delta={lookback_seconds}s",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=out,
            stderr=out,
        )
    try:
        yield _once_ready(process, log)
    finally:
        process.kill()  # its data is thrown away: nothing need be saved
        process.wait()


def _once_ready(process: subprocess.Popen[bytes], log: Path) -> Prometheus:
    for _ in range(READY_TRIES):
        listens = re.search(r'"Listening on" address=(127\.0\.0\.1:\d+)', log.read_text())
        if listens and (found := Prometheus(f"http://{listens[1]}")).ready():
            return found
        if process.poll() is not None:
            break
        time.sleep(PAUSE_SECONDS)
    raise AssertionError(f"Prometheus did not become ready:\n{log.read_text()[-2000:]}")
