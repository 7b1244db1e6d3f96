"""`[[upstream_source]]` and `[[upstream_share]]` in the deployment file."""

from __future__ import annotations

import pytest
from config_helpers import DEPLOYMENTS, read, sentence

from t3probe.config.dialled import Shares, parse_hosts
from t3probe.config.errors import Wrong
from t3probe.config.types import UpstreamShare, UpstreamSource

SOURCE = """
name = "x"
segments = ["rack"]
[[upstream_source]]
name = "api"
kind = "nodes"
url = "http://nodes.example/v1/routes?all=1"
node = "edge-1"
shares = ["rack"]
optional = true
vantages = ["lan"]
"""


def test_a_source_alone_is_a_deployment() -> None:
    deployment = read(SOURCE)
    assert deployment.legs == ()
    assert deployment.warnings == ()
    assert deployment.upstream_source == (
        UpstreamSource(
            name="api",
            kind="nodes",
            url="http://nodes.example/v1/routes?all=1",
            node="edge-1",
            shares=("rack",),
            optional=True,
            vantages=("lan",),
        ),
    )


def test_the_node_comes_from_the_environment_and_can_be_taken_away() -> None:
    variable = "T3PROBE__UPSTREAM_SOURCE__API__NODE"
    assert read(SOURCE, {variable: "edge-9"}).upstream_source[0].node == "edge-9"
    assert read(SOURCE, {variable: ""}).upstream_source[0].node is None


def test_downtime_of_an_upstream_that_a_source_will_name() -> None:
    planned = '[[downtime]]\nleg = "envoy-orders-80-10.0.0.1:1"\nuntil = 2030-01-01\n'
    assert read(SOURCE + planned).downtime[0].leg == "envoy-orders-80-10.0.0.1:1"
    own = '[[downtime]]\nsegment = "upstream-orders-80-10.0.0.1:1"\nuntil = 2030-01-01\n'
    assert read(SOURCE + own).downtime[0].segment == "upstream-orders-80-10.0.0.1:1"
    assert "expected the name of a leg" in sentence(SOURCE + planned.replace("envoy-", "envy-"))
    check = planned.replace("envoy-orders-80-10.0.0.1:1", "source-api")
    assert read(SOURCE + check).downtime[0].leg == "source-api"


def test_the_example_of_the_docs_can_be_read() -> None:
    page = (DEPLOYMENTS.parent / "docs" / "upstreams.md").read_text(encoding="utf-8")
    deployment = read('name = "x"\n' + page.split("```toml\n")[1].split("```")[0])
    assert [one.kind for one in deployment.upstream_source] == ["envoy", "nodes"]
    assert deployment.leg("envoy-orders").path == ("rack-a", "upstream-orders")


def test_too_many_sources_are_refused() -> None:
    tables = "".join(
        f'[[upstream_source]]\nname = "s{n}"\nkind = "envoy"\nurl = "http://10.0.0.1:{n + 1}"\n'
        for n in range(33)
    )
    text = 'name = "x"\nsegments = ["rack"]\n' + tables
    assert "expected at most 32 sources" in sentence(text)


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("10.0.0.0/24", "10.0.0.255", True),
        ("10.0.0.0/24", "10.0.1.0", False),
        ("10.0.0.7", "10.0.0.7", True),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "10.0.0.7", False),
        ("orders-*", "Orders-1.internal", True),
        ("orders-?", "orders-12", False),
        ("*.internal", "db.internal.", True),
        ("db.internal", "dbxinternal", False),
        ("*", "10.0.0.7", True),
        ("10.0.0.0/24", "::ffff:10.0.0.7", True),
        ("10.0.0.7", "::FFFF:A00:7", True),
        ("::ffff:10.0.0.7", "10.0.0.7", True),
        ("::ffff:10.0.0.0/120", "10.0.0.7", True),
        ("::ffff:10.0.0.0/120", "10.0.1.7", False),
        ("FD00::5", "fd00:0:0:0:0:0:0:5", True),
        ("fd00::5", "FD00::0005", True),
    ],
)
def test_a_pattern_of_hosts(pattern: str, host: str, expected: bool) -> None:
    shares = Shares([UpstreamShare(segment="rack", hosts=(pattern,))])
    assert shares.of(host) == (("rack",) if expected else ())


@pytest.mark.parametrize("text", ["", "10.0.0.1/33", "10.0.0.1/24", "a b", "a[1]", "/", "x" * 254])
def test_a_pattern_that_is_none(text: str) -> None:
    with pytest.raises(Wrong):
        parse_hosts(text)
