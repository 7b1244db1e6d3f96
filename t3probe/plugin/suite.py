"""The packaged checks with their packaged configuration, run from any folder.

`t3probe check` and the scheduled job begin here. Neither a pytest configuration nor a conftest.py
of the folder they stand in is read.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from t3probe.exchange.terminal import sentence as shown
from t3probe.plugin.passive import SPREAD, spread

if TYPE_CHECKING:
    from t3probe.config import Deployment
    from t3probe.setup.public import PublicLegs, Tried

_PACKAGE = Path(__file__).parents[1]
CHECKS = str(_PACKAGE / "checks")
WORDS = (
    f"--config-file={Path(__file__).with_name('pytest.ini')}",
    f"--rootdir={_PACKAGE}",  # a check is called checks/..., as in a clone
    "--noconftest",
    "-pt3probe.plugin",
)
"""What a command line of pytest begins with."""


def run(words: Sequence[str], *plugins: object) -> int:
    """pytest with these words; its exit code."""
    # t3probe.entry need not start the process over: no path decides where the configuration is.
    sys.orig_argv = [sys.executable]
    return int(pytest.main([*WORDS, *words], plugins=plugins))


class Packaged:
    """Collects the packaged checks where no path is named."""

    prog = "t3probe-job"
    more = "t3probe check --help and pytest --help list the options"
    """What to do about a word that is not known."""

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_parse(self) -> Generator[None, pytest.Config, pytest.Config]:
        try:
            config = yield
        except pytest.UsageError as error:
            from t3probe.plugin import INTERRUPTS

            INTERRUPTS.release()  # nothing is probed
            # argparse's line; pytest puts its usage and its folders around it.
            found = re.search(r"^\S.*?: error: (.*)$", str(error), re.MULTILINE)
            if found is None:
                raise
            print(f"{self.prog}: {found[1]}; {self.more}", file=sys.stderr)
            raise SystemExit(pytest.ExitCode.USAGE_ERROR) from None
        if not hasattr(config.option, "file_or_dir"):
            return config  # pytest's own help, by way of PYTEST_ADDOPTS
        if spread(config.option):
            raise pytest.UsageError(SPREAD)
        words = list(config.option.file_or_dir)
        self.told(config, words)
        config.args = words or [CHECKS]
        return config

    def told(self, config: pytest.Config, words: list[str]) -> None:
        """Take out of `words` what is no path. Raises UsageError."""


class Checking(Packaged):
    """The same for `t3probe check`: the first word is a deployment file or a URL, and without any
    the built-in lab is looked at."""

    prog = "t3probe check"
    more = "see t3probe check --help"

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._made: PublicLegs | None = None
        self._untold: list[str] = []
        self._url = ""

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        for_urls(parser.getgroup("t3probe"))

    def told(self, config: pytest.Config, words: list[str]) -> None:
        option, target = config.option, words.pop(0) if words else None
        if target == "":
            raise pytest.UsageError(
                "expected a deployment file or a URL, found an empty word; name one, or leave it "
                "out to look at the built-in lab"
            )
        target = target or ""
        url = target if "://" in target else ""
        if (option.doh or option.ca) and not url:
            raise pytest.UsageError(
                "--doh and --ca go with a URL, and none is named; a deployment file names its own"
            )
        if not target:
            return
        if option.deployment is not None:
            raise pytest.UsageError(
                f"expected one deployment, found {shown(target)!r} and --deployment "
                f"{option.deployment!r}; leave one out"
            )
        self._url = url
        option.deployment = self._of_url(url, config) if url else target

    def pytest_t3probe_lab(self, config: pytest.Config) -> Any:
        from t3probe.plugin import lab

        return lab.pytest_t3probe_lab(config)

    def pytest_report_collectionfinish(self) -> list[str]:
        if self._made is None:
            return []
        head = f"t3probe: what is public of {self._url}"
        more = f"more legs would tell more: {self._made.words} --internal ADDRESS -o my.toml"
        return [head, *self._made.notes, *self._untold, more]

    def pytest_unconfigure(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _of_url(self, url: str, config: pytest.Config) -> str:
        """A deployment file of the URL's public legs, gone at the end. Raises UsageError."""
        from t3probe.config import DeploymentError, Wrong, load
        from t3probe.guard import LoopbackOnlyError
        from t3probe.plugin import INTERRUPTS
        from t3probe.setup import public
        from t3probe.setup.ask import refused
        from t3probe.show.coverage import coverage, untold
        from t3probe.timing import SystemClock

        option, now = config.option, SystemClock().wall()
        self._folder = tempfile.TemporaryDirectory(prefix="t3probe-check-")
        try:
            given = public.asked(url, option.doh, os.path.abspath(option.ca) if option.ca else "")
            file = Path(self._folder.name, f"{given.host.replace(':', '-')}.toml")

            def written(text: str) -> Deployment:
                file.write_text(text, encoding="utf-8")
                return load(file, {}, now=now)

            with INTERRUPTS.raising(1):
                self._made = public.public(given, written, None if option.collectonly else _looked)
            deployment = written(self._made.text)
        except Wrong as wrong:
            raise pytest.UsageError(shown(refused("t3probe check", url, wrong))) from None
        except (DeploymentError, LoopbackOnlyError) as error:
            raise pytest.UsageError(shown(error)) from None
        self._untold = untold(coverage(deployment, deployment.legs))
        return str(file)


def _looked(deployment: Deployment) -> Mapping[str, Tried]:
    from t3probe.setup.look import finding, look
    from t3probe.setup.public import Tried

    found = {}
    for leg, one in look(deployment).items():
        told = finding(one)
        found[leg] = Tried(told.works, one.detail, told.words)
    return found


def for_urls(group: Any) -> None:
    """Add the options that go with a URL; `group` is pytest's, or the like."""
    group.addoption(
        "--doh", metavar="RESOLVER", action="append", default=[],
        help="with a URL: a resolver to ask, better two; default: 1.1.1.1 and 8.8.8.8",
    )  # fmt: skip
    group.addoption("--ca", metavar="FILE", help="with a URL: certificate authorities to trust")
