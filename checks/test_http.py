"""HTTP heartbeats on one kept-alive connection."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("http")
def test_every_beat_is_answered(leg: Observation) -> None:
    judge(leg)
