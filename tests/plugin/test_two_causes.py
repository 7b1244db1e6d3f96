"""Two causes in one run of the lab: the gate is shut for each of them."""

from __future__ import annotations

from plugin_runner import Runner


def test_a_later_outage_does_not_open_the_gate(checks: Runner) -> None:
    # Late enough for all legs to be up for a while, on a busy machine, too.
    faults = ["--fault", "tunnel:cut@5s", "--fault", "doh:servfail@9s"]
    done = checks(*faults, "--hold", "12s", "--gate", "tunnel", deployment=None)
    assert done.code == 1, done.output
    assert set(done.verdict["convicted"]) == {"tunnel", "doh"}, done.output
    said = " ".join(done.output.split())
    assert "closed: tunnel (or what the CDN does with this path) convicted" in said
    by_leg = {tuple(one["failed"]): one["verdict"] for one in done.verdict["incidents"]}
    assert by_leg["cloudflare",]["convicted"] == ["tunnel"]
    assert by_leg["resolver",]["convicted"] == ["doh"]
