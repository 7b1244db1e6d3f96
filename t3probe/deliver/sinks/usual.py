"""What is usual, for runs that can read nothing back: remote write goes one way.

A small file beside the spool holds what a gateway's group would: each leg's round trips, its
baseline, and when it dropped last. It goes on from run to run by the same rules
(`t3probe.deliver.metrics.carry`). Where it is lost, as on a volume in memory, nothing is judged
slow until enough was seen again.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from t3probe.deliver.metrics.carry import CARRIED, DISCONNECTS, RTT, Group, continued
from t3probe.deliver.sinks.spool import SpooledSeries, grouped, listed
from t3probe.exchange.bounds import SPOOL_FILE_BYTES
from t3probe.exchange.files import clear, read_regular, write_whole


class Usual:
    """The file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> Group | None:
        """What earlier runs left; None when there is nothing that can be read."""
        try:
            content = read_regular(self.file, SPOOL_FILE_BYTES)
            return grouped(msgspec.json.decode(content, type=list[SpooledSeries]), gauges=True)
        except (OSError, ValueError, KeyError, msgspec.MsgspecError, RecursionError):
            return None

    def kept(self, before: Group | None, own: Group) -> Group:
        """What this run leaves to the next one, after `before`."""
        new = {name: own[name] for name in (RTT, DISCONNECTS, *CARRIED) if name in own}
        whole = continued(before or {}, new)
        return {name: whole[name] for name in (RTT, *CARRIED) if name in whole}

    def write(self, group: Group) -> str:
        """Leave it; the end of a sentence when that cannot be done."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            clear(self.file)
            write_whole(self.file, msgspec.json.encode(listed(group)), mode=0o600)
        except OSError as error:
            return f"{self.file} cannot be written ({error.strerror}), so nothing is judged slow"
        return ""
