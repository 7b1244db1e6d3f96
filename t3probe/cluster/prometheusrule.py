"""The alert rules as a PrometheusRule, the object that the Prometheus operator reads. Pure.

The groups' text is moved in by two columns and otherwise kept: what promtool tested is what the
cluster gets.
"""

from __future__ import annotations

from t3probe.cluster.places import ClusterError

__all__ = ["prometheusrule"]

_HEAD = """\
# Generated from {source}; do not edit, generate it anew:
#   {command}
# The operator takes the object where its ruleSelector and ruleNamespaceSelector allow it; some
# installations ask for a label of their own, such as release: kube-prometheus-stack.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: t3probe
  labels:
    app.kubernetes.io/name: t3probe
    app.kubernetes.io/component: alerts
spec:
"""


def prometheusrule(rules: str, *, source: str, command: str) -> str:
    """The object for the text of a rules file. Raises ClusterError when it has no groups."""
    before, groups, body = rules.partition("groups:\n")
    if not groups or any(line and not line.startswith("#") for line in before.splitlines()):
        raise ClusterError(
            f"{source}: expected Prometheus rules that begin with a line groups:, found none"
        )
    lines = (groups + body).splitlines()
    moved = "".join(f"  {line}\n" if line.strip() else "\n" for line in lines)
    return _HEAD.format(source=source, command=command) + moved
