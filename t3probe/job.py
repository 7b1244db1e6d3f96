"""The scheduled job: pytest over the checks, with ears for signals from its first moment on.

As process 1 of a container it must have a handler, or the kernel throws SIGTERM away; so the
handlers come before everything that takes long to import, some 15 ms after the process began.
What they heard is handed to the plugin, which has handlers of its own from the moment it is
loaded. From then on all is as in any other run.

Arguments are pytest's, after those of the job. Environment: `T3PROBE_RESULTS`, the folder for
the results (default /results); `T3PROBE_SUITE`, a folder with checks of one's own and their
conftest.py, in place of the packaged ones.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

HELP = """\
usage: t3probe-job [options of t3probe check, and of pytest]

The scheduled job: runs every check of a deployment once and delivers. Signals
are heard from the first moment on, and what was seen until then is delivered.

options: t3probe check --help and pytest --help list them; --exit-delivered
and --record-line are given

environment:
  T3PROBE_DEPLOYMENT  the deployment file
  T3PROBE_RESULTS     where the record goes; default: /results
  T3PROBE_SUITE       a folder with checks of your own and their conftest.py,
                      in place of the packaged ones

exit codes: 0 ran and delivered, whatever was found, 1 ran and not delivered,
4 wrong usage
"""
EXIT_USAGE = 4
"""Wrong usage, as with pytest."""


class _Ears:
    """Signals from before the checks can hear them; as a pytest plugin, hands them over."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        try:
            for one in (signal.SIGINT, signal.SIGTERM):
                signal.signal(one, lambda number, frame: self.heard.append(number))
        except ValueError:
            pass  # not the main thread, which alone gets signals

    def pytest_collection(self) -> None:
        if self.heard:
            from t3probe.plugin import INTERRUPTS

            # Once: a second one means haste only from somebody who knows that the first was heard.
            INTERRUPTS.arrived(self.heard[0])
            self.heard.clear()


def main(words: Sequence[str] | None = None) -> int:
    """Run the checks, deliver, and return the exit code: 0 ran and delivered, 1 ran and did not
    deliver, 4 wrong usage, and pytest's other ones. `words`: default, the command line's."""
    words = list(sys.argv[1:] if words is None else words)
    if any(one in ("-h", "--help") for one in words):
        print(HELP, end="")
        return 0
    try:
        os.getcwd()
    except OSError:
        from t3probe.usage import NOWHERE

        print(f"t3probe-job: {NOWHERE}", file=sys.stderr)
        return EXIT_USAGE
    ears = _Ears()
    suite = os.environ.get("T3PROBE_SUITE")
    if suite and not os.path.isfile(os.path.join(suite, "conftest.py")):
        print(
            f"t3probe-job: expected checks with their conftest.py, found none in {suite}; name "
            "their folder with T3PROBE_SUITE, or leave it out for the packaged ones",
            file=sys.stderr,
        )
        return EXIT_USAGE
    if suite:
        os.chdir(suite)
        from pathlib import Path

        from t3probe.entry import joined

        words = joined(words, Path.cwd().resolve())
        # t3probe.entry would start the process over to get the words joined like this, and a
        # signal that was heard until then would be forgotten.
        sys.orig_argv = [sys.executable, "-m", "t3probe.job", *words]

    results = os.environ.get("T3PROBE_RESULTS") or "/results"
    # Captured output goes to memory: beside the results, no folder has to be writable.
    ours = ["--exit-delivered", f"--results={results}", "--capture=sys"]
    if suite:
        import pytest

        return int(pytest.main([*ours, *words], plugins=[ears]))
    from t3probe.plugin.suite import Packaged, run

    return run([*ours, *words], ears, Packaged())


if __name__ == "__main__":
    sys.exit(main())
