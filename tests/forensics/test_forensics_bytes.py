"""Whatever the bytes are: nothing crashes, the counts add up, and order does not matter."""

from __future__ import annotations

import gzip
import io
import zlib
from itertools import permutations
from unittest.mock import patch

import pytest
from forensics_help import AT, NOW, UTC_ZONE, access, gone, lost, read, refused, told
from forensics_samples import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from test_forensics_lines import FORMS, MESSAGES, UNKNOWN

from t3probe.ask.forensics import tally as tallies
from t3probe.ask.forensics.bursts import find
from t3probe.ask.forensics.kinds import SegmentMap
from t3probe.ask.forensics.read import LogQuery, read_log
from t3probe.ask.forensics.stream import CHUNK_BYTES, LONGEST_LINE, Damaged, Lines
from t3probe.ask.forensics.tally import Tally

LINES = [line for line, _ in MESSAGES] + [line for _, line in FORMS] + UNKNOWN[:7] + UNKNOWN[8:]
LINES += [line for line, _, _ in SAMPLES]
ASKED = LogQuery(NOW, UTC_ZONE)


def damaged(line: str, at: int, junk: bytes) -> bytes:
    raw = line.encode()
    at %= len(raw) + 1
    return raw[:at] + junk + raw[at + len(junk) :]


NEARLY = st.builds(damaged, st.sampled_from(LINES), st.integers(0, 400), st.binary(max_size=9))
ANY = st.lists(st.one_of(st.binary(max_size=200), NEARLY), max_size=30).map(b"\n".join)


@given(ANY)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_counted(raw: bytes) -> None:
    tally, report = read_log("any", io.BytesIO(b"." + raw), ASKED)
    whole = len((b"." + raw).removesuffix(b"\n").split(b"\n"))
    assert tally.lines + tally.folded == whole
    assert tally.lines == report.lines
    assert tally.known + tally.unknown == tally.lines
    assert sum(tally.counts) + tally.outside == tally.known
    assert 0 <= tally.unread <= tally.unknown
    find(tally, SegmentMap())


@given(st.binary(max_size=600))
@settings(max_examples=100, deadline=None)
def test_junk_behind_a_gzip_head_ends_the_reading_only(junk: bytes) -> None:
    packed = gzip.compress(b"a line\n" * 30)
    for raw in (b"\x1f\x8b" + junk, packed[:20] + junk, packed + junk):
        tally, _ = read_log("any", io.BytesIO(raw), ASKED)
        assert tally.known == 0


def seen(tally: Tally) -> tuple[object, ...]:
    values = {
        name: value for name, value in vars(tally).items() if name not in ("lived", "took")
    }  # fmt: skip
    return values, vars(tally.lived), vars(tally.took), find(tally, SegmentMap())


def merged(tallies_: list[Tally]) -> Tally:
    whole = Tally()
    for one in tallies_:
        whole.merge(one)
    whole.prune()
    return whole


@given(st.lists(st.lists(st.sampled_from(LINES), max_size=12), min_size=2, max_size=4))
@settings(max_examples=60, deadline=None)
def test_the_order_of_files_does_not_matter(files: list[list[str]]) -> None:
    first, *others = (
        seen(merged([read(file) for file in order])) for order in permutations(files)
    )  # fmt: skip
    assert all(one == first for one in others)


@given(st.lists(st.lists(st.integers(0, 40), max_size=40), min_size=2, max_size=3))
@settings(max_examples=100, deadline=None)
def test_what_is_let_go_does_not_depend_on_the_order_either(files: list[list[int]]) -> None:
    with patch.object(tallies, "MOST_SECONDS", 4):
        first, *others = (
            seen(merged([read([refused(AT + one) for one in file]) for file in order]))
            for order in permutations(files)
        )
        assert all(one == first for one in others)


def test_only_the_newest_seconds_are_kept_and_all_is_counted() -> None:
    with patch.object(tallies, "MOST_SECONDS", 100):
        tally = read([refused(AT + number) for number in range(1000)])
        assert max(len(tally.cells), 100) <= 200
        tally.prune()
    assert told(tally) == {"dispatch_backend_refused": 1000}
    assert sorted(key >> tallies.CODE_BITS for key in tally.cells) == [
        AT + number for number in range(900, 1000)
    ]  # fmt: skip
    assert tally.forgotten == AT + 899


def test_long_lines_are_cut_wherever_the_chunks_end() -> None:
    long = b"x" * (3 * CHUNK_BYTES + 17)
    lines = Lines(io.BytesIO(b"a\n" + long + b"\nb\n" + long[: LONGEST_LINE + 1] + b"\nc"))
    found = [line for some in lines for line in some]
    assert [len(line) for line in found] == [1, LONGEST_LINE, 1, LONGEST_LINE, 1]
    assert lines.cut == 2


def test_a_long_line_without_end_stays_small() -> None:
    class Endless:
        left = 200

        def read(self, size: int) -> bytes:
            self.left -= 1
            return b"y" * size if self.left else b""

    lines = Lines(Endless())
    assert [len(line) for some in lines for line in some] == [LONGEST_LINE]


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_gzip_is_told_by_its_content(step: int) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(step, size or 0))

    raw = gzip.compress(b"one\ntwo") + gzip.compress(b"\nthree\n") + b"\0" * 32
    found = [line for some in Lines(Slow(raw)) for line in some]
    assert found == [b"one", b"two", b"three"]


def test_a_gzip_bomb_comes_in_bounded_pieces() -> None:
    packer = zlib.compressobj(wbits=31)
    raw = b"".join(packer.compress(b"z\n" * (1 << 20)) for _ in range(16)) + packer.flush()
    assert max(len(some) for some in Lines(io.BytesIO(raw))) <= CHUNK_BYTES


def test_gzip_that_breaks_off_gives_what_came_before() -> None:
    text = "\n".join(gone(AT + number % 40) for number in range(4000)).encode()
    raw = gzip.compress(text)[:-40]
    with pytest.raises(Damaged, match="breaks off"):
        list(Lines(io.BytesIO(raw)))
    tally, report = read_log("any", io.BytesIO(raw), ASKED)
    assert tally.counts[0] > 100
    assert "breaks off" in report.damaged


def test_mixed_lines_all_count() -> None:
    lines = [gone(AT), refused(AT), lost(AT, 1), access(AT, 502), "who knows"]
    tally = read(lines * 500)
    assert (tally.lines, tally.known, tally.unknown) == (2500, 2000, 500)
    assert set(told(tally).values()) == {500}
