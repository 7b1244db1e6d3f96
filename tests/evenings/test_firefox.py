"""The page in a real Firefox: it connects, sees a drop, knows that it was offline, and says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from evenings.firefox import Firefox, firefox
from evenings.home import LastMile
from evenings.person import NAME, SEEN
from evenings.saying import differences
from evenings.seat import TIMING, edge_of

from t3probe.lab.process import LabProcess

pytestmark = pytest.mark.timeout(300)
WAIT_SECONDS = 60
AWAY_SECONDS = 5
IN_THE_BACKGROUND = """(() => {
  const later = setTimeout;
  Object.defineProperty(document, 'hidden', {value: true, configurable: true});
  window.setTimeout = (what, ms, ...words) => later(what, document.hidden ? 600000 : ms, ...words);
  return t3probe.record().beats.length;
})()"""
"""Its timers are not woken while anybody waits."""
IN_FRONT = "delete document.hidden && document.dispatchEvent(new Event('visibilitychange'))"


@pytest.fixture(scope="module")
def lab() -> Iterator[LabProcess]:
    firefox()
    with LabProcess(timing=TIMING) as running:
        yield running


def until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + WAIT_SECONDS
    while not (found := holds()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_the_page_in_firefox(lab: LabProcess) -> None:
    edge, _ = edge_of(lab)
    home = LastMile(edge, "127.0.0.1")
    try:
        with Firefox(NAME) as browser:
            browser.open(f"https://{NAME}:{edge[1]}/probe/")

            def record() -> Any:
                return browser.run("t3probe.record()")

            def more_beats() -> None:
                sent = len(record()["beats"])
                until(lambda: len(record()["beats"]) >= sent + 3)

            more_beats()
            assert record()["drops"] == []
            home.befall("wan:cut@0s")
            until(lambda: [one["ended"] for one in record()["drops"]] not in ([], [None]))
            more_beats()
            browser.offline()
            until(lambda: len(record()["drops"]) == 2)
            browser.offline(False)
            until(lambda: all(one["ended"] is not None for one in record()["drops"]))
            more_beats()
            sent = browser.run(IN_THE_BACKGROUND)
            time.sleep(AWAY_SECONDS)  # who asks wakes it
            assert len(record()["beats"]) >= sent + 3
            browser.run(IN_FRONT)
            seen = browser.run(SEEN)
    finally:
        home.close()
    found = seen["record"]
    assert differences(seen["said"], found) == []
    assert found["browser"].startswith("Firefox ")
    cut, away = found["drops"]
    assert (cut["symptom"], cut["reason"]) == ("cut", "connection_reset")
    (gap,) = [one for one in found["gaps"] if one["kind"] == "offline"]
    assert gap["began"] <= away["noticed"]
    assert gap["ended"] >= away["began"]
    assert found["edges"][0]["colo"] == "LAB"
