"""What is usual for each leg, read out of a group and carried on from run to run."""

from __future__ import annotations

import msgspec
from metrics_record import DEPLOYMENT, INTERNAL, RUN, recorded
from prometheus_client.parser import text_string_to_metric_families

from t3probe.deliver import metrics
from t3probe.deliver.metrics import baselines, carry
from t3probe.deliver.metrics.carry import BASELINE, Family, Group, labelled
from t3probe.deliver.metrics.exposition import rendered
from t3probe.observation import Baseline, Observation

ZEROS = metrics.zeros(DEPLOYMENT)


def group(*seen: Observation) -> Group:
    return recorded(RUN, seen)


def test_a_group_that_nobody_could_read_tells_nothing() -> None:
    assert baselines(None) == {}
    assert baselines({}) == {}


def test_a_first_run_knows_that_there_was_nothing() -> None:
    found = baselines(ZEROS)
    assert set(found) >= {"internal", "cloudflare", "egress"}
    assert set(found.values()) == {Baseline()}
    assert not [name for name in found if name.startswith("envoy-")]


def test_the_histogram_and_the_gauge_are_read() -> None:
    found = baselines(group(INTERNAL))["internal"]
    assert (found.beats, found.low_seconds, found.high_seconds) == (4, 0.25, 0.5)
    assert found.moving_seconds == 0.437543403
    without = group(msgspec.structs.replace(INTERNAL, baseline=None))
    assert baselines(without)["internal"].moving_seconds is None


def test_they_are_read_from_a_files_text_with_its_labels_too() -> None:
    own = labelled(recorded(RUN, (INTERNAL,)), {"vantage": "attic"})
    families = text_string_to_metric_families(rendered(own).decode())
    assert baselines(carry.standing(families, own)) == baselines(group(INTERNAL))


def test_numbers_that_are_no_round_trip_are_not_taken() -> None:
    for value in (0.0, -1.0, float("nan"), float("inf")):
        held = group(INTERNAL)
        held[BASELINE] = Family("gauge", "", {(("leg", "internal"),): value})
        assert baselines(held)["internal"].moving_seconds is None


def test_a_run_without_news_leaves_it_as_it_stands() -> None:
    silent = msgspec.structs.replace(INTERNAL, outcome="inconclusive")
    after = carry.continued(group(INTERNAL), group(silent))
    assert baselines(after) == baselines(group(INTERNAL))
    gone = carry.continued(group(INTERNAL), group(msgspec.structs.replace(silent, leg="other")))
    assert "internal" not in baselines(gone)


def test_run_after_run_it_becomes_known() -> None:
    held: Group = ZEROS
    for number in range(8):
        seen = msgspec.structs.replace(INTERNAL, baseline=baselines(held)["internal"])
        held = carry.continued(held, group(seen))
        assert baselines(held)["internal"].beats == 4 * (number + 1)
        assert baselines(held)["internal"].moving_seconds == 0.5
