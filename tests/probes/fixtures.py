"""Fixtures that the tests of probes and of runs share."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from t3probe.run.footing import Throttling


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the tests' own."""

    ca: trustme.CA
    file: str

    def context(self, *names: str, expires_at: datetime.datetime | None = None) -> ssl.SSLContext:
        """A server's context with a certificate for `names`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, not_after=expires_at).configure_cert(context)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    file: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(file)
    return Authority(ca, str(file))


@pytest.fixture
def own_footing() -> None:
    """Asked for by tests in which our own stalls count."""


@pytest.fixture(autouse=True)
def no_stalls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine that stops the tests' loop for a moment must not change an outcome."""
    if "own_footing" not in request.fixturenames:
        monkeypatch.setattr("t3probe.run.footing.stall_threshold", lambda timing: 1e9)
        monkeypatch.setattr("t3probe.run.footing.THROTTLED_SHARE", 1e9)


@pytest.fixture(autouse=True)
def no_throttling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that keeps its tests from running must not change an outcome."""
    nobody = Path("/nowhere")
    monkeypatch.setattr("t3probe.run.footing.Throttling", lambda: Throttling(nobody, nobody))
