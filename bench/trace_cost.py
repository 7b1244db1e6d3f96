"""What the trace of a run adds to it, in CPU milliseconds and as a ratio to the same without.

Whole runs of the checks with eight legs against the lab, each a process of its own, with and
without a receiver of traces in turn, so that a busy moment of the machine hits both alike. The
figure is the median of the differences. The receiver is a server of this process that counts what
it decodes: the proof that something was sent.

    python bench/trace_cost.py [PAIRS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from push_cost import LEGS, eight_legs
from run_cost import PYTEST, ROOT, measure

from t3probe.lab.process import LabProcess

ASKED_MS = 60.0
PLACE = '\n[delivery.otlp]\nendpoint = "{url}"\n'


class Counts(BaseHTTPRequestHandler):
    """Takes traces and counts their spans."""

    spans = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = ExportTraceServiceRequest.FromString(body)
        Counts.spans += sum(
            len(scope.spans) for one in request.resource_spans for scope in one.scope_spans
        )
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Not into the bench's output."""


@contextmanager
def receiver() -> Iterator[str]:
    """The URL of a receiver on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counts)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as name, receiver() as url, LabProcess() as lab:
        folder = Path(name)
        without = eight_legs(Path(lab.deployment_path).read_text(), folder / "without.toml")
        traced = folder / "traced.toml"
        head, lab_table, tail = without.read_text().partition("[lab]")
        traced.write_text(head + PLACE.format(url=url) + "\n" + lab_table + tail)
        words = [*PYTEST, "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
        words += [str(ROOT / "checks"), "-q", "--hold=1s", "--push"]
        seen = [
            [
                measure([*words, f"--deployment={one}", f"--results={folder / one.stem}"], ROOT)[0]
                for one in (without, traced)
            ]
            for _ in range(pairs + 1)
        ][1:]  # the first pair only warms up
    added = statistics.median(after - before for before, after in seen) * 1000
    base = statistics.median(before for before, _ in seen) * 1000
    each = Counts.spans / (pairs + 1)
    print(f"{len(LEGS)} legs, {pairs} pairs: a run {base:.0f} ms of CPU, its trace adds")
    print(f"{added:.0f} ms (asked: at most {ASKED_MS:g}), {1 + added / base:.3f} times; ", end="")
    print(f"{each:.0f} spans each")
    sys.exit(added > ASKED_MS or not each)


if __name__ == "__main__":
    main()
