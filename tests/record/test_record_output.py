"""A line of standard output, and a standard output that is gone."""

from __future__ import annotations

import io
import os

import pytest
from record.record_values import some_legs, some_run

from t3probe.plugin.output import RecordLog, put_line
from t3probe.record.log import record_line


def test_a_line_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print("....", end="")
    assert put_line("x")
    print("....")
    assert capsys.readouterr().out == "....\nx\n....\n"


def test_the_record_is_put_only_where_it_is_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    RecordLog(False).put(some_run(), some_legs())
    assert capsys.readouterr().out == ""
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    RecordLog(True).put(some_run(), some_legs())
    assert out.getvalue() == f"\n{record_line(some_run(), some_legs())}\n"


def test_no_standard_output_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    RecordLog(True).put(some_run(), some_legs())
    assert not put_line("x")


def test_a_closed_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", closed)
    assert not put_line("x")


@pytest.mark.parametrize("text", ["x", "x" * 1_000_000])
def test_a_reader_that_left(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = os.pipe()
    os.close(near)
    with open(far, "w", encoding="ascii") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert not put_line(text)
        assert put_line(text)  # nobody's descriptor takes everything


def test_others_may_go_on_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    near, far = os.pipe()
    os.close(near)
    with open(far, "w", encoding="ascii") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        log = RecordLog(True)
        print("x" * 100_000)
        sys.stdout.flush()
        assert sys.stdout.encoding == "ascii"
        log.put(some_run(), some_legs())
        with pytest.raises(UnicodeEncodeError):  # whoever writes has to know
            sys.stdout.write("é")
