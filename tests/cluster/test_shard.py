"""Which legs fall to which shard, and what is said about a shard that cannot be."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from t3probe.config import Delivery, Deployment, DeploymentError, Leg, legs_for
from t3probe.config.opinions import OpinionSource
from t3probe.config.shard import LARGEST, Shard, shard_named, sharded
from t3probe.deliver.metrics import zeros

VANTAGES = st.lists(st.sampled_from(["cluster", "lan"]), unique=True).map(tuple)


def deployment(legs: int, upstreams: list[tuple[str, ...]], **delivery: str) -> Deployment:
    """`legs` legs and an upstream for each tuple of vantages; every other one shares a host."""
    inner = tuple(f"upstream-u{n}" for n in range(len(upstreams)))
    return Deployment(
        name="made-up",
        file="made-up.toml",
        segments=("lan", "host", "lonely"),
        own_segments=inner,
        paths=(("lan",), ("host", *inner[:1]), ("lan", "lonely")),
        legs=(
            *(Leg(name=f"leg{n}", kind="http", path=("lan",)) for n in range(legs)),
            *(
                Leg(
                    name=f"envoy-u{n}",
                    kind="tcp",
                    upstream=True,
                    path=("host", one) if n % 2 else (one,),
                    vantages=upstreams[n],
                )
                for n, one in enumerate(inner)
            ),
        ),
        delivery=Delivery(**delivery),
    )


@example(0, [("lan",), (), ("lan",), ()], 2, "cluster")
@given(
    st.integers(0, 3),
    st.lists(VANTAGES, max_size=12),
    st.integers(1, 20),
    st.sampled_from(["", "cluster", "lan", "attic"]),
)
def test_the_union_is_complete_and_disjoint(
    legs: int, upstreams: list[tuple[str, ...]], count: int, vantage: str
) -> None:
    whole = deployment(legs, upstreams)
    parts = [sharded(whole, Shard(index, count), vantage) for index in range(count)]
    here = [leg.name for leg in legs_for(whole, vantage)[0]]
    ran = [leg.name for part in parts for leg in legs_for(part, vantage)[0]]
    assert sorted(ran) == sorted(here)
    sizes = [
        sum(leg.name.startswith("envoy-") for leg in legs_for(part, vantage)[0]) for part in parts
    ]
    assert max(sizes) - min(sizes) <= 1
    for part in parts[1:]:
        assert all(leg.name.startswith("envoy-") for leg in part.legs)
    for part in parts:
        order = [leg.name for leg in part.legs]
        assert order == [leg.name for leg in whole.legs if leg.name in order]


@given(st.lists(VANTAGES, max_size=8), st.integers(1, 9), st.data())
def test_a_shard_knows_its_own_segments(
    upstreams: list[tuple[str, ...]], count: int, data: st.DataObject
) -> None:
    whole = deployment(2, upstreams, heartbeat_url="http://127.0.0.1/alive")
    shard = Shard(data.draw(st.integers(0, count - 1)), count)
    part = sharded(whole, shard)
    crossed = {segment for leg in part.legs for segment in leg.path}
    assert set(part.own_segments) == crossed & set(whole.own_segments)
    if shard.index == 0:
        assert part.segments == whole.segments
        assert part.delivery == whole.delivery
    else:
        assert set(part.segments) == crossed & set(whole.segments)
        assert part.delivery.heartbeat_url is None
        assert {segment for path in part.paths for segment in path} <= crossed


def test_another_shard_has_no_counters_of_legs() -> None:
    whole = deployment(2, [(), (), ()])
    first, second = (sharded(whole, Shard(index, 2)) for index in (0, 1))
    labelled = [
        {value for family in zeros(part).values() for key in family.series
         for label, value in key if label == "leg"}
        for part in (first, second)
    ]  # fmt: skip
    assert labelled == [{"leg0", "leg1"}, set()]


def test_no_shard_is_everything() -> None:
    whole = deployment(2, [(), ()])
    assert sharded(whole, None) is whole
    assert sharded(whole, Shard(0, 1)).legs == whole.legs


def test_shards_would_overwrite_one_textfile() -> None:
    whole = deployment(2, [()], textfile="/tmp/t3probe.prom")
    assert sharded(whole, Shard(0, 1)).delivery == whole.delivery
    with pytest.raises(DeploymentError) as raised:
        sharded(whole, Shard(1, 2))
    assert str(raised.value) == (
        "made-up.toml: delivery.textfile: expected no textfile for a run of several shards, found "
        "one; each would overwrite it; take it out, or do not split the run"
    )


@pytest.mark.parametrize(
    ("option", "environ", "wanted"),
    [
        (None, {}, None),
        (None, {"T3PROBE_SHARD": "", "T3PROBE_SHARDS": "", "JOB_COMPLETION_INDEX": "3"}, None),
        (None, {"JOB_COMPLETION_INDEX": "3", "T3PROBE_SHARDS": "4"}, Shard(3, 4)),
        (None, {"T3PROBE_SHARD": "0", "T3PROBE_SHARDS": "1"}, Shard(0, 1)),
        (
            None,
            {"T3PROBE_SHARD": "1", "JOB_COMPLETION_INDEX": "3", "T3PROBE_SHARDS": "4"},
            Shard(1, 4),
        ),
        ("2/5", {"T3PROBE_SHARD": "1", "T3PROBE_SHARDS": "x"}, Shard(2, 5)),
        (f"0/{LARGEST}", {}, Shard(0, LARGEST)),
    ],
)
def test_the_shard_is_named(
    option: str | None, environ: dict[str, str], wanted: Shard | None
) -> None:
    assert shard_named(option, environ) == wanted


@pytest.mark.parametrize(
    ("option", "environ", "sentence"),
    [
        ("3", {}, '--shard: expected I/N such as 0/4, found "3"'),
        ("-1/4", {}, '--shard: expected I/N such as 0/4, found "-1/4"'),
        ("4/4", {}, '--shard: expected a shard from 0 to 3, found "4"'),
        ("0/0", {}, '--shard: expected a number of shards from 1 to 1000, found "0"'),
        ("0/1001", {}, '--shard: expected a number of shards from 1 to 1000, found "1001"'),
        ("\u0663/\u0664", {}, "--shard: expected I/N such as 0/4, found"),
        (
            None,
            {"T3PROBE_SHARD": "1"},
            "T3PROBE_SHARDS: expected the number of shards, found nothing; set it beside "
            "T3PROBE_SHARD, or take that away",
        ),
        (
            None,
            {"T3PROBE_SHARDS": "4"},
            "T3PROBE_SHARD: expected the number of this shard, from 0, found nothing; set "
            "T3PROBE_SHARD, or run in an Indexed Job, which sets JOB_COMPLETION_INDEX",
        ),
        (
            None,
            {"JOB_COMPLETION_INDEX": "4", "T3PROBE_SHARDS": "4"},
            'JOB_COMPLETION_INDEX: expected a shard from 0 to 3, found "4"',
        ),
        (
            None,
            {"T3PROBE_SHARD": "one", "T3PROBE_SHARDS": "4"},
            'T3PROBE_SHARD: expected a shard from 0 to 3, found "one"',
        ),
        (
            None,
            {"T3PROBE_SHARD": "1", "T3PROBE_SHARDS": "four"},
            'T3PROBE_SHARDS: expected a number of shards from 1 to 1000, found "four"',
        ),
    ],
)
def test_a_shard_that_cannot_be_is_one_sentence(
    option: str | None, environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(DeploymentError) as raised:
        shard_named(option, environ)
    assert str(raised.value).startswith(sentence)


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_is_a_shard_or_a_sentence(index: str, count: str) -> None:
    environ = {"T3PROBE_SHARD": index, "T3PROBE_SHARDS": count}
    sentence = ""
    try:
        found = shard_named(None, environ)
        assert found is None or 0 <= found.index < found.count <= LARGEST
    except DeploymentError as error:
        sentence = str(error)
    assert len(sentence.splitlines()) <= 1


def test_opinions_are_asked_by_shard_0() -> None:
    asked = OpinionSource(name="cfd", kind="cloudflared", segment="wan", url="http://10.0.0.1:1")
    whole = msgspec.structs.replace(deployment(2, [(), ()]), opinion=(asked,))
    assert [len(sharded(whole, Shard(index, 2)).opinion) for index in (0, 1)] == [1, 0]
