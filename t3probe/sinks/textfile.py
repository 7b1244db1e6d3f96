"""A file for node_exporter's textfile collector: the sink that needs no server.

It is written beside its place and renamed, so that the collector never reads half a file; the
name beside does not end in `.prom`, so that the collector never reads that one either. Counters
continue from what the file holds. One file has one writer.

node_exporter: https://github.com/prometheus/node_exporter#textfile-collector
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from t3probe import metrics
from t3probe.sinks import Batch, Deliver, Report

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["MAX_FILE_BYTES", "sink"]

MAX_FILE_BYTES = 64 << 20
"""A larger file is not ours: ten thousand upstreams make 2 MB."""
ADVICE = "mend that, or name another file in delivery.textfile"


def sink(file: str | Path, labels: Mapping[str, str]) -> Deliver:
    """The sink for one file. `labels` (the vantage) go onto every series."""

    def deliver(batch: Batch) -> Report:
        try:
            return _deliver(Path(os.path.realpath(file)), labels, batch)
        except OSError as error:
            problem = f"cannot be written: {error.strerror or type(error).__name__}"
        except ValueError as error:  # a path or a label that cannot be
            problem = f"cannot be written: {error}"
        what = "no zeros were written" if batch.opening else "the counts of this run are not in it"
        return Report(False, f"{file}: {problem}; {what}; {ADVICE}")

    return deliver


def _deliver(file: Path, labels: Mapping[str, str], batch: Batch) -> Report:
    if not file.parent.is_dir():
        raise NotADirectoryError(0, f"expected the folder {file.parent}, found none")
    there, trouble = _read(file)
    families = metrics.labelled(batch.families, labels)
    if batch.opening:
        if not metrics.missing(there, families):
            return Report(True, f"{file}: every series is there already")
        families = metrics.filled(there, families)
    else:
        families = metrics.continued(families, metrics.series(there))
    _write(file, metrics.exposition(families))
    number = sum(len(one.samples) for one in families)
    return Report(True, f"{file}: wrote {number} series{trouble}")


def _read(file: Path) -> tuple[list[Metric], str]:
    """What the file holds, and what to say when that cannot be read."""
    again = "so its counters begin again at 0"
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FileExistsError(0, "expected a regular file, found something else")
        if found.st_size > MAX_FILE_BYTES:
            return [], f"; found {found.st_size} bytes there, which are not ours, {again}"
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return [], ""
    except PermissionError:
        return [], f"; what was there may not be read, {again}"
    except UnicodeDecodeError:
        return [], f"; what was there is no text, {again}"
    try:
        return _parsed(text), ""
    except Exception as error:  # the parser raises whatever the damage leads to
        return [], f"; what was there is damaged ({type(error).__name__}), {again}"


def _parsed(text: str) -> list[Metric]:
    from prometheus_client.parser import text_string_to_metric_families

    return _ours(text_string_to_metric_families(text))


def _ours(families: Iterable[Metric]) -> list[Metric]:
    known = {name.removesuffix("_total") for name in metrics.BY_NAME}
    return [one for one in families if one.name in known]


def _write(file: Path, content: bytes) -> None:
    """Beside, then renamed. Raises OSError, and leaves nothing behind when it does."""
    handle, beside = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".partial", dir=file.parent)
    try:
        with open(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            # node_exporter is another user; mkstemp lets only ours read.
            os.fchmod(stream.fileno(), 0o644)
            # Some file systems rename before the content is there; a power cut then leaves
            # an empty file, and every counter would begin again.
            os.fsync(stream.fileno())
        os.replace(beside, file)
    except BaseException:
        os.unlink(beside)
        raise
