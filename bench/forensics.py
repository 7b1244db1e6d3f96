"""What reading a million lines of logs costs: seconds, lines per second, peak memory.

CPU seconds stand beside the wall's, for a machine that is busy with other things.

The lines are mixed as one journal of a busy day would be: access logs in both forms, the
tunnel, dispatch, serve, journald's prefixes and JSON, container prefixes, and a quarter that
nobody knows. The command runs as a child, once over the plain file, once over it by gzip on
standard input.

    python bench/forensics.py [LINES]
"""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ASKED_SECONDS, ASKED_MIB = 10.0, 100.0
START = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
COMMAND = [sys.executable, "-m", "t3probe.cli", "forensics", "--timezone", "UTC", "--json"]


def line(number: int, at: datetime, rng: random.Random) -> str:
    """One line of the mixture; `number` makes it differ from others."""
    iso = at.strftime("%Y-%m-%dT%H:%M:%S")
    short = at.strftime("%b %e %H:%M:%S")
    go = at.strftime("%Y/%m/%d %H:%M:%S")
    part = rng.random()
    if part < 0.30:
        status = 200 if rng.random() < 0.97 else rng.choice((101, 499, 502, 504))
        clf = at.strftime("%d/%b/%Y:%H:%M:%S +0000")
        return (
            f'192.0.2.{number % 250} - - [{clf}] "GET /api/item/{number}?page=2 HTTP/2.0" '
            f'{status} {number % 9000} "https://t3.example/board" "Mozilla/5.0 (X11; Linux)" '
            f'{number} "t3-app@file" "http://10.0.0.2:8080" {rng.randrange(1, 900)}ms'
        )
    if part < 0.42:
        row = {
            "ClientAddr": f"192.0.2.9:{number % 60000}", "DownstreamContentSize": number,
            "DownstreamStatus": 200, "Duration": rng.randrange(10**6, 10**9),
            "OriginStatus": 200, "RequestHost": "t3.example", "RequestMethod": "GET",
            "RequestPath": f"/api/item/{number}", "RequestProtocol": "HTTP/2.0",
            "RouterName": "t3-app@file", "ServiceAddr": "10.0.0.2:8080",
            "StartUTC": f"{iso}.{number % 10**9:09d}Z", "level": "info", "msg": "",
            "time": f"{iso}Z",
        }  # fmt: skip
        return json.dumps(row, separators=(",", ":"))
    if part < 0.52:
        return f"{iso}Z INF Request to origin took {number % 77} ms connIndex={number % 4} event=1"
    if part < 0.58:
        why = 'error="timeout: no recent network activity"'
        return f"{iso}Z ERR Failed to serve quic connection {why} connIndex={number % 4} event=0"
    if part < 0.66:
        why = rng.choice(
            ("context canceled", "dial tcp 127.0.0.1:3773: connect: connection refused")
        )
        return f"{short} devvm dispatch[812]: {go} http: proxy error: {why}"
    if part < 0.69:
        return f"{iso}.{number % 10**9:09d}Z stderr F heartbeat of session {number} timed out"
    if part < 0.75:
        row = {
            "__REALTIME_TIMESTAMP": str(int(at.timestamp()) * 10**6), "PRIORITY": "6",
            "_SYSTEMD_UNIT": "t3-serve.service", "_PID": "4242", "_HOSTNAME": "devvm",
            "SYSLOG_IDENTIFIER": "node", "MESSAGE": f"session {number} joined room {number % 50}",
        }  # fmt: skip
        return json.dumps(row)
    if part < 0.90:
        return f"{short} devvm CRON[{number}]: (root) CMD (run-parts /etc/cron.hourly)"
    return f"{iso}+0000 devvm kernel: eth0: link state {number:x} " + "x" * (number % 90)


def write(path: Path, lines: int) -> None:
    """A file of mixed lines over eight hours."""
    rng = random.Random(14_03)
    step = timedelta(hours=8) / lines
    with path.open("w") as stream:
        for number in range(lines):
            stream.write(line(number, START + step * number, rng) + "\n")


def measure(
    words: list[str], content: Path | None
) -> tuple[float, float, float, dict[str, object]]:
    """Wall and CPU seconds, peak MiB and the answer of one reading."""
    with tempfile.TemporaryFile() as answer, (content or Path(os.devnull)).open("rb") as given:
        began = time.perf_counter()
        process = subprocess.Popen([*COMMAND, *words], stdin=given, stdout=answer)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"the reading ended with {process.returncode}")
        answer.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return seconds, cpu, usage.ru_maxrss / 1024, json.load(answer)


def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        plain, packed = Path(name) / "mixed.log", Path(name) / "mixed.log.gz"
        write(plain, lines)
        with plain.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
            while chunk := source.read(1 << 20):
                target.write(chunk)
        print(f"{lines:,} lines, {plain.stat().st_size / 1e6:.0f} MB")
        for kind, words, content in (("plain", [str(plain)], None), ("gzip, stdin", ["-"], packed)):
            seconds, cpu, peak, answer = measure(words, content)
            whole = answer["lines"] == lines
            fits = seconds <= ASKED_SECONDS and peak <= ASKED_MIB and whole
            print(
                f"{kind:<12} {seconds:6.2f} s ({cpu:.2f} CPU)  {lines / seconds:10,.0f} lines/s  "
                f"{peak:6.1f} MiB  "
                f"known {answer['known']:,}, unknown {answer['unknown']:,}  "
                f"asked <= {ASKED_SECONDS:g} s, {ASKED_MIB:g} MiB a million  "
                f"{'ok' if fits else 'OVER'}"
            )


if __name__ == "__main__":
    main()
