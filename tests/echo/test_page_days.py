"""Days on the page, in seconds: its clocks and timers run 400 times as fast, so that everything
comes late and much is lost. What it keeps stays bounded and is still a record."""

from __future__ import annotations

from echo.echo_client import child
from echo.page_person import Relay, closing, visiting
from show.report_browser import Browser

FAST = """{
  const times = 400, wall = Date.now(), later = setTimeout;
  const mono = performance.now.bind(performance);
  performance.now = () => mono() * times;
  Date.now = () => wall + mono() * times;
  window.setTimeout = (what, ms, ...words) => later(what, (ms || 0) / times, ...words);
}"""
MOST = {"connections": 100, "beats": 720, "drops": 100, "gaps": 100, "edges": 50}
LISTED = 50
DRAWN = 1500
HEAP_BYTES = 16 << 20


def test_what_it_keeps_stays_bounded(browser: Browser) -> None:
    with (
        child("--page") as one,
        Relay(one.port, sources=200) as relay,
        closing(visiting(browser, relay.port, before=FAST)) as person,
    ):
        relay.colo = "FRA"

        def worn() -> bool:
            relay.colo = "AMS" if relay.colo == "FRA" else "FRA"
            relay.cut()
            left = person.record()["left_out"]
            return all(left[name] > 0 for name in ("connections", "beats", "drops", "gaps"))

        person.until(worn)
        record = person.record()  # which has been checked, its size too
        assert record["made"] - record["began"] > 3600
        for name, most in MOST.items():
            assert len(record[name]) <= most, name
        assert person.page.run("document.querySelectorAll('#list li').length") <= LISTED
        assert person.page.run("document.querySelectorAll('#picture *').length") <= DRAWN
        person.page.ask("HeapProfiler.collectGarbage")
        person.page.ask("Performance.enable")
        metrics = person.page.ask("Performance.getMetrics")["metrics"]
        known = {one["name"]: one["value"] for one in metrics}
        assert known["JSHeapUsedSize"] < HEAP_BYTES
