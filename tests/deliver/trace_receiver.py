"""A real receiver of traces, oteltap, in this process and on loopback only."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def needs_receiver() -> None:
    """Skip where oteltap is not installed; in CI that is a failure."""
    try:
        import oteltap  # noqa: F401
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("oteltap is not installed: make setup")


class Receiver:
    """What came, as the receiver hands it out: its own messages, decoded by itself."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[Any] = []
        self._more = threading.Condition()

    def put(self, span: Any) -> None:
        with self._more:
            self.spans.append(span)
            self._more.notify_all()

    def wait(self, many: int, seconds: float = 20.0) -> list[Any]:
        """The spans, once there are so many."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.spans) >= many, seconds), self.spans
            return list(self.spans)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs; skips the test where there is none to be had."""
    needs_receiver()
    from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

    one = Receiver(free_port())
    up, over = threading.Event(), threading.Event()
    problems: list[BaseException] = []

    async def run() -> None:
        settings = OtelTapHttpProtobufReceiverSettings(
            http_port=one.port, listen_on_all_interfaces=False
        )
        async with OtelTapHttpProtobufReceiver(settings) as tap:
            up.set()

            async def read() -> None:
                async for span in tap.stream_traces():
                    one.put(span)

            reading = asyncio.create_task(read())
            await asyncio.to_thread(over.wait)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            problems.append(error)
            up.set()

    thread = threading.Thread(target=main, name="oteltap")
    thread.start()
    try:
        assert up.wait(20)
        if problems:
            raise problems[0]
        yield one
    finally:
        over.set()
        thread.join(20)


def attributes(message: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a resource as plain values."""
    found: dict[str, Any] = {}
    for one in message.attributes:
        value = getattr(one.value, one.value.WhichOneof("value"))
        if one.value.HasField("array_value"):
            value = [item.string_value for item in value.values]
        found[one.key] = value
    return found


if __name__ == "__main__":
    with receiving() as tap:
        print(tap.url, flush=True)
        sys.stdin.read()
        for span in tap.spans:
            print(span.name, span.start_time_unix_nano, span.end_time_unix_nano, attributes(span),
                  len(span.events), span.status.code)  # fmt: skip
