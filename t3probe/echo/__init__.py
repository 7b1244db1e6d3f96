"""The responder: `/probe/ws` echoes, `/probe/healthz` answers, for a deployment without its own.

It stands behind the load balancer, past the single sign-on, so anybody reaches it: whatever a
client does is bounded in count, in rate, in bytes and in time. No request is logged, and nothing is
stored but, where it is told to, the records that people send from its page: in memory, for an hour.

It speaks HTTP and WebSocket on bare sockets. With 10,000 half-open connections the asyncio
server of `websockets` measured 132 MiB, this one 33.
"""

from __future__ import annotations

from t3probe.echo.limits import Limits, Proxies
from t3probe.echo.responder import Responder

__all__ = ["Limits", "Proxies", "Responder"]
