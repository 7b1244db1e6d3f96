"""A group as a request of remote write, and which gauges a deployment may have."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_record import DEPLOYMENT, RUN, SEEN
from msgspec.structs import replace

from t3probe.config.types import UpstreamPlace
from t3probe.deliver.metrics import TABLE, families, gauges, zeros
from t3probe.deliver.metrics import remote_write_pb2 as generated
from t3probe.deliver.metrics.carry import CARRIED, Family, Group, Histogram
from t3probe.deliver.metrics.remote import written
from t3probe.upstreams.experiments.rigs import Rig, RigStream
from t3probe.upstreams.experiments.seen import rig_legs
from t3probe.verdict.incident.run import judge_run

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "t3probe" / "deliver" / "metrics" / "remote_write.proto"
EACH_RUN = {
    "t3probe_build_info",
    "t3probe_segment_state",
    "t3probe_run_timestamp_seconds",
    "t3probe_run_duration_seconds",
    "t3probe_run_complete",
    "t3probe_loop_lag_seconds",
}
OF_THE_GATEWAY = {"t3probe_delivery_mark"}
OF_THE_HELD_MODE = {"t3probe_book_mismatch"}


def decoded(body: bytes) -> dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
    request = generated.WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    found = [
        (
            tuple((label.name, label.value) for label in one.labels),
            [(sample.timestamp, sample.value) for sample in one.samples],
        )
        for one in request.timeseries
    ]
    assert len(dict(found)) == len(found), "a series stands there twice"
    return dict(found)


WHY = {"t3probe_verdict_info"}
"""Its labels are the run's own: who asks for it takes the newest one."""


def test_every_gauge_is_one_of_each_run_or_gets_a_marker_where_it_is_missing() -> None:
    """A gauge that is new in the table, and that nobody enumerates, would show its last value for
    minutes after a run that lacks it."""
    known = {spec.name for spec in TABLE if spec.type == "gauge"}
    place = UpstreamPlace(source="envoy", route="orders")
    legs = tuple(
        replace(leg, places=(place,)) if leg.name.startswith("envoy-") else leg
        for leg in DEPLOYMENT.legs
    )
    rig = Rig("spin07", "r-spin07", (RigStream("video", "spin07-st-video"),))
    legs = (*legs, *rig_legs([rig]))
    listed = {*gauges(replace(DEPLOYMENT, legs=legs))}
    assert known == listed | EACH_RUN | OF_THE_GATEWAY | OF_THE_HELD_MODE | WHY | {*CARRIED}


def test_no_series_of_a_run_is_unknown_to_its_deployment() -> None:
    own = families(RUN, SEEN, judge_run(RUN, SEEN))
    paths = {one.leg: one.labels["path"] for one in SEEN if "path" in one.labels}
    walls = tuple(
        replace(leg, url=f"http://127.0.0.1{paths[leg.name]}") if leg.name in paths else leg
        for leg in DEPLOYMENT.legs
    )
    may = gauges(replace(DEPLOYMENT, legs=walls))
    for name, family in own.items():
        if family.kind != "gauge" or name in EACH_RUN or name in CARRIED:
            continue
        if name.startswith("t3probe_backend_"):
            continue  # the made-up legs have no routes
        legs = {leg.name for leg in DEPLOYMENT.legs}
        for key in family.series:
            check = dict(key).get("check")
            if check is None or check in legs:  # others have a body of their own
                assert key in may[name].series, (name, key)


def test_a_whole_run_as_a_request() -> None:
    own = families(RUN, SEEN, judge_run(RUN, SEEN))
    series = decoded(written(own, {"job": "j", "vantage": "", "shard": "0"}, 10, 20).body)
    for labels, samples in series.items():
        names = [name for name, _ in labels]
        assert names == sorted(set(names))
        assert all(text for _, text in labels)
        assert ("job", "j") in labels
        assert ("shard", "0") in labels
        assert "vantage" not in names
        assert [ts for ts, _ in samples] in ([20], [10, 20])
    by = {dict(labels)["__name__"]: labels for labels in series}
    assert [ts for ts, _ in series[by["t3probe_connected"]]] == [20]
    assert {name for name in by if "rtt_seconds_" in name} == {
        "t3probe_rtt_seconds_bucket", "t3probe_rtt_seconds_count", "t3probe_rtt_seconds_sum"
    }  # fmt: skip


NUMBERS = st.floats(min_value=0, max_value=1e12)
TEXTS = st.text(max_size=8).filter(lambda text: not re.search("[\ud800-\udfff]", text))


@given(
    st.dictionaries(st.tuples(TEXTS, TEXTS), NUMBERS, max_size=5),
    st.dictionaries(st.sampled_from(["job", "vantage", "shard", "le", "reason"]), TEXTS),
    st.lists(NUMBERS, min_size=4, max_size=4),
)
def test_what_goes_in_comes_out(
    values: dict[tuple[str, str], float], outer: dict[str, str], steps: list[float]
) -> None:
    low, middle, high, total = sorted(steps)
    counter, rtt = Family("counter"), Family("histogram")
    for (leg, reason), value in values.items():
        counter.series[("leg", leg), ("reason", reason)] = value
        rtt.series[("leg", leg),] = Histogram((0.5, 10.0), (low, middle), high, total)
    outer.pop("le", None)
    outer.pop("reason", None)
    group: Group = {"c_total": counter, "h": rtt}
    found = decoded(written(group, outer, 5, 6).body) if _apart(group, outer) else None
    if found is None:
        return
    for (leg, reason), value in values.items():
        pairs = {**outer, "leg": leg, "reason": reason, "__name__": "c_total"}
        assert found[_key(pairs)] == [(5, 0.0), (6, value)]
        for bound, count in (("0.5", low), ("10", middle), ("+Inf", high)):
            pairs = {**outer, "leg": leg, "le": bound, "__name__": "h_bucket"}
            assert found[_key(pairs)] == [(5, 0.0), (6, count)]


def _key(pairs: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, text) for name, text in pairs.items() if text))


def _apart(group: Group, outer: dict[str, str]) -> bool:
    """Whether no two series are one without their empty labels."""
    for family in group.values():
        keys = [_key({**outer, **dict(key)}) for key in family.series]
        if len({*keys}) < len(keys):
            return False
    return True


def test_markers_stand_where_nothing_was_measured() -> None:
    own: Group = {"g": Family("gauge", "", {(("leg", "a"),): 1.0})}
    may: Group = {"g": Family("gauge", "", {(("leg", "a"),): 0.0, (("leg", "b"),): 0.0})}
    found = decoded(written(own, {}, 1, 2, may).body)
    assert found[("__name__", "g"), ("leg", "a")] == [(2, 1.0)]
    ((ts, value),) = found[("__name__", "g"), ("leg", "b")]
    assert ts == 2
    assert math.isnan(value)


@pytest.mark.parametrize("ended", [5, 4])
def test_an_end_is_after_the_start(ended: int) -> None:
    with pytest.raises(ValueError, match="expected an end after 5"):
        written(zeros(DEPLOYMENT), {}, 5, ended)


def test_the_generated_module_is_that_of_the_proto() -> None:
    messages = dict(re.findall(r"message (\w+) \{(.*?)\n\}", PROTO.read_text(), re.DOTALL))
    made = generated.DESCRIPTOR.message_types_by_name
    assert {*messages} == {*made}
    for name, body in messages.items():
        written_ = set(re.findall(r"^  (?:repeated )?(\w+) (\w+) = (\d+);", body, re.MULTILINE))
        types = {9: "string", 1: "double", 3: "int64"}
        found = {
            (
                one.message_type.name if one.message_type else types[one.type],
                one.name,
                str(one.number),
            )
            for one in made[name].fields
        }
        assert found == written_


def test_the_oldest_protobuf_is_the_one_that_made_it() -> None:
    """And one that everything else here can live with."""
    text = (PROTO.parent / "remote_write_pb2.py").read_text()
    (version,) = re.findall(r"Protobuf Python Version: (\S+)", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["remote-write"]
    assert f"protobuf>={version}" in extra
    assert not any("<" in one for one in extra)
