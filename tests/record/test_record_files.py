"""Files, folders and standard input with runs in them, and what is said of other things."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from record_values import SEEN, junit, junit_of, some_legs, some_run

from t3probe.observation import RunRecord
from t3probe.record.facts import RecordError, Recording, leg_property, run_property
from t3probe.record.junit import parse_junit
from t3probe.record.log import DamagedLineError, parse_record, record_line
from t3probe.record.reading import (
    Damage,
    LatestRuns,
    newest,
    read_recording,
    read_recordings,
    read_runs,
    record_files,
)

BROKEN = '{"t3probe":{"record":1,"run":'


def lines(*starts: float) -> str:
    return "".join(record_line(some_run(at), some_legs()) + "\n" for at in starts)


def starts(found: object) -> list[float]:
    return [one.run.started_at for one in found]  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs in files, one deep down, and other things."""
    (tmp_path / "b.log").write_text(lines(2.0))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "deep.xml").write_text(junit_of(some_run(1.0), some_legs()))
    (tmp_path / "c.txt").write_text("nothing\n")
    (tmp_path / "d.json").write_text(lines(9.0))
    (tmp_path / "e.log").mkdir()
    return tmp_path


def standard_input(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))


def test_a_folder_may_hold_other_things(folder: Path) -> None:
    notes: list[object] = []
    assert starts(read_runs([str(folder)], notes)) == [1.0, 2.0]
    (note,) = notes
    assert str(note).startswith(f"{folder}/c.txt: expected a JUnit file")
    assert [one.name for one in record_files(folder)[1]] == ["deep.xml", "b.log", "c.txt"]


def test_a_file_that_was_named_must_hold_a_run(folder: Path) -> None:
    with pytest.raises(RecordError):
        list(read_runs([str(folder / "c.txt")], []))
    notes: list[object] = []
    assert starts(read_runs([str(folder / "c.txt"), str(folder / "b.log")], notes, strict=False))
    assert len(notes) == 1


def test_standard_input_beside_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input(monkeypatch, lines(3.0, 4.0))
    assert starts(read_runs(["-", str(folder / "b.log")], [])) == [3.0, 4.0, 2.0]


def test_damage_is_a_note_with_advice(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text(lines(1.0) + BROKEN + "\n")
    notes: list[object] = []
    assert starts(read_runs([str(file)], notes)) == [1.0]
    (note,) = notes
    assert str(note).startswith(f"{file}: 1 record line is not readable (line 2: cut off after")
    assert "log agents cut long lines" in str(note)
    file.write_text(lines(1.0))
    notes.clear()
    list(read_runs([str(file)], notes))
    assert notes == []


def test_only_damage_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text((BROKEN + "\n") * 2)
    with pytest.raises(RecordError, match="2 record lines are not readable"):
        list(read_recordings(file))


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "1 record line is not readable (line 1: x)"),
        (3, "3 record lines are not readable (line 1: x, line 2: x, line 3: x)"),
        (4, "4 record lines are not readable (line 1: x, line 2: x, line 3: x, ...)"),
    ],
)
def test_three_examples_of_damage(count: int, words: str) -> None:
    damage = Damage()
    for number in range(count):
        damage.add(number + 1, "x")
    assert str(damage) == words
    other = Damage()
    other.take(damage)
    assert (str(other), other.count) == (words, count)
    damage.add(9, "y")
    assert str(other) == words


def test_a_run_that_is_not_wanted_is_left_out(folder: Path) -> None:
    asked: list[float] = []

    def wanted(run: RunRecord) -> bool:
        asked.append(run.started_at)
        return run.started_at > 1.5

    assert starts(read_runs([str(folder)], [], wanted)) == [2.0]
    assert asked == [1.0, 2.0]  # once each


def test_the_newest_is_the_one_that_began_last(tmp_path: Path) -> None:
    early, late = some_run(1.0), some_run(2.0)
    other = msgspec.structs.replace(late, complete=False)
    found = newest([Recording(late, ()), Recording(early, ()), Recording(other, ())])
    assert (found.recording.run, found.runs) == (other, 2)
    with pytest.raises(ValueError, match="at least one"):
        newest([])
    file = tmp_path / "a.log"
    file.write_text(lines(5.0, 7.0, 6.0))
    assert read_recording(file).run.started_at == 7.0


def test_shards_and_vantages_are_runs_of_their_own() -> None:
    one = some_run(1.0)
    others = [
        msgspec.structs.replace(one, vantage="attic"),
        msgspec.structs.replace(one, deployment="there"),
        msgspec.structs.replace(one, shard=0, shards=2),
        msgspec.structs.replace(one, shard=1, shards=2),
    ]
    assert newest([Recording(run, ()) for run in (one, *others, *others)]).runs == 5


@pytest.mark.parametrize(("most", "found", "older"), [(1, [4.0], 3), (2, [3.0, 4.0], 2)])
def test_the_latest_runs(most: int, found: list[float], older: int, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(lines(1.0, 4.0))
    (tmp_path / "b.log").write_text(lines(3.0, 2.0))
    notes: list[object] = []
    latest = LatestRuns([str(tmp_path)], notes, most)
    assert latest.left_out == 0
    assert sorted(starts(latest)) == found
    assert (latest.left_out, notes) == (older, [])


def test_the_latest_runs_have_notes_of_every_file_once(tmp_path: Path) -> None:
    """Of a file whose runs are all too old, and of one that is looked into again."""
    (tmp_path / "old.log").write_text(lines(1.0) + BROKEN + "\n")
    (tmp_path / "new.log").write_text(lines(5.0) + BROKEN + "\n")
    notes: list[object] = []
    assert starts(LatestRuns([str(tmp_path)], notes, 1)) == [5.0]
    assert sorted(str(one).split(":")[0].rpartition("/")[2] for one in notes) == [
        "new.log",
        "old.log",
    ]


def test_of_older_runs_only_the_time_is_looked_at(tmp_path: Path) -> None:
    """So damage in their legs is nobody's trouble."""
    damaged = lines(1.0).replace('"sent":0.1', '"sent":"x"', 1)
    (tmp_path / "old.log").write_text(damaged)
    (tmp_path / "new.log").write_text(lines(5.0))
    notes: list[object] = []
    latest = LatestRuns([str(tmp_path)], notes, 1)
    assert starts(latest) == [5.0]
    assert (latest.left_out, notes) == (1, [])


def test_the_latest_runs_take_all_of_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.log").write_text(lines(7.0, 8.0))
    standard_input(monkeypatch, lines(1.0, 2.0))
    assert starts(LatestRuns(["-", str(tmp_path)], [], 1)) == [8.0, 1.0, 2.0]


# -- JUnit ----------------------------------------------------------------------------------------


def parsed(text: str, wanted: object = None) -> Recording | None:
    return parse_junit(io.BytesIO(text.encode()), "f.xml", wanted)  # type: ignore[arg-type]


def test_legs_before_the_run_wait_until_it_is_wanted() -> None:
    text = junit(leg_property(SEEN), run_property(some_run(1.0)))
    assert parsed(text, lambda run: False) is None
    found = parsed(text, lambda run: True)
    assert found is not None
    assert [one.leg for one in found.observations] == ["edge"]
    # Damage in a leg of a run that nobody wants is not looked at.
    broken = junit(("t3probe.leg.x", "{"), run_property(some_run(1.0)))
    assert parsed(broken, lambda run: False) is None
    with pytest.raises(RecordError):
        parsed(broken, lambda run: True)


def test_the_first_run_of_a_file_is_its_run() -> None:
    text = junit(run_property(some_run(1.0)), run_property(some_run(2.0)))
    found = parsed(text)
    assert found is not None
    assert found.run.started_at == 1.0


def test_properties_elsewhere_are_not_the_record() -> None:
    name, value = run_property(some_run(1.0))
    inner = junit((name, value)).partition("<properties>")[2].partition("</properties>")[0]
    text = f"<testsuite><testcase><properties>{inner}</properties></testcase></testsuite>"
    with pytest.raises(RecordError, match=r"found no property 't3probe\.run'"):
        parsed(text)


# -- lines ----------------------------------------------------------------------------------------


def test_a_line_that_lost_a_beat_says_how_many() -> None:
    text = record_line(some_run(), some_legs(3))
    lost = text.replace('{"sent":0.1,', '{"was":0.1,"sent":0.1,', 1)
    assert parse_record(lost).run == some_run()
    fewer = text.replace('"beats":6', '"beats":7', 1)
    with pytest.raises(DamagedLineError) as caught:
        parse_record(fewer)
    words = "lost a part: 2 legs, 7 beats, 0 drops written, 2 legs, 6 beats, 0 drops left"
    assert str(caught.value) == words
    with pytest.raises(DamagedLineError, match="an unknown number written"):
        parse_record(text.replace('"counts":{"legs":2,"beats":6,"drops":0}', '"counts":3', 1))


def test_a_line_without_counts_is_taken_as_it_is() -> None:
    text = record_line(some_run(), some_legs(3))
    found = parse_record(text.replace('"counts":{"legs":2,"beats":6,"drops":0},', "", 1))
    assert found == Recording(some_run(), some_legs(3))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"record":1', '"record":2'), "of version '2', and 1 is known"),
        (('"run":{', '"run":{"x":[},'), "damaged at character"),
    ],
)
def test_what_a_line_that_is_no_record_says(change: tuple[str, str], words: str) -> None:
    text = record_line(some_run(), some_legs(3)).replace(*change, 1)
    with pytest.raises(DamagedLineError, match=words):
        parse_record(text)


@pytest.mark.parametrize(("behind", "words"), [(39, "cut off after"), (40, "damaged at character")])
def test_an_error_at_the_very_end_is_the_ends_own(behind: int, words: str) -> None:
    """Some agents put a mark behind what they cut."""
    text = '{"t3probe":{"record":1,"run":' + "]" + "x" * behind
    with pytest.raises(DamagedLineError, match=words):
        parse_record(text)


ENCODINGS = ["utf-16", "utf-16-be", "utf-16-le", "utf-8-sig", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("declared", ["utf-8", "utf-16", ""])
def test_what_powershell_wrote_is_read(tmp_path: Path, encoding: str, declared: str) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    if encoding == "utf-8-sig" and declared == "utf-16":
        pytest.skip("no writer does that")
    text = junit_of(some_run(1.0), some_legs())
    xml = tmp_path / "run.xml"
    xml.write_bytes((head + text[text.index("<testsuite") :]).encode(encoding))
    log = tmp_path / "job.log"
    log.write_bytes(("\r\n" + lines(2.0, 3.0).replace("\n", "\r\n")).encode(encoding))
    assert starts(read_recordings(xml)) == [1.0]
    assert starts(read_recordings(log)) == [2.0, 3.0]
    assert starts(read_recordings(xml, wanted=lambda run: False)) == []


@pytest.mark.parametrize("encoding", ENCODINGS[:3])
def test_utf_16_comes_through_a_pipe_too(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = lines(2.0).encode(encoding)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
    assert starts(read_recordings("-")) == [2.0]


def test_a_half_character_at_the_end_loses_only_itself(tmp_path: Path) -> None:
    (tmp_path / "job.log").write_bytes(lines(2.0).encode("utf-16") + b"\xff")
    assert starts(read_recordings(tmp_path / "job.log")) == [2.0]


@pytest.mark.parametrize(
    ("head", "kind"), [(b"\xfd7zXZ\x00", "an xz file"), (b"\x28\xb5\x2f\xfd", "a zstd file")]
)
def test_what_is_packed_is_named(tmp_path: Path, head: bytes, kind: str) -> None:
    (tmp_path / "job.log").write_bytes(head + b"whatever")
    with pytest.raises(RecordError, match=f"found {kind}; unpack it first"):
        list(read_recordings(tmp_path / "job.log"))
