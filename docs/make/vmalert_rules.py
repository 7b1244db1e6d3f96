"""`cronjob/rules/t3probe.vmalert.yml`, made from the rules for Prometheus.

vmalert knew no `keep_firing_for` for long and refuses a file that has one; everything else is the
same. `python docs/make/vmalert_rules.py` writes it; a test holds that it is current.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["SOURCE", "TARGET", "text"]

RULES = Path(__file__).resolve().parents[2] / "cronjob" / "rules"
SOURCE, TARGET = RULES / "t3probe.rules.yml", RULES / "t3probe.vmalert.yml"
HEAD = """\
# Generated from cronjob/rules/t3probe.rules.yml by python docs/make/vmalert_rules.py; do not edit.
# For a vmalert that knows no keep_firing_for. A source of an inhibition then resolves sooner than
# the drops that it explains are forgotten: docs/operations.md says what to expect.
"""


def text(rules: str) -> str:
    """The rules without `keep_firing_for`, and without the comments at their top."""
    _, groups, body = rules.partition("groups:\n")
    lines = (groups + body).splitlines(keepends=True)
    return HEAD + "".join(one for one in lines if not one.lstrip().startswith("keep_firing_for:"))


if __name__ == "__main__":
    TARGET.write_text(text(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
