"""What a browser recorded, as JSON, and runs of ours in which nothing, or one thing, broke."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulated_person import COLO, Evening
from verdict.simulated_world import Breaks

from t3probe.record.log import record_line

START = 1_700_000_000.0
"""When the run of ours began; it saw 35 s."""


def drop(began: float, noticed: float, ended: float | None = None, **more: Any) -> dict[str, Any]:
    """A cut of a young connection, at seconds from the run's start."""
    facts = {
        "began": START + began, "noticed": START + noticed,
        "ended": None if ended is None else START + ended, "strand": "held", "symptom": "cut",
        "reason": "connection_reset", "code": 1006, "age_seconds": noticed - 5.0,
    }  # fmt: skip
    return facts | more


def gap(kind: str, began: float, ended: float | None) -> dict[str, Any]:
    """Something about the device, at seconds from the run's start."""
    over = None if ended is None else START + ended
    return {"kind": kind, "began": START + began, "ended": over, "seconds": None}


def client_record(**more: Any) -> dict[str, Any]:
    """A record from five seconds after the run's start to a minute later; its beats are good."""
    facts: dict[str, Any] = {
        "t3probe_client": 1, "page": "https://t3.example/probe/", "browser": "Chrome 156",
        "began": START + 5.0, "made": START + 65.0, "heartbeat_seconds": 10.0,
        "watchdog_seconds": 20.0, "clock": {"offset_seconds": 0.0, "within_seconds": 0.6},
        "connections": [], "beats": [[START + at, 5, 5] for at in range(6, 65, 10)],
        "drops": [], "gaps": [],
        "edges": [{"at": START + 5.0, "colo": COLO, "family": 4}], "left_out": {},
    }  # fmt: skip
    return facts | more


def written(folder: Path, record: dict[str, Any], name: str = "record") -> str:
    """The file of a record."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(record))
    return str(file)


def runs(folder: Path, *breaks: Breaks) -> str:
    """The log of a run in which these broke."""
    recording, _ = Evening(breaks, seed=1).told()
    file = folder / "run.log"
    file.write_text(record_line(recording.run, recording.observations) + "\n")
    return str(file)
