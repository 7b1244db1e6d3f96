"""Makes docs/last-mile.png: the page of somebody whose device slept, and whom our tunnel dropped.

python tests/evenings/picture.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from evenings.person import Person  # noqa: E402
from evenings.seat import edge_of  # noqa: E402

from t3probe.lab.process import LabProcess  # noqa: E402

TIMING = {"heartbeat": "1s", "watchdog": "4s"}
PIXELS_WIDE = 900
PIXELS_HIGH = 1010


def main() -> None:
    with LabProcess(timing=TIMING) as lab, Person(*edge_of(lab)) as person:
        person.open(suspends=True)
        time.sleep(12)
        lab.switch(["cf-edge:idle:3s"])
        person.sleep()
        time.sleep(14)
        person.sleep(False)
        time.sleep(2)
        lab.clear()
        time.sleep(9)
        lab.switch(["traefik:drain"])
        time.sleep(5)
        lab.clear()
        time.sleep(9)
        lab.switch(["tunnel:blackhole"])
        time.sleep(7)
        lab.clear()
        person.until(
            "all drops over", lambda: all(one["ended"] for one in person.record()["drops"])
        )
        time.sleep(9)
        # The address is that of the lab, which nobody has.
        person.page.run("document.querySelector('#host').textContent = 't3.example.org'")
        person.page.size(PIXELS_WIDE, PIXELS_HIGH)
        time.sleep(1)
        person.page.picture(ROOT / "docs" / "last-mile.png", PIXELS_HIGH)


if __name__ == "__main__":
    main()
