"""`[[ingest]]`: its two legs, their defaults, and where the token comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import NOW

from t3probe.config import Deployment, DeploymentError, loads
from t3probe.config.secrets import token_of, token_variable

TEXT = """
name = "x"
segments = ["wan", "edge", "gate", "store"]
[[ingest]]
name = "my-metrics.v1"
kind = "{kind}"
url = "https://in.example/api/v1/write"
path = ["wan", "edge", "gate", "store"]
{more}
"""


def made(more: str = "", kind: str = "remote_write", file: str = "x.toml") -> Deployment:
    return loads(TEXT.format(kind=kind, more=more), file=file, environ={}, now=NOW)


def test_one_table_makes_two_legs() -> None:
    whole, front = made('tcp_ends_at = "edge"\nvantages = ["lan"]').legs
    assert (whole.name, whole.kind) == ("ingest-my-metrics.v1", "ingest")
    assert whole.path == ("wan", "edge", "gate", "store")
    assert (front.name, front.kind) == ("ingest-my-metrics.v1-gate", "ingest_gate")
    assert front.path == ("wan", "edge", "gate")
    for leg in (whole, front):
        assert (leg.tcp_ends_at, leg.vantages) == ("edge", ("lan",))
        assert leg.url == "https://in.example/api/v1/write"
        assert leg.ingest is not None
        assert leg.ingest.gate == "gate"


def test_the_gate_may_stand_further_in_front() -> None:
    whole, front = made('gate = "edge"').legs
    assert front.path == ("wan", "edge")
    assert whole.path[-1] == "store"


@pytest.mark.parametrize(
    ("kind", "one"), [("remote_write", "/api/v1/query"), ("otlp", "/api/services")]
)
def test_paths_that_must_be_closed_go_by_the_kind(kind: str, one: str) -> None:
    table = made(kind=kind).legs[0].ingest
    assert table is not None
    assert one in table.refused
    assert "/metrics" in table.refused
    assert table.plain_port == 80


def test_the_path_itself_is_none_of_them() -> None:
    table = made('refused = ["/api/v1/write", "/x"]').legs[0].ingest
    assert table is not None
    assert table.refused == ("/x",)


@pytest.mark.parametrize(("port", "plain"), [(":8443", 0), ("", 80)])
def test_plain_http_is_asked_at_80_where_https_is_at_443(port: str, plain: int) -> None:
    text = TEXT.format(kind="otlp", more="").replace("in.example", f"in.example{port}")
    table = loads(text, environ={}, now=NOW).legs[0].ingest
    assert table is not None
    assert table.plain_port == plain


def test_the_token_comes_from_the_environment_first_then_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file\n")
    table = made('token_file = "token"', file=str(tmp_path / "x.toml")).legs[0].ingest
    assert table is not None
    name = "T3PROBE_INGEST_MY_METRICS_V1_TOKEN"
    assert token_variable(table) == name
    assert token_of(table, {}) == "from-the-file"
    assert token_of(table, {name: "from-the-environment"}) == "from-the-environment"
    (tmp_path / "other").write_text("another")
    assert token_of(table, {f"{name}_FILE": str(tmp_path / "other")}) == "another"


def test_a_file_that_cannot_be_read_is_a_sentence_without_a_secret(tmp_path: Path) -> None:
    table = made('token_file = "token"', file=str(tmp_path / "x.toml")).legs[0].ingest
    assert table is not None
    (tmp_path / "beside").write_text("")  # an empty folder may be a Secret without keys
    with pytest.raises(DeploymentError, match=r"token_file.*readable file.*no such file"):
        token_of(table, {})
    (tmp_path / "token").write_text("Bearer hunter2")
    with pytest.raises(DeploymentError, match="without the word Bearer") as caught:
        token_of(table, {})
    assert "hunter2" not in str(caught.value)


def test_without_any_there_is_none() -> None:
    table = made().legs[0].ingest
    assert table is not None
    assert token_of(table, {}) is None
