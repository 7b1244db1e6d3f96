"""What reads a Pushgateway's and a Prometheus's JSON needs memory for what it keeps alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from t3probe.exchange.bounds import GATEWAY_KEPT_BYTES, MIB, PROMETHEUS_KEPT_BYTES

SENT = 6 * MIB
SLACK_KIB = 24 * 1024
"""An entry while it is decoded, and what is torn down later."""
PEAK = """
import json, sys
import t3probe.ask.explain.prometheus as prometheus
from t3probe.deliver.sinks.gateway import Groups, NotMetricsError
from t3probe.exchange.json_stream import JsonError
which, before, one, after, count = sys.argv[1:]
if which == "gateway":
    reader = Groups({"job": "t3-probe"}, heads=True)
elif which == "prometheus":
    reader = prometheus._Matrix().stream
said = ""
count = int(count)
if count:
    piece = one.encode() * max(1, 65536 // len(one))
    try:
        reader.feed(before.encode())
        for _ in range(count // len(piece)):
            reader.feed(piece)
        reader.feed(one.rstrip(",").encode() + after.encode())
        reader.close()
    except (NotMetricsError, JsonError) as error:
        said = str(error)
lines = open("/proc/self/status").read().splitlines()
print(json.dumps([next(int(one.split()[1]) for one in lines if one.startswith("VmHWM:")), said]))
"""
OWN = '{"data":[{"labels":{"job":"t3-probe"},'
FAMILY = OWN + '"t3probe_a":{"type":"GAUGE","metrics":['
RESULT = '{"status":"success","data":{"resultType":"matrix","result":['
CASES = {
    "groups": ("gateway", '{"data":[', '{"labels":{}},', "]}"),
    "groups of others": (
        "gateway",
        '{"data":[',
        '{"labels":{"job":"x"},"a":{"type":"GAUGE","metrics":[{"labels":{},"value":"1"}]}},',
        "]}",
    ),
    "families": ("gateway", OWN, '"a":{"type":"GAUGE","metrics":[]},', '"b":{}}]}'),
    "equal series": ("gateway", FAMILY, '{"labels":{},"value":"1"},', "]}}]}"),
    "nothing of ours": ("gateway", '{"x":[', "{},", '],"data":[]}'),
    "what comes before labels": ("gateway", '{"data":[{"a":[', "{},", "]}]}"),
    "results": ("prometheus", RESULT, '{"metric":{},"values":[]},', "]}}"),
    "samples": ("prometheus", RESULT, '{"values":[' + '[1,"1"],' * 999 + '[1,"1"]]},', "]}}"),
    "nothing of a matrix": ("prometheus", '{"x":[', "{},", "]}"),
}


def peak(which: str, before: str, one: str, after: str, size: int) -> tuple[int, str]:
    words = [sys.executable, "-c", PEAK, which, before, one, after, str(size)]
    done = subprocess.run(words, stdout=subprocess.PIPE, timeout=100, check=True)
    kib, said = json.loads(done.stdout)
    return kib, said


@pytest.fixture(scope="module")
def plain_kib() -> Callable[[str], int]:
    found: dict[str, int] = {}

    def measured(which: str) -> int:
        if which not in found:
            found[which] = peak(which, "", "{}", "", 0)[0]
        return found[which]

    return measured


@pytest.mark.parametrize("kind", CASES)
def test_what_is_not_used_takes_no_memory(kind: str, plain_kib: Callable[[str], int]) -> None:
    which, before, one, after = CASES[kind]
    kept = GATEWAY_KEPT_BYTES if which == "gateway" else PROMETHEUS_KEPT_BYTES
    # Most of it is not kept at all.
    most = kept // 1024 if kind in ("groups", "equal series", "results", "samples") else 0
    size, said = peak(which, before, one, after, SENT)
    assert size - plain_kib(which) < most + SLACK_KIB, said
