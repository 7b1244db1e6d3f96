"""Passing one request on to the next hop, as the edge and the load balancer do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from t3probe.lab.http import Client, Head, HttpApp, HttpError, copy_body, read_head
from t3probe.lab.streams import FaultRule, Pipe, Stream

__all__ = ["Hop", "forward"]

DIAL_SECONDS = 10.0
ANSWER_SECONDS = 30.0


class Hop:
    """A next hop: how to reach it, and the faults that its answers obey."""

    def __init__(self, name: str, dial: Callable[[], Awaitable[Stream]], rule: FaultRule) -> None:
        self.name = name
        self.dial = dial
        self.rule = rule


async def forward(
    app: HttpApp, client: Client, head: Head, hop: Hop, raw: bytes | None = None
) -> bool:
    """Pass a request on and its answer back; whether the client's connection stays.

    `raw` replaces the request head's bytes. A hop that refuses, breaks off or talks nonsense
    gives the app's own 502; one that is silent its 504.
    """
    try:
        far, answer = await _ask(client, head, hop, raw or head.raw)
        length = answer.body(head.method)
    except TimeoutError:
        return await app.respond(client, None, 504, b"Gateway Timeout\n")
    except (OSError, HttpError, asyncio.IncompleteReadError):
        return await app.respond(client, None, 502, b"Bad Gateway\n")
    near = client.stream
    added = answer.with_fields(app.own_fields())
    if answer.status == 101:
        near.writer.write(added)
        await near.writer.drain()
        with contextlib.suppress(OSError):  # a proxy turns a reset upstream into a close
            await Pipe(near, far, hop.rule).run()
        client.ending = "polite"
        return False
    if delay := hop.rule.delay():
        await hop.rule.board.later(delay, hop.rule.delay)
    await hop.rule.board.while_blocked(hop.rule.held_back)
    near.writer.write(added)
    await copy_body(far.reader, near.writer, length)
    await near.writer.drain()
    return head.keep_alive and answer.keep_alive and length is not None


async def _ask(client: Client, head: Head, hop: Hop, raw: bytes) -> tuple[Stream, Head]:
    """Send the request to the hop and read the head of its final answer."""
    far = client.far.get(hop.name)
    if far is None or far.reader.at_eof() or far.writer.is_closing():
        if far:
            far.writer.transport.abort()
            client.writers.remove(far.writer)
        async with asyncio.timeout(DIAL_SECONDS):
            far = await hop.dial()
        client.far[hop.name] = far
        client.writers.append(far.writer)
    far.writer.write(raw)
    await copy_body(client.stream.reader, far.writer, head.body())
    await far.writer.drain()
    async with asyncio.timeout(ANSWER_SECONDS):
        while True:
            answer = await read_head(far.reader)
            if answer is None:
                raise ConnectionResetError(f"{hop.name} closed without an answer")
            if answer.status == 101 or answer.status >= 200:
                return far, answer
