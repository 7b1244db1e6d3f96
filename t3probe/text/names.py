"""The names that tables make for legs and segments: the one list of how they begin. Pure.

No leg, segment or check of a user's own may begin so: what is called so is judged so.
"""

from __future__ import annotations

UPSTREAM_LEG = "envoy-"
PUBLIC_LEG = "walloff-"
WALLED_LEG = "walled-"
SOURCE_LEG = "source-"
"""Of the check whether a source of upstreams could be read: no leg of the verdict."""
JUMP_LEG = "jump-"
STREAM_LEG = "stream-"
SERVICE_LEGS = ("relay-api", "jump-api", "book")
"""Of the services that know remote rigs: each crosses the segment of its name."""
RELAY_API, JUMP_API, BOOK = SERVICE_LEGS
RELAY, JUMP = "relay", "jump"
SERVICE_SEGMENTS = (RELAY_API, RELAY, JUMP_API, JUMP, BOOK)
CLIENT_LEG = "client-"
INGEST_LEG = "ingest-"
MADE_LEGS = (
    UPSTREAM_LEG,
    PUBLIC_LEG,
    WALLED_LEG,
    SOURCE_LEG,
    JUMP_LEG,
    STREAM_LEG,
    CLIENT_LEG,
    INGEST_LEG,
)

UPSTREAM_SEGMENT = "upstream-"
CARVE_OUT_SEGMENT = "carve-out-"
WALL_SEGMENT = "wall-"
RIG_SEGMENT = "rig-"
STREAM_SEGMENT = "stream-"
MADE_SEGMENTS = (UPSTREAM_SEGMENT, CARVE_OUT_SEGMENT, WALL_SEGMENT, RIG_SEGMENT, STREAM_SEGMENT)


def made_prefix(name: str, made: tuple[str, ...]) -> str:
    """The one of these prefixes with which a name begins; empty without any."""
    return next((one for one in made if name.startswith(one)), "")


def segment_of_upstream(leg: str) -> str:
    """The segment of its own that an upstream's leg crosses last."""
    return UPSTREAM_SEGMENT + leg.removeprefix(UPSTREAM_LEG)


def of_rigs(segment: str) -> bool:
    """Whether a segment is one that `[experiments]` makes."""
    return segment in SERVICE_SEGMENTS or segment.startswith((RIG_SEGMENT, STREAM_SEGMENT))
