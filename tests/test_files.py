"""Files are written whole under names nobody foresees, and read with distrust."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from t3probe.deliver.sinks.spool import Spool, SpoolError
from t3probe.exchange.files import (
    NotAFileError,
    TooLargeError,
    clear,
    open_regular,
    read_regular,
    replacing,
    set_aside,
    write_whole,
)
from t3probe.record.reading import record_files
from t3probe.show.annotations import append


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious, place = tmp_path / "precious", tmp_path / "place"
    precious.write_text("mine")
    place.symlink_to(precious)
    write_whole(place, b"new")
    assert (precious.read_text(), place.read_text()) == ("mine", "new")
    assert not place.is_symlink()


def test_the_name_beside_is_another_one_each_time_and_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    for _ in range(2):
        with replacing(tmp_path / "a"):
            seen += [one for one in os.listdir(tmp_path) if one.endswith(".partial")]
    assert len(set(seen)) == 2
    monkeypatch.setattr("os.urandom", lambda size: bytes(size))
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / f".a.{bytes(8).hex()}.partial").symlink_to(precious)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", b"new")
    assert precious.read_text() == "mine"


@pytest.mark.parametrize(("mode", "mask", "wanted"), [(None, 0o027, 0o640), (0o644, 0o077, 0o644)])
def test_the_rights(mode: int | None, mask: int, wanted: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "a", b"", mode=mode)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == wanted


def test_what_fails_leaves_nothing_and_the_old_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a") as stream:
        stream.write(b"half")
        raise RuntimeError
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "folder", b"")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", b"new", keep=True)
    assert sorted(os.listdir(tmp_path)) == ["a", "folder"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_limit_of_a_files_size_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from t3probe.exchange.files import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_whole(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except OSError as error: print(error.strerror)"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(tmp_path / "a")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "File too large\n"
    assert os.listdir(tmp_path) == []


def test_what_killed_writers_left_is_cleared_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    left, other = tmp_path / ".a.0123.partial", tmp_path / ".b.0123.partial"
    left.touch()
    other.touch()
    with replacing(tmp_path / "a") as stream:
        clear(tmp_path / "a")
        stream.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (left.exists(), other.exists()) == (False, True)
    clear(tmp_path / "no" / "folder")


def test_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "a"
    assert set_aside(file) == ""
    assert set_aside(file / "b") == ""
    file.write_text("x")
    assert set_aside(file) == f"; that of an earlier run is now {file}.old"
    file.symlink_to(tmp_path / "nowhere")
    assert set_aside(file) == f"; what stands at {file} is not of this run"


def hostile(folder: Path, form: str = "{}.xml") -> dict[str, Path]:
    """Things that may stand in the place of a file."""
    names = "pipe", "folder", "loop", "socket", "long"
    found = {name: folder / form.format(name) for name in names}
    os.mkfifo(found["pipe"])
    found["folder"].mkdir()
    found["loop"].symlink_to(found["loop"])
    found["long"].symlink_to("n" * 300)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(found["socket"]))
    return found


def test_what_is_no_file_is_an_error_at_once(tmp_path: Path) -> None:
    for name, path in hostile(tmp_path).items():
        with pytest.raises(OSError) as error:
            open_regular(path, pipe=True)
        assert isinstance(error.value, NotAFileError) == (name in ("pipe", "folder")), name
    with pytest.raises(NotAFileError, match="found a pipe or a device"):
        open_regular("/dev/zero", pipe=True)


def test_a_pipe_that_was_handed_over_is_read_where_that_is_allowed() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"hello")
    os.close(theirs)
    try:
        with pytest.raises(NotAFileError):
            read_regular(f"/dev/fd/{ours}", 10)
        assert read_regular(f"/dev/fd/{ours}", 10, pipe=True) == b"hello"
    finally:
        os.close(ours)


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(TooLargeError, match="expected at most 4 bytes, found more"):
        read_regular(tmp_path / "a", 4)


def test_a_folder_of_records_is_looked_through_whatever_is_in_it(tmp_path: Path) -> None:
    hostile(tmp_path)
    (tmp_path / "run.xml").write_text("")
    assert record_files(tmp_path) == (True, [tmp_path / "run.xml"])


def test_a_spool_with_anything_in_it_still_gives_the_rest(tmp_path: Path) -> None:
    names = [path.name for path in hostile(tmp_path, "batch-{}.json").values()]
    good = '{"folder": 1, "number": %d, "series": [["t3probe_counts_lost_total", [], 2.0]]}'
    (tmp_path / "batch-good.json").write_text(good % 7)
    for name, text in {
        "huge-number": good % 2**60, "deep": "[" * 100_000,
        "negative": good.replace("2.0", "-2.0") % 1,
        "foreign": (good % 1).replace("t3probe_counts_lost_total", "up"),
        "label": (good % 1).replace("[]", '[["a b", "c"]]'), "cut": (good % 1)[:-9],
    }.items():  # fmt: skip
        (tmp_path / f"batch-{name}.json").write_text(text)
    memory = Spool(tmp_path, keep=True)
    assert [one.number for one in memory.waiting()] == [7]
    for name in (*names, "batch-deep.json", "batch-foreign.json", "batch-label.json"):
        assert sum(name in one for one in memory.problems) == 1, name


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    from t3probe.exchange.client import Budget
    from t3probe.timing import SystemClock

    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "lock").symlink_to(tmp_path / "made")
    with pytest.raises(SpoolError), Spool(folder, keep=True).locked(Budget(SystemClock(), 1)):
        pass
    assert not (tmp_path / "made").exists()


def test_a_pipe_as_the_jobs_summary_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "summary")
    with pytest.raises(OSError):
        append(["x"], {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")})


@pytest.mark.parametrize("text", ['{"a":' * 5000, "[]", '{"folder": -1, "last": 0}', "\xff"])
def test_a_damaged_state_of_the_spool_begins_anew(text: str, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(text, encoding="latin-1")
    assert Spool(tmp_path, keep=True).sending([]) == 0
