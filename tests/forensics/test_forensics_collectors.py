"""Every form that journalctl, syslog, docker, kubectl, containerd and logcli give a line."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from zoneinfo import ZoneInfo

import pytest
from forensics_help import AT, NOW, UTC_ZONE, access, gone, read, told, unix

from t3probe.ask.forensics.read import FileReport, LogQuery, read_log
from t3probe.ask.forensics.stamps import Stamps
from t3probe.ask.forensics.tally import CODE_BITS, Tally

SAID = "http: proxy error: context canceled"
UNIT = "devvm dispatch[812]: "
BERLIN = ZoneInfo("Europe/Berlin")
ROW = {
    "__CURSOR": "s=ddad;i=1", "__REALTIME_TIMESTAMP": f"{AT}123456", "PRIORITY": "6",
    "_SYSTEMD_UNIT": "dispatch.service", "SYSLOG_IDENTIFIER": "dispatch", "MESSAGE": SAID,
    "__MONOTONIC_TIMESTAMP": "5000000", "_BOOT_ID": "0123456789abcdef",
}  # fmt: skip
EXPORT = "".join(f"{name}={value}\n" for name, value in ROW.items())
VERBOSE = "Fri 2026-11-20 15:03:07.123456 CET [s=ddad62;i=1;b=0123;m=4c4b40;t=66;x=2b]\n" + "".join(
    f"    {name}={value}\n" for name, value in ROW.items() if not name.startswith("__")
)


def moments(tally: Tally) -> list[int]:
    return sorted({key >> CODE_BITS for key in tally.cells})


FORMS = {
    "short": f"Nov 20 15:03:07 {UNIT}{SAID}",
    "short-precise": f"Nov 20 15:03:07.123456 {UNIT}{SAID}",
    "short-iso": f"2026-11-20T15:03:07+0100 {UNIT}{SAID}",
    "short-iso-precise": f"2026-11-20T15:03:07.123456+0100 {UNIT}{SAID}",
    "short-full": f"Fri 2026-11-20 15:03:07 CET {UNIT}{SAID}",
    "short-full, UTC": f"Fri 2026-11-20 14:03:07 UTC {UNIT}{SAID}",
    "short-full, a zone without name": f"Fri 2026-11-20 17:33:07 +0330 {UNIT}{SAID}",
    "short-full, whole hours": f"Fri 2026-11-20 11:03:07 -03 {UNIT}{SAID}",
    "with-unit": f"Fri 2026-11-20 15:03:07 CET devvm dispatch.service[812]: {SAID}",
    "short-unix": f"{AT}.123456 {UNIT}{SAID}",
    "verbose": VERBOSE,
    "export": EXPORT + "\n",
    "export, at its end": EXPORT,
    "json": json.dumps(ROW),
    "json-pretty": json.dumps(ROW, indent="\t"),
    "json-sse": f"data: {json.dumps(ROW)}\n",
    "json-seq": f"\x1e{json.dumps(ROW)}",
    "syslog, RFC 3164": f"<134>Nov 20 15:03:07 {UNIT}{SAID}",
    "syslog, RFC 3164, no host": f"<134>Nov 20 15:03:07 dispatch[812]: {SAID}",
    "syslog, RFC 5424": f"<134>1 2026-11-20T15:03:07.123456+01:00 devvm dispatch 812 - - {SAID}",
    "syslog, RFC 5424, data":
        f'<134>1 2026-11-20T14:03:07Z devvm dispatch 812 ID47 [x@1 a="b\\"\\]c"][y@1] \ufeff{SAID}',
    "kubectl --timestamps": f"2026-11-20T14:03:07.123456789Z {SAID}",
    "kubectl --prefix --timestamps":
        f"[pod/dispatch-7d9/dispatch] 2026-11-20T14:03:07.123456789Z {SAID}",
    "CRI": f"2026-11-20T15:03:07.123456789+01:00 stderr F {SAID}",
    "docker json-file": json.dumps(
        {"log": SAID + "\n", "stream": "stderr", "time": "2026-11-20T14:03:07.123456789Z"}),
    "docker compose --timestamps": f"dispatch-1  | 2026-11-20T14:03:07.123456789Z {SAID}",
    "docker compose, in colour": f"\x1b[36mdispatch-1  | \x1b[0m2026-11-20T14:03:07Z {SAID}",
    "logcli": f'2026-11-20T15:03:07+01:00 {{app="dispatch", pod="d-5"}} {SAID}',
    "logcli, all labels in common": f"2026-11-20T14:03:07Z {{}} {SAID}",
    "logcli, a brace in a label": f'2026-11-20T14:03:07Z {{a="{{x}}\\"", b="y"}}    {SAID}',
    "logcli -o raw": f"2026/11/20 15:03:07 {SAID}",
    "logcli -o jsonl": json.dumps(
        {"labels": {"app": "dispatch"}, "line": SAID, "timestamp": "2026-11-20T14:03:07.1Z"}),
    "logcli -o jsonl, nanoseconds": json.dumps(
        {"labels": {}, "line": SAID, "timestamp": f"{AT}123456789"}),
    "logfmt": f'time="2026-11-20T15:03:07+01:00" level=error msg="{SAID}"',
    "logfmt, ts": f"ts=2026-11-20T14:03:07.123Z caller=main.go:1 err={SAID!r}",
    **{
        f"a logger's JSON, {name}": json.dumps({name: value, "msg": SAID})
        for name, value in (
            ("time", "2026-11-20T15:03:07+01:00"), ("timestamp", "2026-11-20 14:03:07.123Z"),
            ("@timestamp", "2026-11-20T14:03:07.123Z"), ("ts", AT + 0.5), ("ts", AT * 1_000),
            ("time", AT * 1_000_000), ("timestamp", AT * 1_000_000_000), ("ts", str(AT)),
            ("timestamp", f"{AT}123"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_to_the_second(form: str) -> None:
    tally = read(FORMS[form].removesuffix("\n").split("\n"), zone=BERLIN)
    assert told(tally) == {"dispatch_client_gone": 1}
    assert (moments(tally), tally.unread, tally.timeless) == ([AT], 0, 0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("many", [2, 5])
def test_one_line_more_is_one_more(form: str, many: int) -> None:
    lines = (FORMS[form].rstrip("\n") + "\n" * (1 + form.startswith("export"))) * many
    tally = read([*lines.removesuffix("\n").split("\n"), gone(AT)], zone=BERLIN)
    assert told(tally) == {"dispatch_client_gone": many + 1}
    assert (moments(tally), tally.unread) == ([AT], 0)


@pytest.mark.parametrize("before", ["[    5.000000] ", "[12345.678901 <    1.000000 >] ",
                                    "[    5.000000                ] "])  # fmt: skip
def test_seconds_since_the_boot_are_no_time_of_day(before: str) -> None:
    tally = read([before + UNIT + SAID])
    assert told(tally) == {"dispatch_client_gone": 1}
    assert (tally.untimed, tally.timeless, moments(tally)) == (1, 1, [])
    assert "no time of day (journalctl -o short-monotonic" in next(iter(tally.remarks))


@pytest.mark.parametrize("form", ["short", "short-full", "short-iso-precise", "short-unix"])
def test_the_rest_of_a_message_has_its_first_lines_time(form: str) -> None:
    head = FORMS[form].removesuffix(SAID)
    lines = [head + "first", " " * len(head) + SAID, " " * len(head) + "third"]
    tally = read(lines, zone=BERLIN)
    assert told(tally) == {"dispatch_client_gone": 1}
    assert (moments(tally), tally.unread) == ([AT], 0)


@pytest.mark.parametrize("size", [1, 10, 266, 2570])
def test_an_exported_message_that_is_no_text(size: int) -> None:
    message = (SAID + "\n" + "x" * size).encode()
    entry = EXPORT.replace(f"MESSAGE={SAID}\n", "").encode()
    entry += b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n_PID=812\n\n"
    tally = read((entry * 3).split(b"\n"))
    assert told(tally) == {"dispatch_client_gone": 3}
    assert moments(tally) == [AT]


def test_what_journalctl_left_out_is_said() -> None:
    for lines in (VERBOSE.replace(SAID, "[55B blob data]").split("\n"), [FORMS["short"].replace(
        SAID, "[55B blob data]")]):  # fmt: skip
        tally = read(lines)
        assert tally.unread == 1
        assert "take -o json" in next(iter(tally.remarks))


@pytest.mark.parametrize(
    "around",
    [
        ["{"], ["{", '  "a": 1'], ["__CURSOR=s=1"], ["__CURSOR=s=1", "MESSAGE"],
        [VERBOSE[: VERBOSE.index("\n")]], ["__CURSOR=s=1", "MESSAGE", "\5\0\0\0\0\0\0\0ab"],
    ],
)  # fmt: skip
def test_half_an_entry_takes_no_line_with_it(around: list[str]) -> None:
    tally = read([gone(AT), *around, *[gone(AT)] * 3, "", gone(AT)])
    assert told(tally)["dispatch_client_gone"] >= 4
    if "MESSAGE" not in around:
        assert told(tally) == {"dispatch_client_gone": 5}


def test_a_zone_by_its_name() -> None:
    stamps = Stamps(NOW, BERLIN)
    assert stamps.full(b"2026-10-25 02:10:00", b"CEST") == unix("2026-10-25T00:10:00+00:00")
    assert stamps.full(b"2026-10-25 02:10:00", b"CET") == unix("2026-10-25T01:10:00+00:00")
    assert stamps.full(b"2026-07-01 14:03:07", b"EDT") == unix("2026-07-01T18:03:07+00:00")
    assert Stamps(NOW, UTC_ZONE).full(b"2026-11-20 15:03:07", b"CET") == AT
    assert stamps.full(b"2026-11-20 15:03:07", b"CST") is None
    assert stamps.strange_zone == b"CST"
    there = Stamps(NOW, ZoneInfo("Asia/Shanghai"))
    assert there.full(b"2026-11-20 22:03:07", b"CST") == AT


TRAEFIK = {"DownstreamStatus": 502, "Duration": 1_500_000_000, "RequestMethod": "GET"}


@pytest.mark.parametrize(
    "times",
    [{"time": "2026-11-20T14:03:07Z"}, {"StartLocal": "2026-11-20T15:03:05.7+01:00"},
     {"StartUTC": "2026-11-20T14:03:05.7Z", "time": "2026-11-20T14:09:09Z"},
     {"StartUTC": "no time", "time": "2026-11-20T14:03:07Z"}, {"@timestamp": AT}],
)  # fmt: skip
def test_traefiks_json_with_whatever_time_it_has(times: dict[str, object]) -> None:
    tally = read([json.dumps({**TRAEFIK, **times})])
    assert told(tally) == {"traefik_bad_gateway": 1}
    assert moments(tally) == [AT]


def test_traefiks_own_log_is_not_the_tunnels() -> None:
    for more in ("providerName=file", "routerName=t3@file", "Traefik version 3.1"):
        tally = read([f"2026-11-20T14:03:07Z ERR something failed {more}"])
        assert (told(tally), tally.unread) == ({}, 1)


PACKED = {
    "gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress, "plain": bytes,
    "two members": lambda raw: bz2.compress(raw[:400]) + bz2.compress(raw[400:]),
}  # fmt: skip


def opened(raw: bytes, name: str = "any") -> tuple[Tally, FileReport]:
    return read_log(name, io.BytesIO(raw), LogQuery(NOW, UTC_ZONE))


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_compression_and_encoding_are_told_by_the_bytes(
    packed: str, encoding: str, end: str
) -> None:
    lines = [gone(AT), access(AT, 502), FORMS["short-full"], FORMS["json"]] * 50
    tally, report = opened(PACKED[packed](end.join(lines).encode(encoding)))
    assert told(tally) == {"dispatch_client_gone": 150, "traefik_bad_gateway": 50}
    assert (moments(tally), tally.unread, report.damaged) == ([AT], 0, "")
    assert report.encoding[:6] == ("utf-16" if "16" in encoding else "")


def test_what_cannot_be_decoded_is_counted() -> None:
    raw = "\n".join([gone(AT)] * 9).encode("utf-16-le")
    _, report = opened(b"\xff\xfe" + raw[:40] + b"\x00\xd8" + raw[42:] + b"x")
    assert report.replaced == 2


def test_an_emptied_files_hole_is_left_out_and_said() -> None:
    hole = b"\0" * 700_000
    tally, report = opened(hole + (gone(AT) + "\n").encode() + hole + gone(AT).encode())
    assert told(tally) == {"dispatch_client_gone": 2}
    assert report.holes >= 1_399_900
    assert told(read([b"\0\0\0" + gone(AT).encode()])) == {"dispatch_client_gone": 1}


@pytest.mark.parametrize(
    ("magic", "advice"),
    [(b"\x28\xb5\x2f\xfd", "written by zstd, which is not read: zstd -dc any | ..."),
     (b"LPKSHHRH", "journalctl --file any -o short-iso | ..."), (b"PK\x03\x04", "unzip -p any")],
)  # fmt: skip
def test_what_is_not_unpacked_is_named(magic: bytes, advice: str) -> None:
    tally, report = opened(magic + b"\0\1\2" * 99)
    assert advice in report.damaged
    assert tally.lines == 0


def test_xz_that_wants_too_much_memory_is_said() -> None:
    big = [{"id": lzma.FILTER_LZMA2, "dict_size": 128 << 20}]
    _, report = opened(lzma.compress(b"x\n" * 99, filters=big))
    assert "emory" in report.damaged
