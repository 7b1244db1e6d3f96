"""`t3probe watch` with a shorter window than a minute, its first word in seconds, and with
snapshots four times a second."""

from __future__ import annotations

import sys

from t3probe.cli import main
from t3probe.watch import service

if __name__ == "__main__":
    service.RECENT_SECONDS = float(sys.argv[1])
    service.TICK_SECONDS = 0.25
    sys.exit(main(["watch", *sys.argv[2:]]))
