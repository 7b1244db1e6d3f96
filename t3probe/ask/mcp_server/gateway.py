"""A run's group read back from a Pushgateway, for a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from t3probe.ask.mcp_server.answers import NothingToTellError, short
from t3probe.ask.mcp_server.of_group import OfGroup
from t3probe.deliver.sinks.gateway import Gateway, GroupHead, Groups, NotMetricsError, raise_for
from t3probe.exchange.bounds import GATEWAY_METRICS_BYTES, MCP_GATEWAY_SECONDS
from t3probe.exchange.client import Budget, Site, Trouble, exchange
from t3probe.text.words import some

__all__ = ["MCP_GATEWAY_SECONDS", "read_gateway"]

NAMED = 5
"""How many other groups a sentence names."""


def read_gateway(gateway: Gateway, budget: Budget, gloss: Mapping[str, str]) -> OfGroup:
    """What the gateway knows of the newest run; `gloss` is not in metrics. Raises
    NothingToTellError, one sentence."""
    site = Site(gateway.url, gateway.login)
    groups = Groups(gateway.key, gateway.upstream_key, heads=True)
    try:
        answer = exchange(
            site, "GET", "/api/v1/metrics", budget.part(MCP_GATEWAY_SECONDS),
            max_bytes=GATEWAY_METRICS_BYTES, into=groups.feed,
        )  # fmt: skip
        raise_for(answer)
        groups.close()
    except Trouble as trouble:
        raise NothingToTellError(f"the gateway at {site.name} {trouble.what}") from trouble
    except NotMetricsError as error:
        # What it does say may be a page that is nobody's business.
        raise NothingToTellError(
            f"the gateway at {site.name} answers with {error}; name the URL of a Pushgateway"
        ) from error
    heads = groups.heads
    own, upstreams = groups.group(gateway.key), groups.group(gateway.upstream_key)
    others = sorted(set(_others(heads, gateway)))
    if not own and not upstreams:
        raise NothingToTellError(
            f"nothing recorded: the gateway at {site.name} has no group {_words(gateway.key)}; "
            + (f"it has {'; '.join(some(others, NAMED))}: start with one of those" if others else
               "run the checks with --push first, or name another --job or --vantage")
        )  # fmt: skip
    return OfGroup(
        f"the gateway at {site.name}", gateway.vantage, own, upstreams,
        pushed_at=_pushed(heads, gateway.key),
        upstreams_pushed_at=_pushed(heads, gateway.upstream_key),
        beside=_shards(heads, gateway), gloss=gloss,
    )  # fmt: skip


def _pushed(heads: list[GroupHead], key: Mapping[str, str]) -> float | None:
    """When the gateway took the group, Unix seconds by its own clock."""
    for one in heads:
        if one.labels == key and one.pushed:
            try:
                return float(one.pushed)
            except ValueError:
                return None
    return None


def _others(heads: list[GroupHead], gateway: Gateway) -> Iterator[str]:
    """The groups of other vantages and shards of this job."""
    for one in heads:
        labels = one.labels
        if labels.get("job") == gateway.job and not labels.keys() - {"job", "vantage", "shard"}:
            yield _words(labels)


def _shards(heads: list[GroupHead], gateway: Gateway) -> tuple[str, ...]:
    """The other shards of this job and vantage whose upstreams are in groups of their own."""
    key = {**gateway.upstream_key, "shard": ""}
    found = {
        labels.get("shard", "")
        for labels in (one.labels for one in heads)
        if {**labels, "shard": ""} == key and labels.get("shard", "") != gateway.shard
    }
    return tuple(sorted(found - {""}))


def _words(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{short(name, 40)}={short(value, 60)}" for name, value in labels.items())
