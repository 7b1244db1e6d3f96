"""`t3probe init --from-status-env`: the table from a status server's variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from t3probe.cli import main
from t3probe.config import Wrong, loads
from t3probe.setup.from_status import from_status

STATUS = {
    "STATUS_BASEPATH_BOOK": "/tenant/book",
    "STATUS_BASEPATH_JUMP": "tenant/jump",
    "STATUS_BASEPATH_RELAY": "/tenant/relay",
    "STATUS_HOST_BOOK": "app.example.org",
    "STATUS_HOST_JUMP": "app.example.org",
    "STATUS_HOST_RELAY": "app.example.org:8443",
    "STATUS_SCHEME_RELAY": "http",
    "STATUS_HEALTH_LAST": "12s",
    "STATUS_HEALTH_STARTUP": "1m30s",
    "STATUS_QUERY_BOOK_EVERY": "1d",
    "STATUS_SECRET_RELAY": "hunter2hunter2",
}


def test_what_a_status_server_is_told_becomes_the_table() -> None:
    text, notes = from_status(STATUS)
    table = loads(text, environ={}, now=0).experiments
    assert table is not None
    assert table.relay == "http://app.example.org:8443/tenant/relay"
    assert table.jump == "https://app.example.org/tenant/jump"
    assert table.book == "https://app.example.org/tenant/book"
    lengths = table.active, table.startup, table.query_book, table.reported
    assert [*map(float, lengths)] == [12, 90, 86400, 30]
    assert table.manage is False
    assert "hunter2" not in text + "".join(notes)
    assert "set T3PROBE_RELAY_SECRET to what STATUS_SECRET_RELAY holds" in notes
    assert any("STATUS_SECRET_BOOK holds, which is not set" in one for one in notes)


def test_its_own_limit_on_reports_is_too_short_for_the_relay() -> None:
    text, notes = from_status(STATUS | {"STATUS_HEALTH_LAST_CHECKED": "10s"})
    assert 'reported = "30s"' in text
    assert "LAST_CHECKED" in notes[0]
    text, _ = from_status(STATUS | {"STATUS_HEALTH_LAST_CHECKED": "40s"})
    assert 'reported = "40s"' in text


def test_what_is_missing_or_no_duration_is_one_sentence() -> None:
    with pytest.raises(Wrong, match="expected STATUS_HOST_RELAY, the host of relay, found nothing"):
        from_status({})
    with pytest.raises(Wrong, match=r"a duration .* in STATUS_HEALTH_STARTUP"):
        from_status(STATUS | {"STATUS_HEALTH_STARTUP": "soon"})


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in STATUS.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "rigs.toml"
    assert main(["init", "--from-status-env", "-o", str(file)]) == 0
    assert file.read_text() == from_status(STATUS)[0]
    assert "T3PROBE_BOOK_SECRET" in capsys.readouterr().err
    assert main(["init", "--from-status-env", "-o", str(file)]) != 0
    monkeypatch.delenv("STATUS_HOST_JUMP")
    assert main(["init", "--from-status-env", "-o", "-"]) != 0
    assert "STATUS_HOST_JUMP" in capsys.readouterr().err
