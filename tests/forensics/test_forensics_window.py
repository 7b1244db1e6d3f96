"""A fault without a time is in no window; what could not be read is said, by exit code, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from forensics_help import AT, access, bursts, gone, quiet, read, refused, stamp, told

from t3probe.cli import main

Capture = pytest.CaptureFixture[str]
SAID = "http: proxy error: context canceled"
MONOTONIC = f"[    5.000000] devvm dispatch[812]: {SAID}"
STATE = "Marking downstream up (127.0.0.1:15301) as 'down'"
UNTIMED = [
    SAID,
    MONOTONIC,
    STATE,
    "2026-13-40T99:00:00Z http: proxy error: EOF",
    '{"msg":"http: proxy error: EOF","time":"whenever"}',
    '{"DownstreamStatus":502,"Duration":5}',
    '{"status":503,"term":"SC","ts":1795183387}',
    '[2026-11-20T14:03:07.178Z] "GET / HTTP/1.1" 503 UF -',
    f"Fri 2026-11-20 14:03:07 CST devvm dispatch[812]: {SAID}",
]


@pytest.mark.parametrize("line", UNTIMED)
def test_a_fault_without_a_time_is_in_no_window(line: str) -> None:
    whole = read([line])
    assert (sum(whole.counts), whole.untimed, whole.timeless, whole.cells) == (1, 1, 1, {})
    for asked in ({"since": AT - 9.0}, {"until": AT + 9.0}, {"since": 0.0, "until": 9e9}):
        tally = read([line, gone(AT)], **asked)
        assert (told(tally), tally.untimed) == ({"dispatch_client_gone": 1}, 1)


def test_a_request_without_a_time_is_in_no_windows_durations() -> None:
    line = '{"DownstreamStatus":200,"Duration":5000000000}'
    assert read([line]).took.count == 1
    assert read([line], since=0.0).took.count == 0


def answer(*words: object, capsys: Capture, code: int = 0) -> tuple[str, Any]:
    """The text without its line breaks, and the JSON."""
    assert main(["forensics", "--timezone", "UTC", *map(str, words)]) == code
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert main(["forensics", "--timezone", "UTC", "--json", *map(str, words)]) == code
    return " ".join(out.split()), json.loads(capsys.readouterr().out)


def log(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_above_half_nobody_can_tell(tmp_path: Path, capsys: Capture) -> None:
    file = log(tmp_path / "tunnel.log", [*quiet(AT, AT + 195), *["who knows 1"] * 40])
    out, whole = answer(file, capsys=capsys)
    assert "80 lines of 1 source: 40 known" in out
    assert "40 unknown, 40 of which could not be read" in out
    assert "NOTHING DIED IN BURSTS" in out
    assert (whole["unread"], whole["cannot_tell"]) == (40, "")
    file = log(tmp_path / "tunnel.log", [*quiet(AT, AT + 195), *["who knows 1"] * 41])
    out, whole = answer(file, capsys=capsys, code=1)
    assert "NOTHING DIED" not in out
    assert "CANNOT TELL: of 81 lines, 41 could not be read and 0 have no time" in out
    assert whole["cannot_tell"].startswith("of 81 lines")


def test_lines_without_a_time_count_with_those_that_could_not_be_read(
    tmp_path: Path, capsys: Capture
) -> None:
    file = log(tmp_path / "a", [*quiet(AT, AT + 35), *[STATE] * 5, *["who knows"] * 4])
    out, whole = answer(file, capsys=capsys, code=1)
    assert "of 17 lines, 4 could not be read and 5 have no time" in out
    assert (whole["untimed"], whole["without_time"], whole["unread"]) == (5, 5, 4)


def test_bursts_are_told_even_then(tmp_path: Path, capsys: Capture) -> None:
    file = log(tmp_path / "a", [*[refused(AT)] * 9, *["who knows"] * 40])
    out, whole = answer(file, capsys=capsys, code=1)
    assert "CANNOT TELL WHAT ELSE DIED: of 49 lines, 40 could not be read" in out
    assert "1 BURST" in out
    assert len(whole["bursts"]) == 1


def test_only_what_may_lie_in_the_window_counts(tmp_path: Path, capsys: Capture) -> None:
    far = [f"2026-11-20T10:00:00Z {word} knows" for word in ("who", "nobody")] * 99
    file = log(tmp_path / "a", [*far, *quiet(AT - 60, AT + 60), MONOTONIC])
    around = ("--around", "2026-11-20T14:03:07Z")
    out, whole = answer(file, *around, capsys=capsys)
    assert "1 fault without a time: not in the time asked for, and in no burst" in out
    assert (whole["faults"], whole["unread"], whole["without_time"]) == (0, 0, 1)
    file = log(tmp_path / "a", [*far, *quiet(AT - 60, AT + 60), *[MONOTONIC] * 26])
    out, _ = answer(file, *around, capsys=capsys, code=1)
    assert "of 51 lines that may lie in that time, 0 could not be read and 26 have no time" in out


def test_logs_of_another_time_tell_nothing(tmp_path: Path, capsys: Capture) -> None:
    file = log(tmp_path / "a", quiet(AT, AT + 60))
    out, whole = answer(file, "--until", "2026-11-20T13:00:00Z", capsys=capsys, code=1)
    assert "CANNOT TELL: no line lies in the time that was asked for" in out
    assert whole["cannot_tell"]


def test_lines_of_others_are_no_reason(tmp_path: Path, capsys: Capture) -> None:
    others = [
        "Nov 20 14:03:07 devvm CRON[7]: (root) CMD (run-parts)",
        "Nov 20 14:03:07 devvm t3-serve[7]: session joined",
        "Nov 20 14:03:07 devvm prometheus-node-exporter[7]: ts=2026-11-20T14:03:07Z level=info",
        "-- Boot 0123456789abcdef --",
        "",
    ]
    out, _ = answer(log(tmp_path / "a", [access(AT, 200), *others * 20]), capsys=capsys)
    assert "NOTHING DIED IN BURSTS" in out


def test_nothing_to_read_is_no_clearance(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a long path would be broken in the middle of a name
    (tmp_path / "empty").write_bytes(b"")
    out, _ = answer(tmp_path / "empty", capsys=capsys)
    assert "NOTHING TO READ" in out
    (tmp_path / "x.zst").write_bytes(b"\x28\xb5\x2f\xfdxxxxxxxxxxxxxxxx")
    answered = log(tmp_path / "a", quiet(AT, AT + 60))
    out, whole = answer("x.zst", answered.name, capsys=capsys, code=1)
    assert "x.zst could not be read" in out
    assert "zstd -dc" in out
    assert "x.zst could not be read" in whole["cannot_tell"]


def test_what_was_left_out_is_said(tmp_path: Path, capsys: Capture) -> None:
    lines = [
        gone(AT),
        "Fri 2026-11-20 14:03:07 CST h dispatch[1]: " + SAID,
        gone(AT) + "x" * 40_000,
    ]
    (tmp_path / "a").write_bytes(b"\0" * 200 + "\n".join(lines).encode())
    (tmp_path / "b").write_bytes((gone(AT) + "\n").encode("utf-16") + b"\x00\xd8")
    out, whole = answer(tmp_path / "a", tmp_path / "b", capsys=capsys)
    for said in (
        "of 1 line only the first 32 KiB were looked at",
        "200 bytes of zeros were left out",
        "times in the zone CST could not be read: name it with --timezone",
        "b was decoded from UTF-16-LE; 1 character could not be",
    ):
        assert said in out
        assert any(said in one for one in whole["remarks"])


SESSION = (
    "127.0.0.1:7 [20/Nov/2026:14:03:07.{:03d}] f b/app 0/0/-1/-1/0 503 9 - - SC-- 1/1/0/0/0 0/0 "
)


@pytest.fixture
def haproxy(tmp_path: Path) -> Path:
    lines = [SESSION.format(one) + '"GET / HTTP/1.1"' for one in range(9)]
    return log(tmp_path / "haproxy.log", [*quiet(AT - 60, AT + 60), *lines])


def test_a_program_whose_place_nobody_named(haproxy: Path, capsys: Capture) -> None:
    out, whole = answer(haproxy, capsys=capsys)
    assert "which segment broke is unknown: say where haproxy stands, with --map haproxy=" in out
    assert "--map haproxy=SEGMENT" in out
    assert "points at behind haproxy (likely)" in out
    (burst,) = whole["bursts"]
    assert (burst["suspects"], burst["one_cause"], burst["unplaced"]) == ([], False, ["haproxy"])


def test_a_program_that_was_given_its_place(haproxy: Path, capsys: Capture) -> None:
    _, whole = answer(haproxy, "--map", "haproxy=tunnel", capsys=capsys)
    (burst,) = whole["bursts"]
    assert burst["suspects"] == ["traefik", "devvm", "dispatch", "serve"]
    _, whole = answer(haproxy, "--map", "haproxy=serve", capsys=capsys)
    assert whole["bursts"][0]["suspects"] == []
    assert "no segment is known on that side" in whole["bursts"][0]["text"]


def test_who_has_no_place_neither_adds_nor_takes_a_suspect(haproxy: Path, tmp_path: Path,
                                                           capsys: Capture) -> None:  # fmt: skip
    other = log(tmp_path / "dispatch.log", [refused(AT)] * 9)
    _, whole = answer(haproxy, other, capsys=capsys)
    (burst,) = whole["bursts"]
    assert (burst["suspects"], burst["sure"]) == (["serve"], "sure")
    assert burst["unplaced"] == ["haproxy"]


def test_a_place_that_is_none_is_one_sentence(haproxy: Path, capsys: Capture) -> None:
    assert main(["forensics", str(haproxy), "--map", "haproxy=moon"]) == 4
    said = capsys.readouterr().err
    assert "--map: expected a segment of the reference deployment (wan, cf-edge, tunnel" in said
    assert said.count("\n") == 1


def test_two_processes_that_died_are_both_told() -> None:
    line = "{} devvm systemd[1]: {}.service: Main process exited, code=killed"
    for names in (("dispatch", "cloudflared"), ("cloudflared", "dispatch")):
        both = bursts([line.format(stamp(AT + 100 * n), one) for n, one in enumerate(names)])
        assert [one.began for one in both] == [AT, AT + 100]
        (burst,) = bursts([line.format(stamp(AT), one) for one in names])
        assert {part.source for part in burst.parts if part.bursting} == {"dispatch", "tunnel"}
