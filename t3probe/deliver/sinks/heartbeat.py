"""A dead man's switch: one GET after each delivered run, to something outside this Prometheus.

It is the absence of the request that somebody is told of, so a run that was not delivered
makes none.
"""

from __future__ import annotations

from t3probe.deliver.sinks import Receipt
from t3probe.exchange.client import Budget, Site, Trouble, exchange
from t3probe.text import keep_url


def beat(url: str, budget: Budget) -> Receipt:
    """Request `url`; any 2xx is good. Never raises for what it may answer.

    The sentence names the host only: such URLs hold a key in their path.
    """
    keep_url(url)
    try:
        site = Site(url)
        answer = exchange(site, "GET", None, budget)
    except (Trouble, ValueError) as error:
        what = error.what if isinstance(error, Trouble) else str(error)
        where = f"the heartbeat at {site.name}" if isinstance(error, Trouble) else "heartbeat_url:"
        return Receipt(False, f"{where} {what}; it may raise an alarm although this run was fine")
    if not 200 <= answer.status < 300:
        return Receipt(
            False,
            f"the heartbeat at {site.name} answers {answer.status}; it may raise an alarm "
            "although this run was fine",
        )
    return Receipt(True, f"the heartbeat at {site.name}: sent")
