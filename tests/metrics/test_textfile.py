"""The textfile sink: whole files only, counters that continue, and failures in one sentence."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from metrics_record import CLOUDFLARE, DEPLOYMENT, INTERNAL, RUN, recorded, values, values_in

from t3probe.deliver import metrics
from t3probe.deliver.sinks import Batch, Receipt, textfile

VANTAGE = {"vantage": "lan"}
DROPPED = "t3probe_disconnects_total leg=cloudflare reason=closed_by_peer vantage=lan"


def read(file: Path) -> dict[str, float]:
    return values_in(file.read_text(encoding="utf-8"))


def failed(report: Receipt, file: Path) -> str:
    assert not report.ok
    assert report.sentence.startswith(f"{file}: ")
    assert "\n" not in report.sentence
    assert "delivery.textfile" in report.sentence
    assert "the counts of this run are not in it" in report.sentence
    return report.sentence


def test_runs_continue_each_others_counters(tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, VANTAGE)
    for number in (1, 2, 3):
        report = deliver(Batch(recorded()))
        assert report.ok
        assert report.sentence.startswith(f"{file}: wrote ")
        assert "again" not in report.sentence
        assert read(file)[DROPPED] == number
    assert read(file)["t3probe_run_complete vantage=lan"] == 1
    assert os.listdir(tmp_path) == [file.name]


def test_others_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    assert textfile.sink(file, VANTAGE)(Batch(recorded())).ok
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_zeros_at_the_start_of_the_first_run_and_never_again(tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, VANTAGE)
    opening = Batch(metrics.zeros(DEPLOYMENT), opening=True)
    assert deliver(opening).ok
    assert set(read(file).values()) == {0.0}
    assert len(read(file)) == len(values(metrics.zeros(DEPLOYMENT)))
    assert deliver(Batch(recorded())).ok
    written = file.read_bytes()
    report = deliver(opening)
    assert report.ok
    assert "already" in report.sentence
    assert file.read_bytes() == written


def test_a_new_leg_gets_zeros_and_the_others_keep_everything(tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, VANTAGE)
    assert deliver(Batch(recorded(RUN, (CLOUDFLARE,)))).ok
    before = read(file)
    assert deliver(Batch(metrics.zeros(DEPLOYMENT), opening=True)).ok
    after = read(file)
    assert {name: after[name] for name in before} == before
    assert after["t3probe_disconnects_total leg=internal reason=io_error vantage=lan"] == 0


def test_a_leg_that_was_not_measured_keeps_its_counts(tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    assert textfile.sink(file, VANTAGE)(Batch(recorded())).ok
    later = textfile.sink(file, VANTAGE)
    assert later(Batch(metrics.zeros(DEPLOYMENT), opening=True)).ok
    assert later(Batch(recorded(RUN, (INTERNAL,)))).ok
    assert read(file)[DROPPED] == 1
    assert "t3probe_connected leg=cloudflare vantage=lan" not in read(file)


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, VANTAGE)
    assert deliver(Batch(recorded())).ok
    written, seen = file.read_bytes(), []
    replace = os.replace

    def look(source: Path, target: Path) -> None:
        seen.append(file.read_bytes())
        assert source.parent == tmp_path
        assert source.suffix != ".prom"
        assert source.read_bytes().endswith(b"\n")
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    assert deliver(Batch(recorded())).ok
    assert seen == [written]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_all_as_it_was(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, VANTAGE)
    assert deliver(Batch(recorded())).ok
    written = file.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    assert "No space left on device" in failed(deliver(Batch(recorded())), file)
    assert file.read_bytes() == written
    assert os.listdir(tmp_path) == [file.name]


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "t3probe.prom"
    told = failed(textfile.sink(file, VANTAGE)(Batch(recorded())), file)
    assert f"expected the folder {file.parent}, found none" in told
    assert not file.parent.exists()


def test_a_read_only_folder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "t3probe.prom"
    open_ = os.open

    def refuse(path: str, flags: int, *rest: int, **more: int) -> int:
        if flags & os.O_CREAT:  # root may write anywhere, so the kernel's answer is played
            raise OSError(30, "Read-only file system", path)
        return open_(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    assert "Read-only file system" in failed(textfile.sink(file, VANTAGE)(Batch(recorded())), file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_others_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    file = tmp_path / "t3probe.prom"
    told = failed(textfile.sink(file, VANTAGE)(Batch(recorded())), file)
    tmp_path.chmod(0o700)
    assert "Permission denied" in told


@pytest.mark.parametrize("what", ["folder", "pipe", "nul", "loop"])
def test_what_is_no_file_is_one_sentence(what: str, tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    if what == "folder":
        file.mkdir()
    elif what == "pipe":
        os.mkfifo(file)
    elif what == "loop":
        file.symlink_to(file)
    else:
        file = tmp_path / "t3\0probe.prom"
    failed(textfile.sink(file, VANTAGE)(Batch(recorded())), file)


def test_failed_zeros_say_so(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "t3probe.prom"
    report = textfile.sink(file, VANTAGE)(Batch(metrics.zeros(DEPLOYMENT), opening=True))
    assert not report.ok
    assert "no zeros were written" in report.sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"t3probe_connected{leg=\n", "is damaged"),
        (b"# TYPE t3probe_connected gauge\nt3probe_connected x\n", "is damaged"),
        (b"\xff\xfe\x00", "is no text"),
    ],
)
def test_damage_is_replaced_and_said(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    file.write_bytes(content)
    report = textfile.sink(file, VANTAGE)(Batch(recorded()))
    assert report.ok
    assert words in report.sentence
    assert "begin again at 0" in report.sentence
    assert read(file)[DROPPED] == 1


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, VANTAGE)
    assert deliver(Batch(recorded())).ok
    monkeypatch.setattr(textfile, "TEXTFILE_BYTES", 100)
    report = deliver(Batch(recorded()))
    assert report.ok
    assert "not ours" in report.sentence
    assert read(file)[DROPPED] == 1


def test_foreign_families_are_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    file.write_text("# TYPE other gauge\nother 1\n")
    deliver = textfile.sink(file, VANTAGE)
    assert deliver(Batch(metrics.zeros(DEPLOYMENT), opening=True)).ok
    assert not [name for name in read(file) if name.startswith("other")]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "t3probe.prom", tmp_path / "t3probe.prom"
    link.symlink_to(real)
    assert textfile.sink(link, VANTAGE)(Batch(recorded(RUN, (INTERNAL,)))).ok
    assert link.is_symlink()
    assert read(real)["t3probe_connected leg=internal vantage=lan"] == 1
