"""A file for node_exporter's textfile collector: the sink that needs no server.

It is written beside its place and renamed, so that the collector never reads half a file; the
name beside does not end in `.prom`, so that the collector never reads that one either. Counters
continue from what the file holds. One file has one writer.

A thread writes it (`aside`): a disk that hangs costs neither the push nor the record.

node_exporter: https://github.com/prometheus/node_exporter#textfile-collector
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from t3probe.deliver.metrics import BY_NAME, carry, rendered
from t3probe.deliver.sinks import Batch, Deliver, Receipt
from t3probe.deliver.sinks.aside import Aside
from t3probe.exchange.bounds import TEXTFILE_BYTES, TEXTFILE_SECONDS
from t3probe.exchange.files import TooLargeError, clear, read_regular, write_whole
from t3probe.text.words import span

UPSTREAMS = "t3probe_backend_"
THREAD = "t3probe textfile"
ADVICE = "mend that, or name another file in delivery.textfile"


def sink(file: str | Path, labels: Mapping[str, str]) -> Deliver:
    """The sink for one file. `labels` (the vantage) go onto every series.

    Call it with `opening` at the run's start, then at its end: what had a zero then and was not
    measured stays, with nothing added to it.
    """
    return _Textfile(file, labels).deliver


class _Textfile:
    """One run's dealings with the file."""

    def __init__(self, file: str | Path, labels: Mapping[str, str]) -> None:
        self._file, self._labels = file, labels
        self._zeros: carry.Group = {}
        self._written: carry.Group = {}
        self._busy: Aside[Receipt] | None = None

    def deliver(self, batch: Batch) -> Receipt:
        """Write, within a second. Never raises for what a disk may do."""
        own = carry.labelled(batch.families, self._labels)
        if batch.opening:
            self._zeros = own
        if not batch.correction:
            own = carry.filled(own, self._zeros)
        seconds = (
            TEXTFILE_SECONDS if batch.seconds is None else min(TEXTFILE_SECONDS, batch.seconds)
        )
        if seconds > 0:
            # In order, or old zeros would replace new counts.
            self._busy = Aside(THREAD, lambda: self._tried(own, batch), self._busy)
            done = self._busy.result(seconds)
            if done is not None:
                return done
        return self._failed(f"took longer than {span(seconds)} to write", batch, late=True)

    def _failed(self, problem: str, batch: Batch, *, late: bool = False) -> Receipt:
        what = "the counts of this run are not in it"
        if late:
            what = "whether it took them is not known"
        elif batch.opening:
            what = "no zeros were written"
        elif batch.correction:
            what = "it still tells of a run that ended by itself"
        return Receipt(False, f"{self._file}: {problem}; {what}; {ADVICE}")

    def _tried(self, own: carry.Group, batch: Batch) -> Receipt:
        try:
            return self._continued(Path(os.path.realpath(self._file)), own, batch)
        except OSError as error:
            problem = f"cannot be written: {error.strerror or type(error).__name__}"
        except ValueError as error:  # a path or a label that cannot be
            problem = f"cannot be written: {error}"
        return self._failed(problem, batch)

    def _continued(self, file: Path, own: carry.Group, batch: Batch) -> Receipt:
        if not file.parent.is_dir():
            raise NotADirectoryError(0, f"expected the folder {file.parent}, found none")
        trouble = ""
        if batch.correction:
            whole = {**self._written, **own}
        else:
            there, trouble = _standing(file, own)
            if batch.opening:
                clear(file)
                if not carry.missing(own, there):
                    return Receipt(True, f"{file}: every series is there already", there)
                there, trouble = _standing(file, own, upstreams=True)
            whole = (carry.filled if batch.opening else carry.continued)(there, own)
        # node_exporter is another user.
        write_whole(file, rendered(whole), mode=0o644, sync=True)
        self._written = whole
        number = sum(len(one.series) for one in whole.values())
        known = whole if batch.opening else None
        return Receipt(True, f"{file}: wrote {number} series{trouble}", known)


def _standing(file: Path, own: carry.Group, upstreams: bool = False) -> tuple[carry.Group, str]:
    """What stands in the file, and what to say when that cannot be read.

    The gauges of upstreams, which may be ten thousand, only where they are asked for: nothing
    in them goes on from run to run.
    """
    again = "so its counters begin again at 0"
    try:
        text = read_regular(file, TEXTFILE_BYTES).decode("utf-8")
    except FileNotFoundError:
        return {}, ""
    except PermissionError:
        return {}, f"; what was there may not be read, {again}"
    except TooLargeError:
        return {}, f"; found more than {TEXTFILE_BYTES} bytes there, which are not ours, {again}"
    except UnicodeDecodeError:
        return {}, f"; what was there is no text, {again}"
    if not upstreams:
        lines = text.split("\n")
        text = "\n".join([one for one in lines if not one.startswith(UPSTREAMS)])
    from prometheus_client.parser import text_string_to_metric_families

    try:
        there = carry.standing(text_string_to_metric_families(text), own)
    except Exception as error:  # the parser raises whatever the damage leads to
        return {}, f"; what was there is damaged ({type(error).__name__}), {again}"
    return {name: family for name, family in there.items() if name in BY_NAME}, ""
