"""DNS over HTTPS: the public resolvers answer."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("doh")
def test_every_query_is_answered(leg: Observation) -> None:
    judge(leg)
