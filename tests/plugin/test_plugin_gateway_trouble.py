"""A gateway that misbehaves changes nothing of a run but a sentence, and `--exit-delivered`."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from deliver import delivery_servers as servers
from deliver.delivery_servers import Handler, answering, serving
from lxml import etree
from made_once import made_once
from plugin_runner import ENVIRON, ROOT, Result, Runner

HOLD = "500ms"
AFTER_HOLD_SECONDS = 6
SLACK_SECONDS = 3
"""The machine does other things, too."""
MORE_KIB = 8 << 10
"""What any delivery needs: of what is none of its own a run keeps nothing."""
LAUNCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as out:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=out)
sys.exit(code)
"""


@contextmanager
def refused() -> Iterator[str]:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # never listens, and nobody else can either
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """A listener with a full backlog: the kernel drops what else comes."""
    with socket.socket() as listener, socket.socket() as fills:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fills.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def other_host() -> Iterator[str]:
    """TLS with a certificate of another host, of an authority nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("other.example").configure_cert(context)
    with serving(answering("200 OK", b'{"status":"success","data":[]}'), context) as server:
        yield f"https://127.0.0.1:{server.port}"


def answers(handler: Handler) -> Callable[[], AbstractContextManager[str]]:
    @contextmanager
    def serve() -> Iterator[str]:
        with serving(handler) as server:
            yield server.url

    return serve


MOVED = answering("302 Found", b"", "Location: http://127.0.0.1:1/elsewhere")
CASES: dict[str, tuple[Callable[[], AbstractContextManager[str]], str]] = {
    "refused": (refused, "refuses connections"),
    "black hole": (black_hole, "did not accept a connection in time"),
    "silent": (answers(servers.silent), "did not answer in time"),
    "500": (answers(answering("500 No")), "answers 500"),
    "400": (answers(answering("400 No", b"odd")), "refuses the metrics with 400: odd"),
    "1 GiB": (answers(servers.gigabyte), "answers with more than 24 MiB"),
    "1 GiB in chunks": (answers(servers.gigabyte_chunked), "answers with more than 24 MiB"),
    "html": (answers(answering("200 OK", b"<html>")), "something that is no list of metrics"),
    "half": (answers(servers.half), "sent half an answer"),
    "other host": (other_host, "shows a certificate that is not accepted"),
    "redirect": (answers(MOVED), "redirects to http://127.0.0.1:1/elsewhere (302)"),
}


@dataclass
class Measured:
    """A run, and what it cost."""

    done: Result
    peak_kib: int

    def save(self, file: Path) -> None:
        file.write_text(json.dumps([self.done.code, self.done.output, self.peak_kib]))

    @classmethod
    def saved(cls, file: Path, results: Path) -> Measured:
        code, output, peak_kib = json.loads(file.read_text())
        return cls(Result(code, output, results), peak_kib)

    @property
    def seconds_after_hold(self) -> float:
        """From the hold's end to the record's, which is written when all else is done."""
        run = self.done.recording.run
        file = self.done.results / "junit.xml"
        return file.stat().st_mtime - run.started_at - run.hold_seconds

    @property
    def outcomes(self) -> dict[str | None, list[str]]:
        """Every test, and how it ended."""
        tree = etree.parse(self.done.results / "junit.xml")
        return {one.get("name"): [inner.tag for inner in one] for one in tree.iter("testcase")}


def run(checks: Runner, folder: Path, *words: str) -> Measured:
    folder.mkdir()
    done = subprocess.run(
        [
            sys.executable, "-c", LAUNCH, str(folder / "peak"), sys.executable, "-m", "pytest",
            f"--deployment={checks.lab.deployment_path}", f"--results={folder}", "--hold", HOLD,
            *words,
        ],
        cwd=ROOT,
        env={**ENVIRON, "CI": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )  # fmt: skip
    result = Result(done.returncode, done.stdout.decode(), folder)
    return Measured(result, int((folder / "peak").read_text()))


def plain_run(checks: Runner, factory: pytest.TempPathFactory, fault: bool) -> Measured:
    """A run that delivers nothing, made once for all cases."""

    def make(folder: Path) -> None:
        run(checks, folder / "run").save(folder / "measured")

    folder = made_once(factory, f"plain-run-{'fault' if fault else 'clean'}", make)
    return Measured.saved(folder / "measured", folder / "run")


@pytest.mark.parametrize("kind", CASES)
def test_a_gateway_in_trouble(
    checks: Runner, kind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    serve, words = CASES[kind]
    fault = kind == "500"
    checks.lab.switch(["serve:refuse"] if fault else [])
    plain = plain_run(checks, tmp_path_factory, fault)
    with serve() as url:
        ways = ["--push", "--exit-delivered"]
        with ThreadPoolExecutor() as pool:
            pushed, scheduled = pool.map(
                lambda way: run(checks, tmp_path / way, way, "--gateway", url), ways
            )
    assert plain.outcomes
    assert pushed.done.code == plain.done.code == int(fault)
    fate = "this run saw no drop, its other counts are lost"
    if fault:
        fate = "the 1 drop of this run is lost, and the next push that finds "
    assert scheduled.done.code == 1
    for one in (pushed, scheduled):
        assert one.outcomes == plain.outcomes
        assert one.done.verdict["status"] == plain.done.verdict["status"]
        assert one.seconds_after_hold < AFTER_HOLD_SECONDS + SLACK_SECONDS
        assert one.peak_kib < plain.peak_kib + MORE_KIB
        # One sentence, folded to the summary's columns.
        output = re.sub(r"\n {16}", " ", one.done.output)
        said = [line for line in output.splitlines() if "the gateway at" in line]
        assert len(said) == 1
        assert words in said[0]
        assert fate in said[0]
