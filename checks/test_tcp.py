"""TCP connects: our own way out, and machines that need only answer."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("tcp")
def test_it_can_be_reached(leg: Observation) -> None:
    judge(leg)
