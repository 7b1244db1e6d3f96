"""The evenings of a person: what happens, and what the answer must be. Written before any was run.

Times are scaled: the page beats every 0.5 s and gives an answer up after 3 s, as our legs do. Each
act has its moment in seconds after the page and all legs work. `asked` is what the person says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["EVENINGS", "Act", "Evening"]

Verb = Literal[
    "ours", "home", "offline", "online", "sleep", "wake", "freeze", "thaw",
    "away", "back", "busy", "set clock", "network", "open",
]  # fmt: skip
"""`ours`: faults of the lab, in place of those before; `home`: of the person's last mile."""
Finding = Literal[
    "ours", "ours_one_of", "both", "last_mile", "their_device", "their_edge", "no_drop", "unclear"
]


@dataclass(frozen=True)
class Act:
    """Something that happens."""

    at: float
    verb: Verb
    what: str | float = ""
    """The faults, with spaces between them; how many seconds; which network."""


@dataclass(frozen=True)
class Evening:
    """What happens to one person, and what we then have to say."""

    name: str
    acts: tuple[Act, ...]
    asked: float
    """When it was, by the person."""
    finding: Finding
    accused: frozenset[str] = frozenset()
    """The segments of ours that are convicted, or of which one broke."""
    proven: bool = False
    """The last mile, and not by elimination."""
    drops: int | None = 1
    """How many the page saw; None: chance decides, or it was not open."""
    suspends: bool = False
    """The device's monotonic clock stands still while it sleeps."""
    clock: float = 0.0
    """By how much the device's clock is wrong from the beginning, in seconds."""
    colo: str = ""
    """The place of the CDN that the page meets, where it is not the one of our legs."""
    late: bool = False
    """The page is opened by an act."""
    back: bool = True
    """The page is connected in the end."""

    @property
    def key(self) -> str:
        """What a test is called."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def seconds(self) -> float:
        """From its beginning to the end of the last act."""
        return max(one.at + (float(one.what) if one.verb == "busy" else 0.0) for one in self.acts)


def ours(fault: str, *more: str, lasts: float = 0.0, at: float = 1.0) -> tuple[Act, ...]:
    """A fault of ours; `lasts` 0: it is over at once by itself."""
    began = Act(at, "ours", " ".join((fault, *more)))
    return (began, Act(at + lasts, "ours")) if lasts else (began,)


def home(fault: str, *, lasts: float = 0.0, at: float = 1.0) -> tuple[Act, ...]:
    """A fault of the person's last mile."""
    began = Act(at, "home", fault)
    return (began, Act(at + lasts, "home")) if lasts else (began,)


def offline(lasts: float = 5.0, at: float = 1.0) -> tuple[Act, ...]:
    """For longer than an answer is awaited: Chromium keeps what is open, and hands it on later."""
    return (Act(at, "offline"), Act(at + lasts, "online"))


def sleep(lasts: float = 6.0, at: float = 1.0) -> tuple[Act, ...]:
    return (Act(at, "sleep"), Act(at + lasts, "wake"))


def evening(
    name: str, *acts: Act, asked: float, finding: Finding, accused: str = "", **more: object
) -> Evening:
    return Evening(name, tuple(sorted(acts, key=lambda one: one.at)), asked, finding,
                   frozenset(accused.split()), **more)  # type: ignore[arg-type]  # fmt: skip


CUT = "wan:cut@0s"
DARK = "wan:blackhole"

_SLEEP = (
    evening(
        "sleep, and the CDN ends what is silent",
        *ours("cf-edge:idle:2s"),
        *sleep(at=1.5),
        Act(8, "ours"),
        asked=5,
        finding="their_device",
        suspends=True,
    ),
    evening(
        "sleep, and the router forgets the connection",
        *sleep(),
        *home(CUT, at=4),
        asked=4,
        finding="their_device",
        suspends=True,
    ),
    evening(
        "sleep, and nothing ends", *sleep(), asked=4, finding="no_drop", drops=0, suspends=True
    ),
    evening(
        "sleep, too short to lose anything, and the router cuts",
        *sleep(3),
        *home(CUT, at=2),
        asked=2.5,
        finding="last_mile",
        proven=True,
        suspends=True,
    ),
    evening(
        "sleep, and our tunnel is cut meanwhile",
        *sleep(),
        *ours("tunnel:cut@0s", at=4),
        asked=4,
        finding="both",
        accused="tunnel",
        suspends=True,
    ),
    evening(
        "sleep, then awake, then our tunnel is cut",
        *sleep(),
        *ours("tunnel:cut@0s", at=10),
        asked=10,
        finding="ours",
        accused="tunnel",
        suspends=True,
    ),
    evening(
        "a device so busy that the page stood still, and the router cuts",
        *sleep(3),
        *home(CUT, at=2),
        asked=2.5,
        finding="last_mile",
        proven=True,
    ),
)

_BROWSER = (
    evening(
        "the browser freezes the page for long", Act(1, "freeze"), Act(7, "thaw"),
        asked=4, finding="their_device",
    ),
    evening(
        "the browser freezes the page for a moment", Act(1, "freeze"), Act(3, "thaw"),
        asked=2, finding="their_device",
    ),
    evening(
        "frozen, thawed, then our tunnel is cut", Act(1, "freeze"), Act(3, "thaw"),
        *ours("tunnel:cut@0s", at=8), asked=8, finding="ours", accused="tunnel", drops=2,
    ),
    evening("in the background, and nothing ends", Act(1, "away"), Act(7, "back"),
            asked=4, finding="no_drop", drops=0),
    evening(
        "in the background, and our tunnel is cut", Act(1, "away"), *ours("tunnel:cut@0s", at=4),
        Act(7, "back"), asked=4, finding="ours", accused="tunnel",
    ),
    evening(
        "in the background, and the router cuts", Act(1, "away"), *home(CUT, at=4), Act(7, "back"),
        asked=4, finding="last_mile", proven=True,
    ),
    evening("busy, and nothing ends", Act(1, "busy", 3.0), asked=2.5, finding="no_drop", drops=0),
    evening(
        "busy for longer than the watchdog has patience", Act(1, "busy", 6.0),
        asked=4, finding="no_drop", drops=0,
    ),
    evening(
        "busy, and our tunnel is cut meanwhile", Act(1, "busy", 3.0),
        *ours("tunnel:cut@0s", at=2), asked=2.5, finding="ours", accused="tunnel",
    ),
)  # fmt: skip

_NETWORK = (
    evening("offline", *offline(), asked=2.5, finding="their_device"),
    evening("offline, and so it stays", Act(1, "offline"), asked=2, finding="their_device",
            back=False),
    evening(
        "offline, and our tunnel is down meanwhile", *offline(7),
        *ours("tunnel:blackhole", at=2, lasts=5), asked=4, finding="both", accused="tunnel",
    ),
    evening(
        "offline, and later our tunnel is cut", *offline(4), *ours("tunnel:cut@0s", at=9),
        asked=9, finding="ours", accused="tunnel", drops=2,
    ),
    evening(
        "our tunnel is cut, and later offline", *ours("tunnel:cut@0s"), *offline(4, at=8),
        asked=9, finding="their_device", drops=2,
    ),
    evening("another network", Act(1, "network", "cellular"), *home(CUT, at=1.1),
            asked=1, finding="their_device"),
    evening("another network, and nothing ends", Act(1, "network", "cellular"),
            asked=1, finding="no_drop", drops=0),
    evening(
        "another network, and later our tunnel is cut", Act(1, "network", "cellular"),
        *ours("tunnel:cut@0s", at=5), asked=5, finding="ours", accused="tunnel",
    ),
)  # fmt: skip

_HOME = (
    evening("the router is dark", *home(DARK, lasts=7), asked=3, finding="last_mile",
            proven=True),
    evening("the router cuts", *home(CUT), asked=1, finding="last_mile", proven=True),
    evening("the router cuts twice", *home(CUT), *home(CUT, at=5), asked=5, finding="last_mile",
            proven=True, drops=2),
    evening("the router is slow", *home("wan:slow:300ms", lasts=4), asked=3, finding="no_drop",
            drops=0),
    evening(
        "the router is dark, and later our tunnel is cut", *home(DARK, lasts=7),
        *ours("tunnel:cut@0s", at=14), asked=14, finding="ours", accused="tunnel", drops=2,
    ),
    evening(
        "our balancer refuses, and later the router is dark", *ours("traefik:drain", lasts=2),
        *home(DARK, at=8, lasts=5), asked=10, finding="last_mile", proven=True, drops=2,
    ),
    evening("at another place of the CDN, which is dark", *home(DARK, lasts=7), asked=3,
            finding="their_edge", colo="AMS"),
    evening("at another place of the CDN, and our tunnel is cut", *ours("tunnel:cut@0s"), asked=1,
            finding="ours", accused="tunnel", colo="AMS"),
)  # fmt: skip

_OURS = (
    evening("the CDN is dark", *ours("cf-edge:blackhole", lasts=5), asked=3, finding="ours",
            accused="cf-edge"),
    evening("our tunnel is cut", *ours("tunnel:cut@0s"), asked=1, finding="ours",
            accused="tunnel"),
    evening("our tunnel is dark", *ours("tunnel:blackhole", lasts=5), asked=3, finding="ours",
            accused="tunnel"),
    evening("our tunnel ends", *ours("tunnel:exit", lasts=3), asked=2, finding="ours",
            accused="tunnel"),
    evening("our balancer takes nobody in", *ours("traefik:drain", lasts=3), asked=2.5,
            finding="ours", accused="traefik"),
    evening("our balancer is dark", *ours("traefik:blackhole", lasts=5), asked=3,
            finding="ours", accused="traefik"),
    evening("the sign-on is in the way", *ours("carve-out:sso", lasts=3), asked=2.5,
            finding="ours", accused="carve-out"),
    evening("our machine is dark", *ours("devvm:blackhole", lasts=5), asked=3, finding="ours",
            accused="devvm"),
    evening("dispatch ends", *ours("dispatch:exit", lasts=3), asked=2, finding="ours",
            accused="dispatch"),
    evening("dispatch is silent", *ours("dispatch:stall", lasts=5), asked=3, finding="ours",
            accused="dispatch"),
    evening("dispatch echoes something else", *ours("dispatch:wrong-echo", lasts=3), asked=2,
            finding="ours", accused="dispatch"),
    evening("serve ends, which the page does not need", *ours("serve:exit", lasts=3), asked=2,
            finding="ours", accused="serve", drops=0),
    evening("a resolver of ours is dark, which nobody needs", *ours("doh:blackhole:1", lasts=4),
            asked=2.5, finding="no_drop", drops=0),
)  # fmt: skip

_CLOCK = (
    evening("the clock is set by an hour", Act(1, "set clock", 3600.0), asked=1,
            finding="no_drop", drops=0),
    evening("the clock is set back, then our tunnel is cut", Act(1, "set clock", -120.0),
            *ours("tunnel:cut@0s", at=5), asked=5, finding="ours", accused="tunnel"),
    evening("the clock is set forward, then the router cuts", Act(1, "set clock", 600.0),
            *home(CUT, at=5), asked=5, finding="last_mile", proven=True),
    evening("a clock that is wrong, and our tunnel is cut", *ours("tunnel:cut@0s", at=3), asked=3,
            finding="ours", accused="tunnel", clock=-47.0),
    evening("a clock that is wrong, and offline", *offline(), asked=2.5, finding="their_device",
            clock=3600.0),
)  # fmt: skip

_LATE = (
    evening("opened after our tunnel was dark", *ours("tunnel:blackhole", lasts=5), Act(9, "open"),
            asked=3, finding="ours", accused="tunnel", drops=0, late=True),
    evening("opened only after the router was dark", *home(DARK, lasts=5), Act(9, "open"), asked=3,
            finding="last_mile", drops=0, late=True),
)  # fmt: skip

EVENINGS = (*_SLEEP, *_BROWSER, *_NETWORK, *_HOME, *_OURS, *_CLOCK, *_LATE)
