"""`t3probe report`: files, folders, standard input and output, and what is wrong with them."""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from report_runs import HERE, history, lab, page_of

from t3probe.cli import main
from t3probe.record.facts import Recording, leg_property, run_property
from t3probe.record.log import record_line

TUNNEL = str(HERE / "runs" / "tunnel.log")


def junit(one: Recording) -> str:
    """The record as the suite writes it."""
    pairs = [run_property(one.run), *map(leg_property, one.observations)]
    lines = "".join(f"<property name={quoteattr(a)} value={quoteattr(b)}/>" for a, b in pairs)
    return f"<testsuites><testsuite><properties>{lines}</properties></testsuite></testsuites>"


def test_a_run_becomes_a_page(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(junit(lab("tunnel")))
    out = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "junit.xml"), "-o", str(out)]) == 0
    assert out.read_bytes() == page_of(lab("tunnel"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["junit.xml", "report.html"]


def test_to_standard_output(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["report", TUNNEL, "-o", "-"]) == 0
    assert capsysbinary.readouterr().out == page_of(lab("tunnel"))


def test_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(Path(TUNNEL).read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["report", "-", "-o", "-"]) == 0
    assert capsysbinary.readouterr().out == page_of(lab("tunnel"))


def test_a_folder_is_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = history(6)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "first.xml").write_text(junit(runs[0]))
    lines = [record_line(one.run, one.observations) for one in runs[1:]]
    (tmp_path / "pod.log").write_text("\n".join(["starting", *lines, "done"]))
    (tmp_path / "notes.txt").write_text("nothing here")
    out = tmp_path / "out.html"
    assert main(["report", str(tmp_path), "-o", str(out)]) == 0
    assert out.read_bytes() == page_of(*runs)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "notes.txt" in said


def test_several_files_are_history(tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    both = [str(HERE / "runs" / f"{name}.log") for name in ("clean", "tunnel")]
    assert main(["report", *both, "-o", str(out)]) == 0
    assert out.read_bytes() == page_of(lab("clean"), lab("tunnel"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("", "found nothing in it"),
        ("<testsuites/>", "found no property"),
    ],
)
def test_what_is_no_run_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, words: str
) -> None:
    file = tmp_path / "junit.xml"
    if content is not None:
        file.write_text(content)
    assert main(["report", str(file), "-o", str(tmp_path / "out.html")]) == 4
    said = capsys.readouterr().err
    assert said.startswith("t3probe: report: ")
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.html").exists()


def test_an_empty_folder_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "out.html")]) == 4
    assert "found none" in capsys.readouterr().err


def test_a_page_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "nowhere" / "out.html"
    assert main(["report", TUNNEL, "-o", str(out)]) == 1
    said = capsys.readouterr().err
    assert "cannot be written: No such file or directory" in said
    assert said.count("\n") == 1


def test_what_is_no_file_is_written_to_as_it_is(tmp_path: Path) -> None:
    """A pipe or a device is not replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_bytes)
        assert main(["report", TUNNEL, "-o", str(pipe)]) == 0
        assert read.result() == page_of(lab("tunnel"))
    assert pipe.is_fifo()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "latest.html").symlink_to("monday.html")
    assert main(["report", TUNNEL, "-o", str(tmp_path / "latest.html")]) == 0
    assert (tmp_path / "latest.html").is_symlink()
    assert (tmp_path / "monday.html").read_bytes() == page_of(lab("tunnel"))


def test_an_old_page_stays_when_the_new_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.html"
    out.write_text("old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert main(["report", TUNNEL, "-o", str(out)]) == 1
    assert "No space left on device; what stands there is an older page" in capsys.readouterr().err
    monkeypatch.undo()
    assert [one.name for one in tmp_path.iterdir()] == ["out.html"]
    assert out.read_text() == "old"


def test_the_style_and_the_script_are_installed() -> None:
    """They are files beside the code: a wheel that leaves them out makes no page."""
    text = (HERE.parents[1] / "pyproject.toml").read_text()
    assert '"t3probe.show.page" = ["page.css", "page.js"]' in text
