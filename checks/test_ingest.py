"""Ingest gates: the right token is taken, and nothing else."""

import pytest

from t3probe.judge import judge
from t3probe.observation import Observation


@pytest.mark.legs("ingest")
def test_the_receiver_takes_an_empty_message(leg: Observation) -> None:
    judge(leg)


@pytest.mark.legs("ingest_gate")
def test_the_gate_is_closed_to_everybody_else(leg: Observation) -> None:
    judge(leg)
