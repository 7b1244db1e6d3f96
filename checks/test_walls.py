"""Public paths stay public, protected paths stay protected."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("walloff")
def test_public_path_is_not_sent_to_the_sso(leg: Observation) -> None:
    judge(leg)


@pytest.mark.legs("walled")
def test_protected_path_needs_a_session(leg: Observation) -> None:
    judge(leg)
