"""The Alertmanager fragment of a deployment: which alert mutes which.

PromQL and `equal` cannot say which legs cross a segment, the deployment file can: so there is
one inhibition per segment. Pure: a `Deployment` in, YAML text out.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from t3probe.config.types import Deployment
from t3probe.text import matcher

MUTED_BY_A_SEGMENT = (
    "T3ProbeLegDown",
    "T3ProbeLegRefusing",
    "T3ProbeDropBurst",
    "T3ProbeEgressOnlyDivergence",
    "T3ProbeBackendUnreachable",
)
"""Alerts that are the effect of a broken segment and carry the label `leg`;
T3ProbePublicPathWalledOff is another, and carries `path`. Never muted are
T3ProbeWalledPathOpen, which is a hole and no outage, and what the prober says of itself."""

_HEAD = """\
# Alertmanager 0.22 or newer. Generated from the deployment {name}; do not edit, generate it anew.
# Put these rules into the configuration's own inhibit_rules.
#
# Each source fires before its targets and outlives them (see t3probe.rules.yml): a target that
# resolves first was muted all along, and is never announced.
inhibit_rules:
"""
_SPECIAL = frozenset(r"\.+*?()|[]{}^$")


def fragment(deployment: Deployment) -> str:
    """The `inhibit_rules` for `deployment`, as YAML.

    A convicted segment mutes the alerts of the legs that cross it, at the same vantage (those of
    public paths by a rule of their own, as they are labelled by path); a leg that is down, or
    accepts nothing new, mutes its own bursts of drops. Segments that upstreams and paths have for
    themselves are never published as convicted, so they get no rule.
    """
    rules = [_HEAD.format(name=deployment.name)]
    for segment in deployment.segments:
        legs = [leg for leg in deployment.legs if segment in leg.path]
        paths = [urlsplit(leg.url or "").path or "/" for leg in legs if leg.kind == "walloff"]
        source = [
            _matcher("alertname", "=", "T3ProbeSegmentConvicted"),
            _matcher("segment", "=", segment),
        ]
        if legs:
            target = [
                _matcher("alertname", "=~", _any_of(MUTED_BY_A_SEGMENT)),
                _matcher("leg", "=~", _any_of(leg.name for leg in legs)),
            ]
            rules.append(_rule(source=source, target=target, equal="job, vantage"))
        if paths:
            target = [
                _matcher("alertname", "=", "T3ProbePublicPathWalledOff"),
                _matcher("path", "=~", _any_of(paths)),
            ]
            rules.append(_rule(source=source, target=target, equal="job, vantage"))
    rules += [
        _rule(
            source=[_matcher("alertname", "=", alert)],
            target=[_matcher("alertname", "=", "T3ProbeDropBurst")],
            equal="job, vantage, leg",
        )
        for alert in ("T3ProbeLegDown", "T3ProbeLegRefusing")
    ]
    return "".join(rules)


def _rule(*, source: list[str], target: list[str], equal: str) -> str:
    lines = ["  - source_matchers:"]
    lines += [f"      - {one}" for one in source]
    lines += ["    target_matchers:"]
    lines += [f"      - {one}" for one in target]
    lines += [f"    equal: [{equal}]"]
    return "\n".join(lines) + "\n"


def _matcher(label: str, operator: str, value: str) -> str:
    """One matcher as a YAML scalar, whose single quotes know only themselves."""
    return "'" + matcher(label, operator, value).replace("'", "''") + "'"


def _any_of(texts: Iterable[str]) -> str:
    """An RE2 expression for exactly these texts; Alertmanager anchors it at both ends."""
    escaped = ("".join(f"\\{c}" if c in _SPECIAL else c for c in text) for text in texts)
    return "|".join(dict.fromkeys(escaped))
