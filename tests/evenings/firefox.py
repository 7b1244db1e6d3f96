"""A real headless Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

START_SECONDS = 60
ANSWER_SECONDS = 60
LISTENS = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
PREFERENCES = {
    # The one name it knows is this machine, and everything else goes to a proxy that is not there.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.dns.disableIPv6": True,
    # Whatever would go out by itself, is not even tried.
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.server": "https://telemetry.invalid/",
    "services.settings.server": "https://settings.invalid/",
}


def firefox() -> str:
    """Where it is. Absent: skip with a sentence; in CI that is a failure."""
    for name in ("firefox-esr", "firefox"):
        path = shutil.which(name)
        if path is not None:
            return path
    sentence = "firefox is not installed; on Debian: apt install firefox-esr"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


class Firefox:
    """One browser with one tab. A context manager."""

    def __init__(self, here: str) -> None:
        """`here`: a name that is this machine."""
        self._folder = tempfile.mkdtemp(prefix="t3probe-firefox-")
        known = {"network.dns.localDomains": here, "network.proxy.no_proxies_on": here}
        text = "".join(_lines({**PREFERENCES, **known}.items()))
        Path(self._folder, "user.js").write_text(text)
        self._number = 0
        self._process = subprocess.Popen(
            [
                *(firefox(), "--headless", "--no-remote", "--profile", self._folder),
                *("--remote-debugging-port=0", "about:blank"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "HOME": self._folder},
        )
        self._ends = ExitStack()
        try:
            self._socket = self._ends.enter_context(
                connect(f"{self._address()}/session", proxy=None, max_size=None)
            )
            accepts = {"alwaysMatch": {"acceptInsecureCerts": True}}
            self.ask("session.new", capabilities=accepts)
            (tab, *_) = self.ask("browsingContext.getTree")["contexts"]
            self.tab: str = tab["context"]
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Firefox:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.ask("browser.close")
            self._process.wait(ANSWER_SECONDS)
        finally:
            self._end()

    def _address(self) -> str:
        assert self._process.stderr
        for line in self._process.stderr:
            if found := LISTENS.search(line):
                return found[1].decode()
        raise AssertionError("firefox ended before it listened")

    def _end(self) -> None:
        self._ends.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self, method: str, **params: Any) -> Any:
        """One command and its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            found = json.loads(self._socket.recv(ANSWER_SECONDS))
            if found.get("id") == self._number:
                assert found["type"] == "success", f"{method}: {found}"
                return found["result"]

    def open(self, url: str) -> None:
        """Load a page."""
        self.ask("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def run(self, script: str) -> Any:
        """The value of an expression in the page, as JSON has it."""
        found = self.ask(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({script})))()",
            target={"context": self.tab},
            awaitPromise=True,
        )
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])

    def offline(self, on: bool = True) -> None:
        """Firefox's own switch."""
        conditions = {"type": "offline"} if on else None
        self.ask(
            "emulation.setNetworkConditions", networkConditions=conditions, contexts=[self.tab]
        )


def _lines(preferences: Iterable[tuple[str, object]]) -> Iterable[str]:
    for name, value in preferences:
        yield f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
