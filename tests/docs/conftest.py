"""One lab, one Pushgateway and one recorded run for all documents; a folder for each."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway, RealPrometheus
from deliver.trace_receiver import receiving
from docs_scratch import Scratch

from t3probe.lab.process import LabProcess


@pytest.fixture(scope="session")
def documents_lab() -> Iterator[LabProcess]:
    with LabProcess(timing={"hold": "1s", "heartbeat": "300ms"}) as lab:
        yield lab


@pytest.fixture(scope="session")
def prepared(documents_lab: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """A folder with the inputs of a real run, to be copied."""
    folder = tmp_path_factory.mktemp("documents")
    scratch = Scratch(folder, documents_lab.deployment_path)
    scratch.prepare()
    return scratch


@pytest.fixture
def scratch(
    prepared: Scratch, documents_lab: LabProcess, tmp_path: Path
) -> Callable[[dict[str, str]], Scratch]:
    """A folder of one's own; it is told where else things are."""

    def made(places: dict[str, str]) -> Scratch:
        folder = tmp_path / "suite"
        folder.mkdir()
        own = Scratch(folder, documents_lab.deployment_path, places)
        for one in prepared.folder.iterdir():
            if not (folder / one.name).exists():
                (shutil.copytree if one.is_dir() else shutil.copy)(one, folder / one.name)
        return own

    return made


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Starts a real Pushgateway when it is first asked for; its URL."""
    started: list[RealGateway] = []

    def url() -> str:
        if not started:
            started.append(RealGateway(tmp_path))
            started[0].start()
        return started[0].url

    yield url
    for one in started:
        one.stop()


@pytest.fixture
def prometheus(tmp_path: Path, gateway: Callable[[], str]) -> Iterator[Callable[[], str]]:
    """Starts a real Prometheus when it is first asked for; its URL."""
    started: list[RealPrometheus] = []

    def url() -> str:
        if not started:
            started.append(RealPrometheus(tmp_path, gateway().removeprefix("http://"), "1s"))
            started[0].start()
        return started[0].url

    yield url
    for one in started:
        one.stop()


@pytest.fixture
def receiver() -> Iterator[Callable[[], str]]:
    """Starts a real receiver of traces when it is first asked for; its URL."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(receiving()).url


@pytest.fixture
def kept(prepared: Scratch) -> Callable[[], str]:
    """Leaves a person's record with the lab's responder when it is first asked for; its address."""

    def address() -> str:
        base = prepared.places["dispatch"]
        request = urllib.request.Request(
            f"{base}/probe/records",
            (prepared.folder / "record.json").read_bytes(),
            {"Content-Type": "application/json", "Origin": base},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return f"{base}/probe/#{json.load(answer)['code']}"

    return address
