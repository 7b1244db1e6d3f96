"""A real headless Chromium, driven over its DevTools pipe: no port, no network, no driver.

The protocol: https://chromedevtools.github.io/devtools-protocol/. Messages are JSON, each ended
by a zero byte, on the descriptors 3 (to the browser) and 4 (from it).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ANSWER_SECONDS = 60
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-sync",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)
ALONE = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--proxy-server=127.0.0.1:9")
"""Whatever would go out all the same ends here."""


def chromium() -> str:
    """Where it is. Absent: skip with a sentence; in CI that is a failure."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    sentence = "chromium is not installed; on Debian: apt install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


class Browser:
    """One browser with a profile of its own. A context manager."""

    def __init__(self, *ways_out: str) -> None:
        """`ways_out`: the flags that say whom it reaches; by default nobody."""
        self._folder = tempfile.mkdtemp(prefix="t3probe-chromium-")
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # Descriptors 3 and 4 by the shell: it runs after Python has closed all others.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        flags = [*FLAGS, *(ways_out or ALONE), *root, f"--user-data-dir={self._folder}"]
        words = [chromium(), *flags, "about:blank"]
        script = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *words],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._folder},
            process_group=0,
        )
        self.pid = self._process.pid
        """Its process group, too."""
        os.close(to_browser)
        os.close(from_browser)
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._out)  # the pipe's end is the browser's, too
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self, method: str, session: str = "", **params: Any) -> Any:
        """One command and its result. Events on the way are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, f"{method}: {found['error']}"
                return found["result"]

    def wait(self, method: str, session: str) -> dict[str, Any]:
        """The first event of this kind, one that came already or the next."""
        seen = 0
        while True:
            for one in self.events[seen:]:
                if one["method"] == method and one.get("sessionId") == session:
                    return one
            seen = len(self.events)
            self._next()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], ANSWER_SECONDS)
            assert ready, f"chromium said nothing for {ANSWER_SECONDS} s"
            piece = os.read(self._in, 1 << 20)
            assert piece, "chromium ended"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        if "method" in found:
            self.events.append(found)
        return found

    def open(self, file: Path, **options: Any) -> Page:
        """A new page that has loaded this file."""
        return self.visit(file.as_uri(), **options)

    def visit(
        self,
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        scripts: bool = True,
        before: str = "",
    ) -> Page:
        """A new page that has loaded this. `before` runs ahead of all of its scripts."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            page.ask(f"{domain}.enable")
        page.size(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.ask("Emulation.setEmulatedMedia", features=[scheme])
        if not scripts:
            page.ask("Emulation.setScriptExecutionDisabled", value=True)
        if before:
            page.ask("Page.addScriptToEvaluateOnNewDocument", source=before)
        page.ask("Page.navigate", url=url)
        self.wait("Page.loadEventFired", session)
        return page


class Page:
    """One page of a browser."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self.target = browser, session, target

    def ask(self, method: str, **params: Any) -> Any:
        return self._browser.ask(method, self._session, **params)

    def size(self, width: int, height: int) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def run(self, script: str) -> Any:
        """The value of an expression in the page; of a promise, what it comes to."""
        found = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def events(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of all events of these kinds so far."""
        self.run("0")  # whatever was on its way has come
        return [
            one["params"]
            for one in self._browser.events
            if one["method"] in methods and one.get("sessionId") == self._session
        ]

    def key(self, name: str, text: str = "") -> None:
        """Press and release a key. `text`: what it types."""
        code = {"Enter": 13, "Tab": 9, " ": 32, "ArrowRight": 39, "End": 35}.get(name, 0)
        more = {"text": text} if text else {}
        self.ask(
            "Input.dispatchKeyEvent",
            type="keyDown",
            key=name,
            code=name,
            windowsVirtualKeyCode=code,
            **more,
        )
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Text into what has the focus."""
        self.ask("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """A real click into the middle of an element."""
        where = json.dumps(selector)
        box = self.run(
            f"(() => {{ const e = document.querySelector({where}); e.scrollIntoView("
            "{block: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def picture(self, file: Path, height: int | None = None) -> None:
        """A PNG of the whole page, or of its first `height` pixels."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        tall = min(size["height"], height or 16000)
        clip = {"x": 0, "y": 0, "width": size["width"], "height": tall, "scale": 1}
        found = self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        self._browser.ask("Target.closeTarget", targetId=self.target)


Opener = Callable[..., Page]
"""`opener(recordings, **options)`: the report of these runs, open."""
