"""What programs on the path say of themselves, beside the verdict. Pure.

An opinion is no evidence: nothing here goes into a verdict, a gate or an exit code. It is compared
with the run's verdict only where both are sure: it was the same at the run's start and at its end
and nothing that it counts moved meanwhile, and the run neither contradicts itself nor left the
segment open. What is only degraded agrees with either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from t3probe.observation import OpinionView, RunRecord
from t3probe.verdict.exact.labels import Verdict

OpinionDisagreement = Literal["opinion_only", "probe_only"]
"""The opinion alone, or the probe alone, believes that the segment works."""
OPINION_DISAGREEMENTS: tuple[OpinionDisagreement, ...] = get_args(OpinionDisagreement)

MOST_SHOWN = 64
"""A file names fewer; a record may hold anything."""
_SEGMENT_STATES = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")
_SAYS = {
    "healthy": "calls {} well",
    "degraded": "calls {} well in part",
    "unhealthy": "calls {} broken",
}
_FOUND = {
    "exonerated": "the run clears it",
    "convicted": "the run convicts it",
    "ambiguous": "the run suspects it",
}


class OpinionBeside(NamedTuple):
    """One opinion, and what becomes of it beside the verdict."""

    view: OpinionView
    compared: bool
    """Whether both sides are sure."""
    disagreement: OpinionDisagreement | None
    """None: they agree, or were not compared."""
    label: str
    """That of the segment; empty where the run contradicts itself."""

    @property
    def text(self) -> str:
        """What it says, as a sentence without its full stop."""
        view = self.view
        about = f" ({view.detail})" if view.detail else ""
        if view.opinion not in _SAYS:
            return f"what {view.name} thinks of {view.segment} is not known{about}"
        return f"{view.name} {_SAYS[view.opinion].format(view.segment)}{about}"

    @property
    def beside(self) -> str:
        """What is against it, in words; empty where they do not disagree."""
        return _FOUND[self.label] if self.disagreement else ""

    @property
    def sentence(self) -> str:
        """Both in one, without its full stop."""
        return ", and ".join(filter(None, (self.text, self.beside)))


def label_in(verdict: Verdict, segment: str) -> str:
    """The label that a segment has."""
    found = (one for one in _SEGMENT_STATES if segment in getattr(verdict, one))
    return next(found, "unobserved")


def opinions_beside(run: RunRecord, verdict: Verdict) -> Iterator[OpinionBeside]:
    """Each opinion of a run, in the file's order."""
    for view in run.opinions[:MOST_SHOWN]:
        label = view.label
        if label is None:
            label = "" if verdict.status == "inconsistent" else label_in(verdict, view.segment)
        yield _beside(view, label)


def _beside(view: OpinionView, label: str) -> OpinionBeside:
    sure = view.steady and view.opinion in ("healthy", "unhealthy") and label in _FOUND
    found: OpinionDisagreement | None = None
    if sure and view.opinion == "healthy" and label != "exonerated":
        found = "opinion_only"
    elif sure and view.opinion == "unhealthy" and label == "exonerated":
        found = "probe_only"
    return OpinionBeside(view, sure, found, label)


def opinion_dict(one: OpinionBeside) -> dict[str, object]:
    """The JSON form."""
    view = one.view
    return {
        "name": view.name,
        "segment": view.segment,
        "kind": view.kind,
        "opinion": view.opinion,
        "detail": view.detail,
        "colos": list(view.colos),
        "compared": one.compared,
        "disagreement": one.disagreement,
        "text": one.sentence,
    }
