"""The page `docs/metrics.md`, written from the table of metrics."""

from __future__ import annotations

from t3probe.metrics.build import CHECK_NAME_LIMIT, CHECKS_LIMIT
from t3probe.metrics.table import CLOSED, TABLE, Spec

__all__ = ["page"]

HEAD = """\
# Metrics

This page is written by `python -m t3probe.metrics > docs/metrics.md`; a test holds that it is
current.

## Rules

- Units are base units: seconds, Unix seconds, 0 or 1.
- What was not measured is *absent*, never 0. A count that is zero *is* 0: every counter and
  every histogram exists from a vantage's first run on, for every leg, and for every reason.
- Labels come from the deployment file and from the closed lists below, never from the network.
- The sink adds the labels of the vantage (and job and shard, where it has them).
- Counters continue from run to run: a run reads what stands there and writes the sum.

## Who says what

- A **leg** that takes part in the verdict has every family with a `leg` label.
- A leg that is **inconclusive** (we could not tell, or we stood still ourselves) adds nothing to
  any count and its state is absent: no pass, no drop and no covered second may be read out of it.
- A leg under **planned downtime** is treated the same, and `t3probe_planned` is 1, so that a rule
  about coverage can leave it out with `unless on(job, vantage, leg) t3probe_planned == 1`.
- A drop during which **the prober itself stood still** is not a disconnect.
- An **upstream** (`envoy-NAME`) has the `t3probe_backend_*` families and nothing else: ten
  thousand of them, times the reasons, would be too many series. Its drops are in the record.
- A **check with its own body** has `t3probe_check_*` and its part in `t3probe_segment_state`; it
  is no leg of the deployment.
- A test of **another suite**, pushed from its JUnit file, has `t3probe_check_*` alone: at most
  CHECKS_LIMIT of them, and CHECK_NAME_LIMIT characters of each name.

## Families

| metric | type | labels | meaning | absent when |
|---|---|---|---|---|
"""

TAIL = """\

## Labels

| label | values |
|---|---|
| `leg`, `segment`, `route`, `listen_port` | as in the deployment file |
| `backend` | the upstream's name in the deployment file |
| `path` | the path of the wall's URL, without host and query |
| `check` | the leg's name, or that of a check with its own body |
"""


def page() -> str:
    """The whole page, as Markdown."""
    head = HEAD.replace("CHECKS_LIMIT", str(CHECKS_LIMIT))
    head = head.replace("CHECK_NAME_LIMIT", str(CHECK_NAME_LIMIT))
    rows = "".join(_row(one) for one in TABLE)
    closed = "".join(
        f"| `{label}` | {' '.join(f'`{one}`' for one in values)} |\n"
        for label, values in CLOSED.items()
    )
    return head + rows + _buckets() + TAIL + closed


def _row(spec: Spec) -> str:
    labels = ", ".join(f"`{one}`" for one in spec.labels) or "none"
    meaning = spec.help
    if spec.outlives:
        meaning += " It is kept while later runs see no newer one."
    return f"| `{spec.name}` | {spec.type} | {labels} | {meaning} | {spec.absent or 'never'} |\n"


def _buckets() -> str:
    lines = [
        f"- `{one.name}`: {' '.join(f'{bound:g}' for bound in one.buckets)}\n"
        for one in TABLE
        if one.buckets
    ]
    return "\n## Buckets\n\nUpper bounds in seconds, and `+Inf`.\n\n" + "".join(lines)
