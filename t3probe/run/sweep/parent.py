"""Many upstreams at once: in a process of their own, beside the legs of a run.

Ten thousand connects in the legs' own event loop would show in their round trips, so from
`sweep_start.MANY` upstreams on a child does them (`sweep_child`). While the run lasts this side
only keeps the bytes that come; it reads them when everything is measured. Below that number, and
where there is no epoll, upstreams are legs like all others. Both give the same observations, but:

- an upstream of a sweep is seen once in a run, not every heartbeat;
- it calls no common beat and answers none. A drop is noticed when the first try fails. When all
  have been dialled once, what failed is dialled once more, which decides the symptom. Beside these
  second looks some others are dialled again: these controls are the evidence, since both looked at
  one moment.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from t3probe import guard
from t3probe.config.endpoints import is_address
from t3probe.config.types import Deployment, Leg
from t3probe.observation import Observation
from t3probe.probes.resolve import split_address
from t3probe.probes.tcp import MAX_CONNECT_SECONDS
from t3probe.run.footing import stall_threshold
from t3probe.run.sweep import wire as wire
from t3probe.text.words import span

if TYPE_CHECKING:
    from t3probe.run.controller import Run

PATIENCE_SECONDS = 0.25
SILENT_SECONDS = 5.0
"""A child that has said nothing for so long hangs; it gives a sign of life every half second."""
LAST_SECONDS = 1.0
"""How long a child that was told to end may take."""
CONTROLS = 3
"""So many upstreams of each shared segment are dialled again beside second looks ..."""
MOST_CONTROLS = 300
"""... and so many in all."""
PIPE_BYTES = 1 << 20
READ_BYTES = 1 << 18
ROOT = Path(__file__).resolve().parents[3]
START = (
    # Last: what is installed beside us must not stand before the standard library.
    f"import sys; sys.path.append({str(ROOT)!r}); from t3probe.run.sweep.child import main; main()"
)


class Sweep:
    """One sweep over these legs. Starts its process at once; `beside` makes it work."""

    def __init__(
        self, deployment: Deployment, legs: Sequence[Leg], others: Sequence[Leg] = ()
    ) -> None:
        """`others` are the legs of the same run that it has nothing to do with.

        Raises OSError when no process can be started.
        """
        self.legs, self.others = legs, others
        self._deployment = deployment
        self._pace = deployment.sweep
        self.limit = min(float(deployment.timing.connect_timeout), MAX_CONNECT_SECONDS)
        self.targets = [
            [split_address(one) for one in leg.addresses or (leg.address or "",)] for leg in legs
        ]
        self.base = 0.0
        """When it began, on the run's clock."""
        self.said = bytearray()
        self.problem = ""
        """Why it did not come to its end, when that was the child's doing."""
        self._heard = 0.0
        self._over = False
        self._told = False
        """To end before it was done."""
        self._process = self._start()
        # While it starts, and before the legs do: in their loop this would take too long.
        controls = _controls(legs)
        flags = [
            (wire.REFUSED_OK if leg.refused_ok else 0) | (wire.CONTROL if at in controls else 0)
            for at, leg in enumerate(legs)
        ]
        self._lines = wire.asked(zip(flags, self.targets, strict=True))

    def _start(self) -> subprocess.Popen[bytes]:
        environ = dict(os.environ)
        if guard.installed():
            environ[guard.VARIABLE] = "1"
        process = subprocess.Popen(
            # Without site-packages it is there in a third of the time.
            [sys.executable, "-I", "-S", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            bufsize=0,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for pipe in (process.stdin, process.stdout):
            os.set_blocking(pipe.fileno(), False)
            with suppress(OSError):
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return process

    def _request(self, base: float) -> bytes:
        timing = self._deployment.timing
        settings = wire.Settings(
            base=base,
            at_once=1 if self._pace.pace == "sequential" else self._pace.at_once,
            patience=PATIENCE_SECONDS,
            limit=self.limit,
            resolve_limit=float(timing.connect_timeout),
            stall=stall_threshold(timing),
        )
        lines, self._lines = self._lines, b""
        return wire.request(settings, lines)

    # -- while the run lasts ---------------------------------------------------------------

    async def beside(self, run: Run) -> None:
        """Sweep, until all is done or the run is over. Raises LoopbackOnlyError."""
        loop, process = asyncio.get_running_loop(), self._process
        assert process.stdin is not None
        assert process.stdout is not None
        source, out = process.stdin.fileno(), process.stdout.fileno()
        self.base = self._heard = run.clock.now()
        left = memoryview(self._request(run.clock.clock.monotonic()))

        def write() -> None:
            nonlocal left
            try:
                left = left[os.write(source, left) :]
            except BlockingIOError:
                return
            except OSError:
                left = left[:0]  # it is gone; its output will say so
            if not left:
                loop.remove_writer(source)

        def read() -> None:
            self._read(out)
            self._heard = run.clock.now()
            if self._over:
                loop.remove_reader(out)
                run.changed()

        try:
            if not run.finished:
                loop.add_writer(source, write)
                loop.add_reader(out, read)
                await self._listen(run, out)
            loop.remove_writer(source)
            loop.remove_reader(out)
            await self._end(run, out)
        finally:
            if not process.stdout.closed:
                loop.remove_reader(out)
            if not process.stdin.closed:
                loop.remove_writer(source)
            self._bury()
        self._raise()

    def give_up(self) -> None:
        """End the process of a sweep that will not be made."""
        self._told = True
        self._bury()

    async def _listen(self, run: Run, out: int) -> None:
        """Until the child has said all, hangs, or the run is over."""
        while not (self._over or run.finished or run.clock.now() >= run.ends_at):
            await run.until(
                lambda: self._over, min(run.ends_at, run.clock.now() + SILENT_SECONDS / 4)
            )
            if run.clock.now() - self._heard >= SILENT_SECONDS and not self._read(out):
                # Had the prober itself stood still, there were bytes to read.
                self.problem = f"the sweep's process hung: silent for {span(SILENT_SECONDS)}"
                return

    async def _end(self, run: Run, out: int) -> None:
        """Let a child that is not done write what it has seen."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self.problem:
            return
        self._told = not self._over
        until = run.clock.now() + LAST_SECONDS
        while not self._over and run.clock.now() < until:
            if not self._read(out):
                await run.clock.clock.sleep(0.01)

    def _read(self, out: int) -> bool:
        """Keep what there is; whether there was anything."""
        try:
            piece = os.read(out, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        self._over = not piece
        self.said += piece
        return bool(piece)

    def _bury(self) -> None:
        process = self._process
        if not self._over:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            code = process.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        words = (process.stderr.read(1 << 16) or b"").decode("utf-8", "replace").split("\n")
        process.stderr.close()
        if self.problem or self._told or self._complete():
            return
        last = next((line for line in reversed(words) if line.strip()), "")
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        self.problem = (
            f"the sweep's process {how} before it was done{': ' if last else ''}{last[:200]}"
        )

    def _complete(self) -> bool:
        return bytes(self.said[-wire.HEAD.size :]) == wire.frame(wire.END)

    def _raise(self) -> None:
        for kind, payload in wire.frames(self.said):
            if kind == wire.LEFT_LOOPBACK:
                raise guard.LoopbackOnlyError(payload.decode())

    # -- after the run -----------------------------------------------------------------------

    def observations(self, run: Run, planned: Callable[[Leg], str]) -> list[Observation]:
        """What was seen, judged. Call it when the run is over: it takes its time."""
        from t3probe.run.sweep.book import observed

        return observed(self, run, planned)


def _controls(legs: Sequence[Leg]) -> frozenset[int]:
    """For each segment that several upstreams share a few of them, far apart in the list: what
    another one's second look is compared with."""
    sharing: dict[str, list[int]] = {}
    for at, leg in enumerate(legs):
        if leg.address is not None and is_address(split_address(leg.address)[0]):
            for segment in leg.path:
                sharing.setdefault(segment, []).append(at)
    found: set[int] = set()
    for several in sharing.values():
        if len(several) > 1:
            step = max(1, len(several) // CONTROLS)
            found.update(several[::step][:CONTROLS])
    return frozenset(sorted(found)[:MOST_CONTROLS])
