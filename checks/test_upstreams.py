"""TCP connects to Envoy's upstreams, independent of Envoy's own health checks."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("source")
def test_its_upstreams_are_known(leg: Observation) -> None:
    judge(leg)


@pytest.mark.legs("upstream")
def test_it_can_be_connected_to(leg: Observation) -> None:
    judge(leg)
