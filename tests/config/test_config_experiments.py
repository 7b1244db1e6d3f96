"""`[experiments]`: its defaults, and what may stand beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import NOW

from t3probe.cli import main
from t3probe.config import Deployment, DeploymentError, Wrong, loads
from t3probe.config.experiments import most_unavailable
from t3probe.setup.cluster.networkpolicy import dials
from t3probe.setup.doctor import _of_rigs
from t3probe.setup.machine import variables

TABLE = """
[experiments]
relay = "https://app.example/relay"
jump = "https://app.example/jump"
book = "https://app.example/book"
"""


def made(more: str = "", top: str = "segments = []\n") -> Deployment:
    return loads(f'name = "x"\n{top}{TABLE}{more}', environ={}, now=NOW)


def test_rigs_alone_are_a_deployment() -> None:
    found = made()
    assert (found.segments, found.legs) == ((), ())
    table = found.experiments
    assert table is not None
    lengths = table.active, table.reported, table.startup, table.settle, table.query_book
    assert [*map(float, lengths)] == [10, 30, 60, 20, 900]
    assert (table.manage, table.max_unavailable) == (False, "1/3")


def test_no_time_at_all_may_be_what_a_change_must_last() -> None:
    table = made('settle = "0"\nstartup = "0s"\n').experiments
    assert table is not None
    assert [*map(float, (table.settle, table.startup))] == [0, 0]
    with pytest.raises(DeploymentError, match="longer than zero"):
        made('active = "0s"\n')


def test_downtime_may_name_what_rigs_will_make() -> None:
    for key, name in (
        ("leg", "stream-spin07-video"),
        ("leg", "jump-spin07"),
        ("leg", "relay-api"),
        ("segment", "rig-spin07"),
        ("segment", "stream-spin07-video"),
        ("segment", "relay"),
    ):
        text = f'[[downtime]]\n{key} = "{name}"\nuntil = 2099-01-01T00:00:00Z\n'
        assert made(text).downtime
        with pytest.raises(DeploymentError):
            loads(
                'name = "x"\nsegments = ["a"]\n[[leg]]\nname = "l"\nkind = "tcp"\n'
                f'address = "127.0.0.1:1"\npath = ["a"]\n{text}',
                environ={},
                now=NOW,
            )


@pytest.mark.parametrize(
    ("text", "rigs", "most"),
    [
        ("1/3", 9, 3),
        ("1/3", 8, 2),
        ("1/3", 2, 0),
        ("0", 9, 0),
        ("4", 9, 4),
        ("12", 9, 9),
        ("1/1", 5, 5),
    ],
)
def test_how_many_may_be_out(text: str, rigs: int, most: int) -> None:
    assert most_unavailable(text, rigs) == most


@pytest.mark.parametrize("text", ["", "1/0", "3/2", "33%", "-1", "0.5", "1 / 3", "²", "12345"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(Wrong):
        most_unavailable(text, 9)


def test_what_a_network_policy_lets_through() -> None:
    targets = [(one.who, one.host, one.port) for one in dials(made())]
    assert targets == [(name, "app.example", 443) for name in ("relay-api", "jump-api", "book")]


def test_the_doctor_says_which_secret_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rigs.toml"
    file.write_text(f'name = "x"\nsegments = []\n{TABLE}')
    rows = list(_of_rigs(made(), {"T3PROBE_RELAY_SECRET": "s", "T3PROBE_BOOK_SECRET": " "}))
    assert [one.state for one in rows] == ["ok", "wrong", "wrong"]
    assert "set T3PROBE_JUMP_SECRET" in rows[1].fix
    (known,) = variables({"T3PROBE_JUMP_SECRET_FILE": "x", "T3PROBE_BOOK_SECRET": "y"})
    assert known.state == "ok"
    assert main(["legs", str(file)]) == 0
    assert "the rigs that https://app.example/book names" in capsys.readouterr().out
