"""The real Pushgateway and the real Prometheus, each on a free loopback port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

PACKAGES = {
    "prometheus-pushgateway": "prometheus-pushgateway",
    "prometheus": "prometheus",
    "nc": "netcat-openbsd",
}
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def program(name: str) -> str:
    """Where the program is. Absent: skip with a sentence; in CI that is a failure."""
    found = shutil.which(name)
    if found is None:
        words = (
            f"{name} is not installed; apt-get install {PACKAGES.get(name, name)} to run this test"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def get(url: str) -> bytes:
    with DIRECT.open(url, timeout=10) as answer:
        return bytes(answer.read())


class Program:
    """One process that answers HTTP."""

    def __init__(self, words: list[str], url: str, ready: str, log: Path) -> None:
        self.words, self.url, self.ready, self.log = words, url, ready, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log)
        for _ in range(500):
            if self.process.poll() is not None:
                break
            try:
                get(self.url + self.ready)
                return
            except OSError:
                time.sleep(0.02)
        self.stop(signal.SIGKILL)
        pytest.fail(f"{self.words[0]} did not become ready:\n{self.log.read_text()[-2000:]}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None


class RealGateway(Program):
    """A Pushgateway. Without `state` it forgets everything when it stops."""

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.port = free_port()
        words = [
            program("prometheus-pushgateway"),
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--persistence.file={state or ''}",
        ]
        super().__init__(words, f"http://127.0.0.1:{self.port}", "/-/ready", folder / "gw.log")

    def restart(self) -> None:
        self.stop()
        self.start()

    def exposition(self) -> str:
        return get(self.url + "/metrics").decode()


class RealPrometheus(Program):
    """A Prometheus that scrapes one gateway; with `rules`, it tells the Alertmanager `alerts`."""

    def __init__(
        self,
        folder: Path,
        target: str,
        interval: str,
        rules: Path | None = None,
        alerts: str | None = None,
    ) -> None:
        port = free_port()
        file = folder / "prometheus.yml"
        file.write_text(
            f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
            "scrape_configs:\n"
            "- job_name: pushgateway\n"
            "  honor_labels: true\n"
            f"  static_configs: [{{targets: ['{target}']}}]\n"
            + (f"rule_files: ['{rules}']\n" if rules else "")
            + (f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alerts}']}}]}}]}}\n")
            * bool(alerts)
        )
        words = [
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        log = folder / "prometheus.log"
        super().__init__(words, f"http://127.0.0.1:{port}", "/-/ready", log)

    def query(self, text: str) -> list[dict[str, Any]]:
        words = urllib.parse.urlencode({"query": text})
        answer = json.loads(get(f"{self.url}/api/v1/query?{words}"))
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def knows_whom_to_tell(self) -> None:
        """Wait until it has looked up its Alertmanager: what fires before that is told to nobody
        for a minute."""
        for _ in range(1000):
            if json.loads(get(f"{self.url}/api/v1/alertmanagers"))["data"]["activeAlertmanagers"]:
                return
            time.sleep(0.02)
        pytest.fail("Prometheus finds no Alertmanager")

    def scraped(self) -> None:
        """Wait until everything that stands in the gateway now was scraped."""
        asked = time.time()
        for _ in range(1000):
            # A scrape that failed leaves a timestamp too, and no samples.
            found = self.query("timestamp(up) and up == 1")
            if found and float(found[0]["value"][1]) > asked:
                return
            time.sleep(0.02)
        pytest.fail("Prometheus does not scrape the gateway")
