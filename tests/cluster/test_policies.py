"""Every overlay keeps every policy, and every policy notices what it is there for."""

from __future__ import annotations

import pytest
from cluster_build import ALL, built, of_kind
from cluster_mutations import MUTATIONS, Mutation, mutated
from cluster_policies import POLICIES, broken

KINDS = {
    "t3": {"CronJob": 1},
    "vantages": {"CronJob": 3},
    "sharded": {"CronJob": 1},
    "watch": {"Deployment": 1, "Service": 1, "PodMonitor": 1},
    "vmagent": {
        "Deployment": 2,
        "Service": 1,
        "PodMonitor": 0,
        "PrometheusRule": 0,
        "NetworkPolicy": 2,
        "Role": 1,
        "RoleBinding": 1,
    },
}


@pytest.mark.parametrize("overlay", ALL)
def test_every_policy_is_kept(overlay: str) -> None:
    assert broken(built(overlay)) == {}


@pytest.mark.parametrize("overlay", ALL)
def test_nothing_is_missing(overlay: str) -> None:
    objects = built(overlay)
    wanted = {"Namespace": 1, "NetworkPolicy": 1, "PrometheusRule": 1, **KINDS[overlay]}
    for kind, number in wanted.items():
        assert len(of_kind(objects, kind)) == number, kind


@pytest.mark.parametrize("change", MUTATIONS, ids=lambda one: one.id)
def test_a_mistake_is_noticed(change: Mutation) -> None:
    assert change.policy in broken(mutated(built(change.overlay), change))


def test_every_policy_has_been_seen_to_notice() -> None:
    assert {one.policy for one in MUTATIONS} == set(POLICIES)
