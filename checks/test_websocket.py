"""WebSockets: echoes through the CDN, pinned to the load balancer and straight to dispatch; and the
application's own."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("ws_echo")
def test_every_beat_comes_back(leg: Observation) -> None:
    judge(leg)


@pytest.mark.legs("ws", "ws_upgrade")
def test_the_application_answers(leg: Observation) -> None:
    judge(leg)
