"""The tools: their arguments checked, their answers bounded in time and size."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec

from t3probe.ask.mcp_server.answers import (
    AnswerPart,
    DropAnswer,
    ExperimentsAnswer,
    HealthAnswer,
    LegsAnswer,
    NothingToTellError,
    VerdictAnswer,
    fitted,
    short,
)
from t3probe.ask.mcp_server.drop import DropSources, explained
from t3probe.ask.mcp_server.of_group import OfGroup, read_gateway
from t3probe.ask.mcp_server.of_run import OfRun, RunFiles
from t3probe.deliver.sinks.gateway import Gateway
from t3probe.exchange.client import Budget
from t3probe.text import cut, plain
from t3probe.text.words import span
from t3probe.timing import Clock

ROWS = 200
"""How many upstreams or legs an answer lists."""
CALL_SECONDS = 25.0
READ_SECONDS = 15.0
AT_ONCE = 4
"""Questions answered at the same time; others wait."""


class ToolError(Exception):
    """A tool cannot answer; one sentence for the assistant."""


class _Arguments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    pass


class _Nothing(_Arguments, kw_only=True):
    """No arguments."""


class _Health(_Arguments, kw_only=True):
    """Which upstreams to list."""

    unreachable_only: Annotated[
        bool, msgspec.Meta(description="list only those that cannot be reached")
    ] = False


_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Drop(_Arguments, kw_only=True):
    """When somebody dropped, and who."""

    at: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=100,
            description="when: 14:03, '14:03 Europe/Berlin', 'Fri 14:03', 2026-11-21T14:03:20Z, "
            "'yesterday 14:03', '2 h 10 min ago', Unix seconds, or as a log writes it",
        ),
    ]
    users: Annotated[
        list[_Name],
        msgspec.Meta(max_length=50, description="names of those who dropped at once"),
    ] = []
    window: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=40, description="how far to look to either side: 1s to 1h"
        ),
    ] = "60s"


class Tool(NamedTuple):
    """A tool as clients see it."""

    name: str
    title: str
    description: str
    arguments: type[_Arguments]
    answer: type[AnswerPart]


TOOLS = (
    Tool(
        "query_backend_health",
        "Backend health",
        "Envoy's upstreams as the last run's own TCP connects found them, beside Envoy's opinion "
        "and where the two disagree; the worst first, 200 at most. Check source.age_seconds.",
        _Health,
        HealthAnswer,
    ),
    Tool(
        "query_legs",
        "Legs",
        "Every leg (a route over named segments) of the last run: outcome, reason, drops, round "
        "trips; the worst first. Check source.age_seconds.",
        _Nothing,
        LegsAnswer,
    ),
    Tool(
        "query_verdict",
        "Verdict",
        "Which segments of the path the last run convicts, suspects, clears or could not see, and "
        "its incidents. Only a convicted segment is known to be broken. Check source.age_seconds.",
        _Nothing,
        VerdictAnswer,
    ),
    Tool(
        "query_experiments",
        "Experiments",
        "The rigs of a remote laboratory as the last run found them: whether each can be used, its "
        "streams and its log-in channel; the unhealthy ones first. Check source.age_seconds.",
        _Nothing,
        ExperimentsAnswer,
    ),
    Tool(
        "explain_drop",
        "Explain a drop",
        "What broke when a person's connection dropped at a given time: our side (which segment), "
        "their last mile, or not known; with a sentence to send back.",
        _Drop,
        DropAnswer,
    ),
)


def input_schema(tool: Tool) -> dict[str, Any]:
    """JSON Schema of a tool's arguments."""
    return _schema(tool.arguments)


def output_schema(tool: Tool) -> dict[str, Any]:
    """JSON Schema of a tool's answer."""
    return _schema(tool.answer)


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """An object at its root, as the protocol wants it."""
    _, parts = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    root: dict[str, Any] = parts.pop(kind.__name__)
    root.pop("title", None)
    return {**root, "$defs": parts} if parts else root


@dataclass(frozen=True)
class Sources:
    """Where answers come from. A gateway, when there is one, answers all but `explain_drop`."""

    runs: RunFiles | None
    gateway: Gateway | None
    drop: DropSources
    gloss: Mapping[str, str]
    """What the deployment file adds to the names of segments, for a gateway, whose metrics do not
    tell."""


class Toolbox:
    """Answers questions, each in a thread of its own: files and sites may be slow."""

    def __init__(
        self,
        sources: Sources,
        clock: Clock,
        environ: Mapping[str, str],
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._sources, self._clock, self._environ = sources, clock, environ
        self._call_seconds = call_seconds
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def call(self, name: str, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        """The answer as plain data. Raises ToolError, and LookupError for an unknown tool."""
        tool = next((one for one in TOOLS if one.name == name), None)
        if tool is None:
            raise LookupError(
                f"expected one of {', '.join(one.name for one in TOOLS)}, found {short(name, 60)!r}"
            )
        asked = _checked(tool, arguments)
        try:
            async with asyncio.timeout(self._call_seconds):
                return await self._threaded(lambda: self._answer(tool, asked))
        except TimeoutError as error:
            raise ToolError(
                f"{tool.name}: no answer within {span(self._call_seconds)}; ask again in a while"
            ) from error

    async def _threaded(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `work` returns. Its thread never holds up the end of the process; one that takes
        too long keeps its slot until it is done."""
        loop = asyncio.get_running_loop()
        await self._slots.acquire()
        done: asyncio.Future[dict[str, Any]] = loop.create_future()

        def over(answer: dict[str, Any] | None, error: Exception | None) -> None:
            self._slots.release()
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(answer or {})

        def run() -> None:
            answer: dict[str, Any] | None = None
            failed: Exception | None = None
            try:
                answer = work()
            except Exception as error:
                failed = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(over, answer, failed)

        threading.Thread(target=run, daemon=True, name="t3probe mcp").start()
        return await done

    def _answer(self, tool: Tool, asked: _Arguments) -> dict[str, Any]:
        budget = Budget(self._clock, READ_SECONDS)
        try:
            told = self._told(tool, asked, budget)
            answer: dict[str, Any] = msgspec.to_builtins(told)
            return fitted(answer, ROWS)
        except NothingToTellError as error:
            raise ToolError(f"{tool.name}: {cut(plain(str(error), ascii=False), 600)}") from error
        except Exception as error:
            # A fault of ours must not end the server, nor show an assistant its insides.
            print(f"t3probe: mcp: {tool.name}: {_where(error)}", file=sys.stderr, flush=True)
            raise ToolError(
                f"{tool.name}: cannot answer, because of an unforeseen {type(error).__name__}; "
                "t3probe verdict or t3probe explain on the same source may say more"
            ) from error

    def _told(self, tool: Tool, asked: _Arguments, budget: Budget) -> AnswerPart:
        if isinstance(asked, _Drop):
            return explained(
                self._sources.drop, asked.at, asked.users, asked.window,
                clock=self._clock, environ=self._environ, budget=budget,
            )  # fmt: skip
        newest: OfRun | OfGroup
        if self._sources.gateway is not None:
            newest = read_gateway(self._sources.gateway, budget, self._sources.gloss)
            source = newest.source(self._clock.wall(), isinstance(asked, _Health))
        else:
            assert self._sources.runs is not None
            newest, notes = self._sources.runs.newest(budget)
            source = newest.source(self._clock.wall(), notes)
        if isinstance(asked, _Health):
            return newest.health(source, asked.unreachable_only)
        if tool.answer is ExperimentsAnswer:
            return newest.experiments(source)
        return newest.legs(source) if tool.answer is LegsAnswer else newest.verdict(source)


def _checked(tool: Tool, arguments: Mapping[str, Any] | None) -> _Arguments:
    """The arguments, by the tool's schema. Raises ToolError."""
    try:
        return msgspec.convert(dict(arguments or {}), tool.arguments)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError) as error:
        raise ToolError(
            f"{tool.name}: expected arguments by the tool's input schema, found another: "
            f"{short(error, 200)}"
        ) from error


def _where(error: Exception) -> str:
    """An unforeseen error on one line, for those who mend it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
    return f"unforeseen {type(error).__name__} ({short(error, 200)}){place}"
