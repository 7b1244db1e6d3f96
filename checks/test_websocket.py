"""WebSocket echo: through the CDN, pinned to the load balancer, straight to dispatch."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("ws_echo")
def test_every_beat_comes_back(leg: Observation) -> None:
    judge(leg)
