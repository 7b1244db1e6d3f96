"""From what happened on a leg to its outcome. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from t3probe.config.types import Leg
from t3probe.median import median
from t3probe.observation import AddressTry, Beat, Drop, Outcome, Reason

__all__ = ["Conclusion", "conclude"]


class Conclusion:
    """Outcome, reason and the sentence to show."""

    __slots__ = ("connected", "detail", "outcome", "reason")

    def __init__(
        self, outcome: Outcome, reason: Reason | None, detail: str, connected: bool | None
    ) -> None:
        self.outcome: Outcome = outcome
        self.reason: Reason | None = reason
        self.detail = detail
        self.connected = connected


def conclude(
    leg: Leg,
    beats: Sequence[Beat],
    drops: Sequence[Drop],
    addresses: Sequence[AddressTry],
    *,
    unresolved: str = "",
    collapsed: str = "",
    broken: str = "",
    doubt: tuple[Reason, str] | None = None,
) -> Conclusion:
    """Judge one leg's run.

    `unresolved`, `collapsed` and `broken` are sentences, empty when they did not happen;
    `doubt` is what the newest beat said when it told nothing. Any drop outside our own stalls
    is a failure; what we could not tell is inconclusive, never a pass and never a failure.
    """
    if collapsed:
        return Conclusion("inconclusive", "leg_collapsed", collapsed, None)
    real = [drop for drop in drops if not drop.stalled]
    if real:
        worst = next((drop for drop in real if drop.symptom == "down"), real[0])
        return Conclusion("failed", worst.reason, worst.detail, drops[-1].recovered is not None)
    if drops:
        return Conclusion(
            "inconclusive", "prober_stalled", "we stood still ourselves when it dropped", None
        )
    if broken:
        return Conclusion("inconclusive", None, broken, None)
    if unresolved and not beats:
        return Conclusion("inconclusive", "resolver_failed", unresolved, None)
    good = [beat for beat in beats if beat.ok]
    if doubt is not None:
        return Conclusion("inconclusive", doubt[0], doubt[1], None)
    if not good:
        return Conclusion("inconclusive", None, "the run ended before the first answer", None)
    tried = [one for one in addresses if not one.skipped]
    answered = sum(one.ok for one in tried)
    if 0 < answered < len(tried) and not leg.any_of:
        silent = next(one for one in tried if not one.ok)
        return Conclusion(
            "degraded",
            silent.reason,
            f"{answered} of {len(tried)} addresses answered; {silent.detail}",
            True,
        )
    if leg.rtt_limit is not None:
        middle = median(beat.rtt_seconds for beat in good)
        if middle > leg.rtt_limit:
            return Conclusion(
                "degraded",
                None,
                f"median round trip {middle:.3g} s, limit {leg.rtt_limit:g} s",
                True,
            )
    return Conclusion("passed", None, "", True)
