"""One of two machines behind one name is broken, and the deployment says that they are several."""

from __future__ import annotations

import msgspec
import pytest
from matrix_table import HALF


@pytest.mark.parametrize("onset", ["", "@300ms", "@900ms", "@1200ms"])
@pytest.mark.parametrize("fault", HALF)
def test_no_innocent_is_convicted(field, monkeypatch: pytest.MonkeyPatch, fault: str, onset: str):
    segment = fault.partition(":")[0]
    spread = msgspec.structs.replace(field.deployment, spread=("tunnel", "traefik", "dispatch"))
    monkeypatch.setattr(field, "deployment", spread)
    seen = field.run([fault + onset], 2.6)
    assert set(seen.verdict["convicted"]) <= {segment}, seen.trouble
    for incident in seen.verdict["incidents"]:
        assert set(incident["verdict"]["convicted"]) <= {segment}, seen.trouble
        named = incident["verdict"]
        assert segment in (*named["convicted"], *named["ambiguous"]), seen.trouble
