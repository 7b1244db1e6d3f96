"""Record lines come back out of every log format, whatever stands around them."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record.record_values import junit_of, observations, runs, some_legs, some_run

from t3probe.observation import Observation
from t3probe.record import facts, log
from t3probe.record.facts import RecordError, Recording
from t3probe.record.log import MARKER, DamagedLineError, parse_record, record_line
from t3probe.record.reading import Damage, newest, read_recording, read_recordings

STAMP = "2026-11-21T10:00:00.123456789Z"
OTHERS = [
    "", "..... [100%]", "{", '{"log":', '{"log":"no end', "P", f"{STAMP} stdout", "<13>x",
    '{"t3probe":', '{"t3probe":{"other":1}}', '{\\"t3probe\\":{', "\x1b[32mok\x1b[0m", "é\u2028",
    "  convicted     tunnel", '{"line":"x"}', "[pod/a/b] hello", "null", "\x00" * 50,
]  # fmt: skip
OTHER = st.one_of(
    st.sampled_from(OTHERS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30),
)


def parts(text: str, cuts: list[int]) -> list[str]:
    """`text` cut at these places; at least one part."""
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def plain(line: str, stream: str, cuts: list[int]) -> list[str]:
    return [line]


def prefixed(line: str, stream: str, cuts: list[int]) -> list[str]:
    return [f"[pod/t3probe-1/probe] {STAMP} {line}"]


def cri(line: str, stream: str, cuts: list[int]) -> list[str]:
    *before, last = parts(line, cuts)
    return [f"{STAMP} {stream} P {one}" for one in before] + [f"{STAMP} {stream} F {last}"]


def docker(line: str, stream: str, cuts: list[int]) -> list[str]:
    return [
        json.dumps({"log": one, "stream": stream, "time": STAMP}, separators=(",", ":"))
        for one in parts(line + "\n", [cut % (len(line) + 1) for cut in cuts])
    ]


def logcli(line: str, stream: str, cuts: list[int]) -> list[str]:
    return [json.dumps({"labels": {"app": "x"}, "line": line, "timestamp": STAMP})]


FORMATS: dict[str, Callable[[str, str, list[int]], list[str]]] = {
    "plain": plain, "prefixed": prefixed, "cri": cri, "docker": docker, "logcli": logcli,
}  # fmt: skip


def read(content: bytes) -> list[Recording]:
    return [found.parse() for found in log.found_lines(io.BytesIO(content))]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), form=st.sampled_from(sorted(FORMATS)))
def test_what_was_written_is_read_back_from_every_log(data: st.DataObject, form: str) -> None:
    wrap = FORMATS[form]
    cuts = st.lists(st.integers(0, 10_000), max_size=4)
    legs = st.lists(observations(), max_size=2, unique_by=lambda one: one.leg)
    written = data.draw(st.lists(st.tuples(runs(), legs), min_size=1, max_size=3))
    rows: list[str] = []
    for run, seen in written:
        line = record_line(run, seen)
        assert line.isascii()
        assert line.isprintable()
        for other in data.draw(st.lists(OTHER, max_size=3)):
            rows += wrap(other, "stdout", data.draw(cuts))
        mine = wrap(line, "stdout", data.draw(cuts))
        # What stderr says may stand between the parts of what stdout says.
        apart = [wrap(one, "stderr", data.draw(cuts)) for one in data.draw(st.lists(OTHER))]
        for at, row in enumerate(mine):
            rows += apart[at] if at < len(apart) else []
            rows.append(row)
        rows += [row for more in apart[len(mine) :] for row in more]
    end = data.draw(st.sampled_from(["\n", ""]))
    assert read(("\n".join(rows) + end).encode("utf-8")) == [
        Recording(run, tuple(seen)) for run, seen in written
    ]


LONG = record_line(some_run(), some_legs(3000))
LONG_RECORDING = Recording(some_run(), some_legs(3000))


@pytest.mark.parametrize("form", FORMATS)
def test_a_long_line_in_the_runtimes_own_parts(form: str) -> None:
    assert len(LONG) > 6 * (16 << 10)
    cuts = list(range(16 << 10, len(LONG), 16 << 10))
    rows = FORMATS[form](LONG, "stdout", cuts) * 2
    assert len(rows) == (2 if form in {"plain", "prefixed", "logcli"} else 2 * len(cuts) + 2)
    assert read("\n".join(rows).encode()) == [LONG_RECORDING] * 2


@pytest.mark.parametrize("form", ["cri", "docker"])
def test_a_record_without_its_last_part_does_not_take_the_next_with_it(form: str) -> None:
    rows = FORMATS[form](LONG, "stdout", [16 << 10, 32 << 10])
    found = list(log.found_lines(io.BytesIO("\n".join(rows[:2] + rows).encode())))
    with pytest.raises(DamagedLineError, match="cut off after 32768 characters"):
        found[0].parse()
    assert (found[1].parse(), found[1].number, len(found)) == (LONG_RECORDING, 3, 2)


@pytest.mark.parametrize("form", ["cri", "docker"])
def test_a_record_without_a_middle_part_is_noticed(form: str) -> None:
    lost = 0
    for at in range(16_000, 16_200):
        rows = FORMATS[form](LONG, "stdout", [at, at + (16 << 10)])
        del rows[1]
        (found,) = log.found_lines(io.BytesIO("\n".join(rows).encode()))
        with pytest.raises(DamagedLineError) as raised:
            found.parse()
        lost += "lost a part" in str(raised.value)
    assert lost  # what is left of some is still JSON


@pytest.mark.parametrize("form", ["cri", "docker"])
def test_a_log_that_ends_between_the_parts_of_a_record_says_so(form: str) -> None:
    rows = FORMATS[form](LONG, "stdout", [16 << 10, 32 << 10])
    (found,) = log.found_lines(io.BytesIO("\n".join(rows[:2]).encode()))
    with pytest.raises(DamagedLineError, match="cut off after 32768 characters"):
        found.parse()


def test_a_line_that_was_cut_says_so() -> None:
    for at in range(len(MARKER) + 1, len(LONG), 997):
        for line in (LONG[:at], LONG[:at] + "<_truncated>", logcli(LONG[:at], "", [])[0]):
            (found,) = log.found_lines(io.BytesIO(line.encode() + b"\nmore\n"))
            with pytest.raises(DamagedLineError, match="cut off after"):
                found.parse()
    (found,) = log.found_lines(io.BytesIO(logcli(LONG, "", [])[0][:5000].encode()))
    with pytest.raises(DamagedLineError, match="cut off after"):
        found.parse()


def test_a_huge_line_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MAX_RECORD_BYTES", 1 << 20)

    class Endless(io.RawIOBase):
        """Sixteen MiB that begin as a record, then one."""

        def __init__(self) -> None:
            self.left = 16 << 20
            self.first = MARKER.encode()

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            data, self.first = self.first, b""
            if not data and self.left > 0:
                data = b"1" * min(len(buffer), self.left)
                self.left -= len(data)
            elif not data and self.left == 0:
                data, self.left = b"\n", -1
            buffer[: len(data)] = data
            return len(data)

    (found,) = log.found_lines(io.BufferedReader(Endless()))
    assert found.too_long
    assert len(found.content) < 2 << 20
    with pytest.raises(DamagedLineError, match="longer than 1 MiB"):
        found.parse()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"t3probe":{"record":2,"run":{},"legs":{}}}', "of version '2', and 1 is known"),
        ('{"t3probe":{"record":1}}', "damaged: Expected `object`, got `null`"),
        ('{"t3probe":{"record":1},"t3probe":5}', "of version '5'"),
        ('{"t3probe":{"record":1,"run":{},"legs":[]}}', "damaged: Expected `object`"),
        ('{"t3probe":{"record":1,"run":{},"legs":{"a":{}}}}', "damaged: Object missing"),
        ('{"t3probe":{"record":1,"run":{"started_at":NaN}}}', "damaged: the number NaN"),
        ('{"t3probe":{"record":1,"run":{"started_at":1e999}}}', "damaged: the number 1e999"),
        ('{"t3probe":{"record":1,"run":' + "[" * 200_000, "damaged"),
        ('{"t3probe":{"record":1,"run":' + "9" * 10_000 + "}}", "damaged"),
        ('{"t3probe":{"record":1,"run":{},"legs":{},"counts":5}}', "lost a part"),
        ('{"t3probe":{"record":1,x' + " " * 90 + "}", "damaged at character 24 of 115"),
    ],
)
def test_what_no_record_is_says_why(text: str, words: str) -> None:
    with pytest.raises(DamagedLineError, match=words):
        parse_record(text)


def test_what_is_newer_or_written_by_hand_is_read() -> None:
    whole = json.loads(record_line(some_run(), some_legs()))
    del whole["t3probe"]["counts"]
    whole["t3probe"]["later"] = whole["t3probe"]["run"]["later"] = [1]
    text = json.dumps(whole, separators=(",", ":")) + " and more"
    assert parse_record(text) == Recording(some_run(), some_legs())


@given(data=st.data())
def test_any_damage_is_read_or_said(data: st.DataObject) -> None:
    form = FORMATS[data.draw(st.sampled_from(sorted(FORMATS)))]
    rows = form(record_line(some_run(), some_legs()), "stdout", [200, 500])
    content = bytearray("\n".join(rows).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for found in log.found_lines(io.BytesIO(bytes(content))):
        with suppress(DamagedLineError):
            found.parse()


# -- files ------------------------------------------------------------------------------------


def write(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "it.xml"  # not by its name
    file.write_text("".join(f"{row}\n" for row in rows))
    return file


def line(started_at: float) -> str:
    return record_line(some_run(started_at), some_legs())


def test_runs_come_in_the_order_of_the_log_and_the_newest_is_the_one(tmp_path: Path) -> None:
    file = write(tmp_path, "x", line(200.0), "y", line(300.0), line(100.0))
    assert [one.run.started_at for one in read_recordings(file)] == [200.0, 300.0, 100.0]
    assert read_recording(file).run == some_run(300.0)
    assert newest(read_recordings(file)).runs == 3


def test_a_run_that_was_corrected_counts_once(tmp_path: Path) -> None:
    late = msgspec.structs.replace(some_run(200.0), complete=False, interrupted=True)
    file = write(tmp_path, line(100.0), line(200.0), record_line(late, some_legs()))
    found = newest(read_recordings(file))
    assert (found.recording.run, found.runs) == (late, 2)


def test_a_log_and_a_junit_file_give_the_same(tmp_path: Path) -> None:
    text = junit_of(some_run(), some_legs())
    log_file = write(tmp_path, line(some_run().started_at))
    for head in ("", "\ufeff", "\n \n"):
        junit_file = tmp_path / "log.txt"
        junit_file.write_text(head + text.removeprefix('<?xml version="1.0" encoding="utf-8"?>'))
        assert read_recording(junit_file) == read_recording(log_file)


@pytest.mark.parametrize("text", ["log", "junit"])
def test_standard_input_and_pipes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (LONG + "\n" if text == "log" else junit_of(some_run(), some_legs(3000))).encode()

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    for kind in (io.BytesIO, Pipe):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(kind(content)))
        assert read_recording("-") == LONG_RECORDING


def test_damaged_lines_are_counted_and_the_others_read(tmp_path: Path) -> None:
    bad = [line(float(n))[: 300 + n] for n in range(5)]
    damage = Damage()
    file = write(tmp_path, *bad, line(9.0))
    assert [one.run.started_at for one in read_recordings(file, damage)] == [9.0]
    assert damage.count == 5
    assert str(damage) == (
        "5 record lines are not readable (line 1: cut off after 300 characters, "
        "line 2: cut off after 301 characters, line 3: cut off after 302 characters, ...)"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "or a log with record lines, found nothing in it; name results/junit.xml"),
        (b"hello\n" * 9, "or a log with record lines, found neither;"),
        (b"\x00" * 9999, "found neither;"),
        (b"<13>Nov 21 hello", "found neither;"),
        (b"\x1f\x8b\x08\x00", "found a gzip file; unpack it first"),
        (LONG[:4000].encode(), r"1 record line is not readable \(line 1: cut off after 4000"),
        (b"<html/>", "found no property 't3probe.run'"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_holds_no_run_is_one_sentence(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "it"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RecordError, match=words) as raised:
        read_recording(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert "\n" not in str(raised.value)


def test_a_large_junit_file_is_refused_from_a_pipe_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MAX_RECORD_BYTES", 5000)
    content = junit_of(some_run(), some_legs(300)).encode()

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    for kind in (io.BytesIO, Pipe):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(kind(content)))
        with pytest.raises(RecordError, match="standard input: expected a JUnit file of at most"):
            read_recording("-")


def test_a_leg_of_any_name_keeps_its_place() -> None:
    legs = [msgspec.structs.replace(some_legs()[0], leg=name) for name in ("z", "record", "a")]
    (found,) = read(record_line(some_run(), legs).encode())
    assert found.observations == tuple(legs)
    assert all(isinstance(one, Observation) for one in found.observations)
