"""A lab in the loop of the runs that probe it, on the clock that both share (`steady_loop`).

However busy the machine is, a fault at 900 ms comes 900 ms after the faults were switched, and a
good answer takes no time. What a run gives then depends on the faults alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from steady_loop import SteadyLoop

from t3probe.config import Deployment, load
from t3probe.lab.stack import Lab
from t3probe.run.footing import Throttling
from t3probe.run.session import Session

NOWHERE = Path("/nowhere")
T = TypeVar("T")


class SteadyLab:
    """Use it as a context manager. Everything runs in the calling thread, and only while a method
    here does."""

    def __init__(self, folder: Path, timing: Mapping[str, str], pace: float = 1.0) -> None:
        self.loop = SteadyLoop()
        self.loop.clock.pace = pace
        self._lab = Lab(timing=timing)
        self._file = folder / "lab.toml"
        self._patches = pytest.MonkeyPatch()

    def __enter__(self) -> SteadyLab:
        clock = self.loop.clock
        for module in ("streams", "board"):
            self._patches.setattr(f"t3probe.lab.{module}._CLOCK", clock)
        unthrottled = Throttling(NOWHERE, NOWHERE)
        self._patches.setattr("t3probe.run.footing.Throttling", lambda: unthrottled)
        self.loop.run_until_complete(self._lab.start())
        self._file.write_text(self._lab.deployment_text())
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self.loop.run_until_complete(self._lab.stop())
        finally:
            self._patches.undo()
            self.loop.close()

    def deployment(self) -> Deployment:
        """The lab's deployment file, read."""
        return load(str(self._file), os.environ, now=self.loop.clock.wall())

    async def switch(self, *faults: str) -> None:
        """Put these faults in force in place of all others."""
        await self._lab.switch(faults)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run this to its end, the lab beside it."""
        return self.loop.run_until_complete(main)

    def measure(self, session: Session, names: Sequence[str], faults: Sequence[str]) -> None:
        """One run of these legs under these faults, whose times begin with it."""
        with pytest.MonkeyPatch.context() as patches:
            # What a session would run in a loop of its own runs in the lab's.
            patches.setattr(asyncio, "run", self.loop.run_until_complete)
            self.run(self.switch(*faults))
            try:
                session.measure(names, None)
            finally:
                self.run(self.switch())

    def session(self, deployment: Deployment, hold: float | None) -> Session:
        """A session on the lab's clock."""
        return Session(deployment, vantage="", hold=hold, system=self.loop.clock)
