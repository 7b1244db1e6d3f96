"""What a file that is read back costs is bounded, and one bad file stops no other."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from t3probe.ask.forensics import stream
from t3probe.ask.forensics.stream import Damaged, Lines
from t3probe.deliver.sinks.other_suite import read_suite
from t3probe.exchange.bounds import (
    MIB,
    RECORD_VALUES,
    SUITE_TESTS,
    XML_ATTRIBUTES,
    XML_LEVELS,
    XML_NAMES,
)
from t3probe.record.facts import RecordError
from t3probe.record.reading import read_recordings, read_runs

GOOD = Path(__file__).parent / "of_0_1" / "clean.log"
HEAD = b'<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">'
TAIL = b"</testsuite></testsuites>"
SLACK_KIB = 48 * 1024
PEAK = """
import json, sys
from t3probe.record.facts import RecordError
from t3probe.record.reading import read_recordings
from t3probe.deliver.sinks.other_suite import read_suite
said = []
for read in (lambda path: [*read_recordings(path)], read_suite) if sys.argv[1] else ():
    try:
        read(sys.argv[1])
    except RecordError as error:
        said.append(str(error))
lines = open("/proc/self/status").read().splitlines()
print(json.dumps([next(int(one.split()[1]) for one in lines if one.startswith("VmHWM:")), said]))
"""
SIZE = 8 * MIB
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "deep": (lambda: HEAD + b"<a>" * (SIZE // 3), f"more than {XML_LEVELS} levels of elements"),
    "names": (
        lambda: HEAD + b"".join(b"<a%d/>" % n for n in range(SIZE // 10)) + TAIL,
        f"more than {XML_NAMES:,} names of elements and attributes",
    ),
    "attributes": (
        lambda: HEAD + b"<a " + b"".join(b'a%d="" ' % n for n in range(SIZE // 12)) + b"/>" + TAIL,
        f"more than {XML_ATTRIBUTES:,} attributes in a tag",
    ),
    "a long tag": (
        lambda: HEAD + b'<a b="' + b"c" * (33 * MIB) + b'"/>' + TAIL,
        "a tag of more than 32 MiB",
    ),
    "small elements": (lambda: HEAD + b"<a/>" * (SIZE // 4) + TAIL, "found no"),
    "children": (
        lambda: HEAD + b"<testcase>" + b"<a/>" * (SIZE // 4) + b"</testcase>" + TAIL,
        "found no property",
    ),
    "a long text": (lambda: HEAD + b"<a>" + b"b" * 4 * SIZE + b"</a>" + TAIL, "found no"),
    "values": (
        lambda: b'{"t3probe":{"record":1,"run":[' + b"{}," * (RECORD_VALUES + 1) + b"{}]}}\n",
        "of more than 2,097,152 values",
    ),
}


def peak(path: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, path], stdout=subprocess.PIPE, timeout=100, check=True
    )
    kib, said = json.loads(done.stdout)
    return kib, said


@pytest.mark.parametrize("kind", FILES)
def test_a_hostile_file(kind: str, tmp_path: Path) -> None:
    make, words = FILES[kind]
    file = tmp_path / "junit.xml"
    file.write_bytes(make())
    size, said = peak(str(file))
    assert words in said[0]
    longest = 33 * 1024 if kind == "a long tag" else 0
    assert size - peak("")[0] < SLACK_KIB + 3 * longest


def test_the_tests_of_another_suite_are_bounded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert SUITE_TESTS == 200_000
    monkeypatch.setattr("t3probe.deliver.sinks.other_suite.SUITE_TESTS", 10)
    file = tmp_path / "junit.xml"
    cases = [b'<testcase name="a%d"/>' % n for n in range(11)]
    file.write_bytes(HEAD + b"".join(cases[:10] * 2) + TAIL)
    assert len(read_suite(file).checks) == 10
    file.write_bytes(HEAD + b"".join(cases) + TAIL)
    with pytest.raises(RecordError, match="expected at most 10 tests, found more"):
        read_suite(file)


def test_one_bad_file_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(HEAD + b"<a>" * 200)
    (tmp_path / "b.log").write_bytes(GOOD.read_bytes())
    notes: list[object] = []
    runs = [*read_runs([str(tmp_path)], notes)]
    assert [one.run for one in runs] == [one.run for one in read_recordings(GOOD)]
    assert "levels of elements" in str(notes[0])


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_a_packed_bomb_ends(
    monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(stream, "_BEGINNING_BYTES", MIB)
    packed = pack(b"a\n" * (8 * MIB))
    seen = 0
    with pytest.raises(Damaged, match="unpacks to more than 500 times its size"):
        for lines in Lines(io.BytesIO(packed)):
            seen += len(lines)
    assert MIB // 2 - 1 <= seen < 8 * MIB
