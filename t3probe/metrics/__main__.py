"""`python -m t3probe.metrics > docs/metrics.md` writes the page anew."""

from __future__ import annotations

import sys

from t3probe.metrics.document import page

sys.stdout.write(page())
