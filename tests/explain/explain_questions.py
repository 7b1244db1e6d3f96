"""What is asked about the three hours, and what must be answered."""

from __future__ import annotations

from dataclasses import dataclass, field

from explain_history import at


@dataclass(frozen=True)
class Asked:
    """A question and its answer, from records as from metrics."""

    name: str
    minute: float
    second: float
    finding: str
    blamed: tuple[str, ...] = ()
    """Convicted, or the suspects of which one broke."""
    uncleared: tuple[str, ...] = ()
    legs: dict[str, str] = field(default_factory=dict)
    """What some legs were then."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long some legs were looked at."""
    drops: dict[str, int] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    @property
    def time(self) -> str:
        """Unix seconds, as the command line takes them."""
        return str(int(at(self.minute, self.second)))


QUESTIONS = (
    Asked(
        "clean", 10, 10, "last_mile", legs={"cloudflare": "clean"}, seconds={"cloudflare": 70},
        drops={"cloudflare": 0},
    ),
    Asked(
        "the CDN is down", 32, 0, "ours", ("cf-edge",), drops={"cloudflare": 2, "internal": 0},
        legs={"cloudflare": "down", "edge": "down", "internal": "clean", "egress": "clean"},
    ),
    Asked(
        "the CDN's first minute", 29, 30, "ours", ("cf-edge",), drops={"cloudflare": 1},
        legs={"cloudflare": "down", "walloff-probe": "too little"},
    ),
    Asked(
        "after the CDN came back", 38, 0, "last_mile",
        legs={"cloudflare": "clean"}, seconds={"cloudflare": 70},
    ),
    Asked(
        "the tunnel cuts one connection", 45, 20, "ours", ("tunnel",), drops={"cloudflare": 1},
        legs={"cloudflare": "dropped", "internal": "clean", "edge": "clean"},
    ),
    Asked(
        "both WebSocket legs together", 61, 5, "ours", ("dispatch",),
        legs={"cloudflare": "down", "internal": "down", "dispatch": "down", "devvm": "clean"},
    ),
    Asked(
        "all that leaves the network is cut", 70, 30, "ours_one_of", ("wan", "cf-edge"),
        legs={"edge": "dropped", "resolver": "dropped", "internal": "clean"},
    ),
    Asked(
        "a spike of serve", 80, 20, "ours", ("serve",), drops={"t3serve": 1},
        legs={"t3serve": "dropped", "cloudflare": "clean", "devvm": "clean"},
    ),
    Asked("no runs at all", 105, 0, "not_observed", words=(
        "We were not looking", "the run before it ended at 11:39:36",
        "the next one began at 11:50:00",
    )),
    Asked(
        "the last run before the silence", 99, 30, "unclear",
        seconds={"cloudflare": 41}, legs={"cloudflare": "too little"},
    ),
    Asked(
        "a pause between two runs", 10, 48, "not_observed",
        seconds={"cloudflare": 70}, legs={"cloudflare": "not then"}, drops={"cloudflare": 0},
        words=("We were not looking at", "the run before it ended at 10:10:3",
               "the next one began at 10:11:00"),
    ),
    Asked(
        "runs that were cut short", 121, 0, "unclear",
        seconds={"cloudflare": 16}, legs={"cloudflare": "too little"},
        words=("ended early",),
    ),
    Asked(
        "the prober stood still", 131, 0, "not_observed",
        legs={"cloudflare": "told nothing"}, seconds={"cloudflare": 0},
        words=("stood still for up to 12.5 s",),
    ),
    Asked(
        "half of it while the prober stood still", 132, 0, "unclear",
        legs={"cloudflare": "too little"}, seconds={"cloudflare": 35},
    ),
    Asked(
        "the gateway has just lost everything", 141, 0, "last_mile",
        seconds={"cloudflare": 70}, drops={"cloudflare": 0},
    ),
    Asked(
        "drops counted from 0 again", 142, 20, "ours", ("traefik",), drops={"cloudflare": 1},
        legs={"cloudflare": "dropped", "traefik": "dropped", "devvm": "clean"},
    ),
    Asked(
        "a leg that collapsed", 156, 10, "unclear", uncleared=("tunnel",),
        legs={"cloudflare": "told nothing", "internal": "clean", "edge": "clean"},
        words=("cloudflare told nothing (",),
    ),
    Asked("the last minutes", 178, 0, "last_mile", seconds={"cloudflare": 70}),
)  # fmt: skip
