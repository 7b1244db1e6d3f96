"""Two faults in one run: the whole verdict, and no innocent where it depends on the moment."""

from __future__ import annotations

import msgspec
import pytest
from matrix_table import HALF
from pairs_table import PAIRS_MID, PAIRS_START
from test_matrix import expected, given, segments_of

from t3probe.lab.faults import FAULTS, NEW

NEW_KINDS = {"exit", "drain", "idle", "half", *NEW}


def test_every_new_kind_of_every_segment_is_in_a_pair() -> None:
    rows = [*PAIRS_START, *PAIRS_MID]
    met = {tuple(one.split("@")[0].split(":")[:2]) for row in rows for one in row.split()}
    kinds = {kind for _, kind in met}
    assert kinds >= NEW_KINDS - {"half"}
    assert {segment for segment, _ in met} >= {*FAULTS} - {"upstream-search"}


@pytest.mark.parametrize("pair", PAIRS_START)
def test_two_faults_from_the_start(field, pair: str) -> None:
    seen = field.run(pair.split(), 2.2)
    assert given(field, seen.verdict) == expected(PAIRS_START[pair], segments_of(field)), (
        seen.trouble
    )


@pytest.mark.parametrize("pair", PAIRS_MID)
def test_two_faults_in_mid_hold(field, pair: str) -> None:
    faults = [one if "@" in one else f"{one}@900ms" for one in pair.split()]
    seen = field.run(faults, 2.6)
    assert given(field, seen.verdict) == expected(PAIRS_MID[pair], segments_of(field)), seen.trouble


@pytest.mark.parametrize("beside", ["serve:exit", "cf-edge:drain", "doh:new-502", "wall:open"])
@pytest.mark.parametrize("half", HALF)
def test_one_of_two_machines_beside_another_fault(
    field, monkeypatch: pytest.MonkeyPatch, half: str, beside: str
) -> None:
    """Which beats meet the broken machine depends on how many came before. What an open wall
    answers either machine of traefik may have made."""
    spread = msgspec.structs.replace(field.deployment, spread=("tunnel", "traefik", "dispatch"))
    monkeypatch.setattr(field, "deployment", spread)
    seen = field.run([f"{half}@500ms", f"{beside}@900ms"], 2.6)
    broken, other = (one.partition(":")[0] for one in (half, beside))
    verdict = seen.verdict
    assert set(verdict["convicted"]) <= {broken, other}, seen.trouble
    assert verdict["status"] in ("localised", "ambiguous")
    assert other not in verdict["exonerated"], seen.trouble
    if other != "wall":
        assert other in verdict["convicted"], seen.trouble
    silent = ("rtt_timeout", "tls_failed")
    met = [one for one in seen.legs.values() if one.reason in silent and one.outcome == "failed"]
    assert all(broken in one.path for one in met)
    if met:
        assert broken not in verdict["exonerated"], seen.trouble
