"""A run's group read back from a Pushgateway, for a question."""

from __future__ import annotations

from t3probe.mcp_server.answers import NothingToTellError
from t3probe.mcp_server.of_group import OfGroup
from t3probe.sinks.gateway_client import Budget, Site, Trouble, exchange
from t3probe.sinks.gateway_json import NotMetricsError, read_group
from t3probe.sinks.gateway_wire import READ_MAX_BYTES, Gateway, raise_for

__all__ = ["EXCHANGE_SECONDS", "read_gateway"]

EXCHANGE_SECONDS = 5.0


def read_gateway(gateway: Gateway, budget: Budget) -> OfGroup:
    """What the gateway knows of the newest run. Raises NothingToTellError, one sentence."""
    site = Site(gateway.url, gateway.login)
    try:
        answer = exchange(
            site, "GET", "/api/v1/metrics", budget.part(EXCHANGE_SECONDS), max_bytes=READ_MAX_BYTES
        )
        raise_for(answer)
        own, _ = read_group(answer.body, gateway.key, gateway.upstream_key)
        upstreams, _ = read_group(answer.body, gateway.upstream_key, gateway.key)
    except Trouble as trouble:
        raise NothingToTellError(f"the gateway at {site.name} {trouble.what}") from trouble
    except NotMetricsError as error:
        # What it does say may be a page that is nobody's business.
        raise NothingToTellError(
            f"the gateway at {site.name} answers with something that is no list of metrics; name "
            "the URL of a Pushgateway"
        ) from error
    if not own and not upstreams:
        key = ", ".join(f"{name}={value}" for name, value in gateway.key.items())
        raise NothingToTellError(
            f"nothing recorded: the gateway at {site.name} has no group {key}; run the checks with "
            "--push first, or name another --job or --vantage"
        )
    return OfGroup(f"the gateway at {site.name}", gateway.vantage, own, upstreams)
