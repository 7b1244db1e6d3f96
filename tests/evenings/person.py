"""A person: a real Chromium on a device of its own, with the page open, and what befalls both."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from evenings.home import HOST, LastMile
from show.report_browser import Browser, Page

NAME = "t3.lab.test"
WAIT_SECONDS = 20.0
OFFLINE = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
DEVICE = """((suspends, wrong, colo) => {
  const Wall = Date, real = performance.now.bind(performance);
  let stepped = wrong, asleep = 0, last = real();
  window.setClock = (ms) => { stepped += ms; };
  window.Date = class extends Wall {
    constructor(...all) { if (all.length) super(...all); else super(Wall.now() + stepped); }
    static now() { return Wall.now() + stepped; }
  };
  performance.now = () => {
    const now = real();
    if (suspends && now - last > 1500) asleep += now - last - 20;
    last = now;
    return now - asleep;
  };
  const network = new EventTarget();
  network.type = 'wifi';
  Object.defineProperty(navigator, 'connection', {value: network});
  window.setNetwork = (kind) => {
    network.type = kind;
    network.dispatchEvent(new Event('change'));
  };
  const ask = window.fetch;
  const moved = (text) => new Response(text.replace(/^colo=.*$/m, 'colo=' + colo));
  window.fetch = (what, ...more) => colo && String(what).startsWith('/cdn-cgi/trace')
    ? ask(what, ...more).then(answer => answer.text()).then(moved) : ask(what, ...more);
})"""
"""A device whose clock can be set and is wrong from the beginning, which knows its network (that of
a Chromium on a desk does not), and which meets another place of the CDN. Its monotonic clock stands
still while it is asleep, as that of Linux, Android and macOS does: a stopped process's does not,
and the page looks at the clock more often than every 1.5 s."""


SEEN = """new Promise((told) => setTimeout(() => told({
  record: t3probe.record(),
  said: {
    state: document.querySelector('#state').innerText,
    caption: document.querySelector('#caption').innerText,
    lines: [...document.querySelectorAll('#list li')].map(e => [e.dataset.kind, e.innerText]),
  }}), 300))"""
"""The page draws at each of its ticks when something has changed."""


def pin(address: tuple[str, int], authority: str) -> str:
    """The key of the lab's certificate, as Chromium wants it."""
    context = ssl.create_default_context(cafile=authority)
    with (
        socket.create_connection(address) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as secure,
    ):
        held = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
    key = held.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


class Person:
    """Browser, last mile, and the page in one tab. A context manager."""

    def __init__(self, edge: tuple[str, int], authority: str) -> None:
        self.home = LastMile(edge)
        self.url = f"https://{NAME}:{edge[1]}/probe/"
        self.browser = Browser(
            f"--host-resolver-rules=MAP {NAME} {HOST}, MAP * ~NOTFOUND",
            f"--ignore-certificate-errors-spki-list={pin(edge, authority)}",
            "--disable-quic",
        )
        self._tabs: list[str] = []
        self._page: Page | None = None

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *error: object) -> None:
        self.sleep(False)
        self.browser.__exit__(*error)
        self.home.close()

    # The page

    @property
    def page(self) -> Page:
        assert self._page, "the page is not open"
        return self._page

    def open(self, *, suspends: bool = False, clock: float = 0.0, colo: str = "") -> None:
        """Open the page in a tab of its own, on a device whose `clock` is wrong by so many seconds.
        `suspends`: its monotonic clock stands still while it sleeps."""
        device = f"{DEVICE}({json.dumps(suspends)}, {clock * 1000}, {json.dumps(colo)});"
        self._page = self.browser.visit(self.url, before=device)
        self._tabs = [self._page.target]

    def close(self) -> None:
        """Close every tab; the browser stays."""
        self.sleep(False)
        self._page = None
        for one in self._tabs:
            self.browser.ask("Target.closeTarget", targetId=one)
        self._tabs.clear()
        self.browser.events.clear()
        self.home.befall()

    def until(self, what: str, holds: Callable[[], Any]) -> Any:
        """What `holds` gives once that is true."""
        end = time.monotonic() + WAIT_SECONDS
        while not (found := holds()):
            assert time.monotonic() < end, f"not within {WAIT_SECONDS:.0f} s: {what}"
            time.sleep(0.05)
        return found

    def record(self) -> dict[str, Any]:
        """The record that the page would save now."""
        found: dict[str, Any] = self.page.run("t3probe.record()")
        return found

    def record_and_words(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The record, and what is seen when the page has drawn it."""
        found = self.page.run(SEEN)
        return found["record"], found["said"]

    def beats_sent(self) -> int:
        """How many beats there were."""
        return len(self.record()["beats"])

    def good_beats(self) -> int:
        """How many beats were answered on what is held."""
        return sum(held is not None and held >= 0 for _, held, _ in self.record()["beats"])

    # What befalls the device

    def offline(self, on: bool = True) -> None:
        """Chromium's own switch: requests fail, what is open is silent, `offline` is said."""
        self.page.ask("Network.emulateNetworkConditions", offline=on, **OFFLINE)

    def network(self, kind: str) -> None:
        """Another network: `wifi`, `cellular`; what was open goes on."""
        self.page.run(f"setNetwork({json.dumps(kind)})")

    def sleep(self, on: bool = True) -> None:
        """Nothing of the browser runs; nothing can be asked of the page then."""
        os.killpg(self.browser.pid, signal.SIGSTOP if on else signal.SIGCONT)

    def freeze(self, on: bool = True) -> None:
        """The browser freezes the page, as it does with tabs that nobody sees; and thaws it."""
        if on:
            self.away()
        self.page.ask("Page.setWebLifecycleState", state="frozen" if on else "active")
        if not on:
            self.back()

    def away(self) -> None:
        """Another tab comes to the front."""
        target = self.browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self._tabs.append(target)
        self.browser.ask("Target.activateTarget", targetId=target)

    def back(self) -> None:
        """The page's tab comes to the front again."""
        self.browser.ask("Target.activateTarget", targetId=self._tabs[0])

    def busy(self, seconds: float) -> None:
        """Something else keeps the page's thread."""
        self.page.run(
            f"setTimeout(() => {{ const end = Date.now() + {seconds * 1000}; "
            "while (Date.now() < end); }, 0)"
        )

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the device's clock."""
        self.page.run(f"setClock({seconds * 1000})")
