"""Remote rigs: what relay, jump and book report of them."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("service")
def test_the_service_answers_and_reports(leg: Observation) -> None:
    judge(leg)


@pytest.mark.legs("stream")
def test_the_stream_is_active(leg: Observation) -> None:
    judge(leg)


@pytest.mark.legs("jump")
def test_the_log_in_channel_is_there(leg: Observation) -> None:
    judge(leg)
