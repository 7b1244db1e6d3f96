"""Secrets: from a variable or a file, and never in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from t3probe.config import DeploymentError, secret


def refused(environ: dict[str, str]) -> str:
    with pytest.raises(DeploymentError) as caught:
        secret("gateway-password", environ)
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


def test_none_is_set() -> None:
    assert secret("gateway-password", {}) is None


def test_from_a_variable() -> None:
    assert secret("gateway-password", {"T3PROBE_GATEWAY_PASSWORD": "hunter2"}) == "hunter2"


def test_from_the_real_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T3PROBE_GATEWAY_PASSWORD", "hunter2")
    assert secret("gateway_password") == "hunter2"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_from_a_file_without_its_line_end(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "s").write_bytes(b" hunter2 " + end)
    assert secret("x", {"T3PROBE_X_FILE": str(tmp_path / "s")}) == " hunter2 "


def test_both(tmp_path: Path) -> None:
    environ = {"T3PROBE_GATEWAY_PASSWORD": "hunter2", "T3PROBE_GATEWAY_PASSWORD_FILE": "hunter2"}
    assert refused(environ) == (
        "T3PROBE_GATEWAY_PASSWORD: expected only one of T3PROBE_GATEWAY_PASSWORD and "
        "T3PROBE_GATEWAY_PASSWORD_FILE, found both"
    )


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_empty(value: str) -> None:
    assert refused({"T3PROBE_GATEWAY_PASSWORD": value}) == (
        "T3PROBE_GATEWAY_PASSWORD: expected a secret, found nothing; take the variable away if "
        "there is no secret"
    )


@pytest.mark.parametrize(
    "value", ["hunter2\nX-Admin: 1", "hunter2\x00", "hunter2\udc80", "hunter2\n\n"]
)
def test_more_than_one_line(value: str) -> None:
    assert refused({"T3PROBE_GATEWAY_PASSWORD": value}) == (
        "T3PROBE_GATEWAY_PASSWORD: expected a secret of one line of text, found line ends or "
        "control characters"
    )


EXPECTED = (
    "T3PROBE_GATEWAY_PASSWORD_FILE: expected the name of a readable file that holds the secret"
)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("hunter2", "no such file or directory"),
        (".", "something that is not a file"),
        ("pipe", "something that is not a file"),
        ("", "no such file or directory"),
        ("hunter2\0", "a name that no file can have"),
    ],
)
def test_unreadable(file: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    assert refused({"T3PROBE_GATEWAY_PASSWORD_FILE": file}) == f"{EXPECTED}, found {why}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected a secret, found nothing; take the variable away if there is no secret"),
        (b"\xff", "expected a file in UTF-8, found other bytes"),
        (b"a" * 65_537, "expected a file of at most 65536 bytes, found a larger one"),
    ],
    ids=["empty", "bytes", "large"],
)
def test_files_that_hold_no_secret(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(content)
    said = f"T3PROBE_GATEWAY_PASSWORD_FILE: {said}"
    assert refused({"T3PROBE_GATEWAY_PASSWORD_FILE": str(tmp_path / "s")}) == said


@pytest.mark.parametrize("there", ["..data", ""])
def test_a_key_that_a_mounted_secret_does_not_hold_is_none(there: str, tmp_path: Path) -> None:
    if there:
        (tmp_path / there).mkdir()
    environ = {"T3PROBE_GATEWAY_PASSWORD_FILE": str(tmp_path / "password")}
    assert secret("gateway_password", environ) is None
    (tmp_path / "other").touch()
    (tmp_path / "password").write_text("s3cret\n")
    assert secret("gateway_password", environ) == "s3cret"


def test_a_mistyped_name_in_any_other_folder_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    environ = {"T3PROBE_GATEWAY_PASSWORD_FILE": str(tmp_path / "pasword")}
    assert refused(environ) == f"{EXPECTED}, found no such file or directory"
