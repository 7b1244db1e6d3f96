"""The rigs that book offers, which of them are ours, and what they are called. Pure.

Book names resources; each has the stub of its rig's topics and the streams that it needs. The stub
is the rig's name everywhere: in legs, segments and labels. A stream's name goes without the `st-`
that its topic has: topic `spin07-st-video` is the stream `video` of `spin07`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

from t3probe.exchange.bounds import RIG_ENTRY_BYTES, RIG_STREAMS, RIGS
from t3probe.exchange.json_stream import Into, JsonError, JsonStream, NotJsonError, typed
from t3probe.text import showable
from t3probe.text.words import count, listed

STREAM_MARK = "-st-"
"""Stands between a rig's name and a stream's in a topic."""
_NAME = re.compile(r"[a-z0-9_.-]{1,63}")
NAME_FORM = "1 to 63 of a-z, 0-9, dot, - and _"
_NAMED = 3


def rig_of(topic: str) -> str:
    """The rig whose stream has this topic: what stands before the last `-st-`."""
    return topic.rpartition(STREAM_MARK)[0]


class RigStream(msgspec.Struct, frozen=True):
    """One stream of a rig."""

    name: str
    """Without `st-`: `video`."""
    topic: str
    """As relay names it: `spin07-st-video`."""
    required: bool = True
    """Book lists it: without it the rig is not available."""


class Rig(msgspec.Struct, frozen=True):
    """A rig that book offers."""

    name: str
    """The stub of its topics: `spin07`."""
    resource: str
    """What book calls it."""
    streams: tuple[RigStream, ...] = ()
    """Those that book lists."""

    def further(self, topics: Iterable[str]) -> tuple[RigStream, ...]:
        """Its streams among these topics that book does not list."""
        start = f"{self.name}{STREAM_MARK}"
        known = {one.topic for one in self.streams}
        taken = {one.name for one in self.streams}
        found = []
        for topic in sorted(topics):
            if topic in known or rig_of(topic) != self.name:
                continue
            name = topic[len(start) :]
            if name in taken or not _NAME.fullmatch(name):
                continue
            found.append(RigStream(name, topic, required=False))
        return tuple(found[: max(0, RIG_STREAMS - len(self.streams))])


class RigList(msgspec.Struct, frozen=True):
    """The rigs of one answer of book."""

    rigs: tuple[Rig, ...]
    """In the order of their names."""
    left_out: tuple[str, ...] = ()
    """Sentences about what could not be used."""


class BookUnreadError(Exception):
    """An answer of book that cannot be used; `str()` is the end of a sentence."""


class _Resource(msgspec.Struct):
    topic_stub: str
    streams: list[str] | None = None


_RESOURCE = msgspec.json.Decoder(_Resource)


class BookList:
    """Reads the list of all resources while it comes."""

    def __init__(self) -> None:
        self._found: dict[str, _Resource] = {}
        self._unread: list[str] = []
        self._whole = False
        self._object = False
        root = Into(keys=self._key, opened=self._opened, wrong=self._wrong)
        self._stream = JsonStream(root)

    def _opened(self, is_object: bool) -> None:
        self._object = True
        self._found.clear()
        self._unread.clear()

    def _wrong(self) -> None:
        self._object = False

    def _key(self, name: str) -> Callable[[bytes], None]:
        def take(raw: bytes) -> None:
            found = typed(raw, _RESOURCE) if len(raw) <= RIG_ENTRY_BYTES else None
            if found is None:
                self._unread.append(name)
            else:
                self._found[name] = found

        return take

    def feed(self, piece: bytes) -> None:
        """Read a piece. Raises BookUnreadError."""
        try:
            self._stream.feed(piece)
        except JsonError as error:
            raise _unread(error) from None

    def close(self, only: Sequence[str] = ()) -> RigList:
        """The rigs; `only`: those whose names match one of these patterns. Raises
        BookUnreadError."""
        try:
            self._stream.close()
        except JsonError as error:
            raise _unread(error) from None
        if not self._object:
            raise BookUnreadError("answers with something that is no map of resources")
        if self._unread and not self._found:
            raise BookUnreadError("answers with resources of which none can be read")
        return self._rigs(only)

    def _rigs(self, only: Sequence[str]) -> RigList:
        rigs: dict[str, Rig] = {}
        topics: dict[str, str] = {}
        unfit, twice, cut, clash = [], [], [], []
        for resource in sorted(self._found):
            one = self._found[resource]
            stub = one.topic_stub
            if only and not any(fnmatchcase(stub, pattern) for pattern in only):
                continue
            if not _NAME.fullmatch(stub):
                unfit.append(stub)
                continue
            if stub in rigs:
                twice.append(resource)
                continue
            streams: dict[str, RigStream] = {}
            for stream in dict.fromkeys(one.streams or ()):
                name = stream.removeprefix("st-")
                name = stream if name in streams or not name else name
                topic = f"{stub}-{stream}"
                if not _NAME.fullmatch(name):
                    unfit.append(topic)
                elif topic in topics:
                    clash.append(topic)
                elif len(streams) >= RIG_STREAMS:
                    cut.append(topic)
                else:
                    topics[topic] = stub
                    streams[name] = RigStream(name, topic)
            rigs[stub] = Rig(stub, resource, tuple(streams.values()))
        names = sorted(rigs)
        said = [
            _said(self._unread, "resource", "cannot be read"),
            _said(unfit, "name", f"{{is}} not {NAME_FORM}"),
            _said(twice, "resource", "{has} the topics of another one"),
            _said(clash, "topic", "{is} also another rig's"),
            _said(cut, "stream", f"{{is}} beyond the {RIG_STREAMS} of one rig"),
            _said(names[RIGS:], "rig", f"{{is}} beyond the first {RIGS}"),
        ]
        return RigList(tuple(rigs[one] for one in names[:RIGS]), tuple(one for one in said if one))


def _said(names: Sequence[str], what: str, why: str) -> str:
    """`2 names are not ..., and were left out: A, B`; empty without any."""
    if not names:
        return ""
    many = len(names) > 1
    why = why.replace("{is}", "are" if many else "is").replace("{has}", "have" if many else "has")
    shown = listed([showable(one, 60) for one in names], _NAMED)
    return f"{count(len(names), what)} {why} and {'were' if many else 'was'} left out: {shown}"


def _unread(error: JsonError) -> BookUnreadError:
    what = "something that is not JSON" if isinstance(error, NotJsonError) else str(error)
    return BookUnreadError(f"answers with {what}")


class _Availability(msgspec.Struct):
    available: bool
    reason: str = ""


_AVAILABILITY = msgspec.json.Decoder(_Availability)


class Offered(msgspec.Struct, frozen=True):
    """Whether book offers a resource."""

    available: bool
    reason: str = ""
    """Book's words; of an available one mostly empty."""


def offered(body: bytes) -> Offered:
    """Book's answer about one resource. Raises BookUnreadError."""
    try:
        found = typed(body, _AVAILABILITY)
    except NotJsonError:
        found = None
    if found is None:
        raise BookUnreadError("answers with something that says no availability")
    return Offered(found.available, found.reason)
