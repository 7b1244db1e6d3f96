"""What is to be written to book, and what never. Pure.

Written is only a difference, and only what is sure: nothing of a rig that nobody could tell about,
that is young, in planned downtime, or whose change has not settled. A rig is taken out with a
reason that says by whom; only such a rig is put back, so that a person's maintenance stays. No more
rigs than `max_unavailable` are ever out at once, whoever took them out; what that forbids is
said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from t3probe.upstreams.experiments.condition import RigCondition
from t3probe.upstreams.experiments.events import RigEvents
from t3probe.upstreams.experiments.rigs import Offered

OURS = "t3probe:"
"""With this begins the reason of what we took out."""
_BOOKS_WORDS = re.compile(r"\s*(?:unavailable because\s+)?", re.IGNORECASE)
"""What book itself puts before a reason."""
REASON_CHARACTERS = 200


class AvailabilityWrite(msgspec.Struct, frozen=True):
    """One thing to write to book."""

    rig: str
    resource: str
    available: bool
    reason: str


class Reconciled(msgspec.Struct, frozen=True):
    """What is to be done, and what must not be."""

    writes: tuple[AvailabilityWrite, ...] = ()
    held_back: tuple[str, ...] = ()
    """Rigs that should be taken out and are not, since too many would be out."""


def ours(reason: str) -> bool:
    """Whether a reason says that we took the rig out."""
    return reason[_BOOKS_WORDS.match(reason).end() :].startswith(OURS)  # type: ignore[union-attr]


def reason_of(condition: RigCondition) -> str:
    """Why it is taken out, or put back."""
    issues = [one for one in condition.issues if one != "missing jump"]
    text = f"{OURS} {', '.join(issues) or 'all required streams are active'}"
    return text if len(text) <= REASON_CHARACTERS else text[: REASON_CHARACTERS - 3] + "..."


def reconciled(
    conditions: Sequence[RigCondition],
    events: RigEvents,
    book: Mapping[str, Offered],
    now: float,
    *,
    most: int,
    planned: Mapping[str, str] | None = None,
) -> Reconciled:
    """Compare what is with what book says, `book` by the rig's name. A rig of which book said
    nothing is left alone. `most`: how many may be out (`config.experiments.most_unavailable`);
    `planned`: rigs in planned downtime."""
    planned = planned or {}
    back: list[AvailabilityWrite] = []
    out: list[tuple[float, AvailabilityWrite]] = []
    for one in conditions:
        name = one.rig.name
        said, wanted = book.get(name), events.available(name, now)
        if said is None or wanted is None or said.available == wanted or planned.get(name):
            continue
        write = AvailabilityWrite(name, one.rig.resource, wanted, reason_of(one))
        if wanted:
            if ours(said.reason):
                back.append(write)
        else:
            out.append((events.unavailable_since(name) or 0.0, write))
    # The rooms of those that are put back are free only when they are back: next time.
    room = max(0, most - sum(not one.available for one in book.values()))
    out.sort(key=lambda pair: (pair[0], pair[1].rig))
    taken = [write for _, write in out[:room]]
    return Reconciled((*back, *taken), tuple(sorted(write.rig for _, write in out[room:])))
