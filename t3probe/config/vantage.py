"""Which legs can be run from where."""

from __future__ import annotations

from .errors import did_you_mean, quote
from .types import Deployment, Leg

__all__ = ["legs_for"]


def legs_for(deployment: Deployment, vantage: str = "") -> tuple[tuple[Leg, ...], str]:
    """The legs that run from `vantage` (empty: the deployment's own), and a warning or "".

    A leg that names no vantage runs from everywhere; without any vantage stated, every leg
    runs. The warning says that no leg is left, or that an unknown vantage looks like a
    misspelled one.
    """
    vantage = vantage or deployment.vantage
    if not vantage:
        return deployment.legs, ""
    legs = tuple(leg for leg in deployment.legs if not leg.vantages or vantage in leg.vantages)
    known = dict.fromkeys(name for leg in deployment.legs for name in leg.vantages)
    if vantage in known:
        return legs, ""
    hint = did_you_mean(vantage, known)
    if not legs:
        otherwise = f"the legs name {', '.join(known)}"
        return legs, f"vantage {quote(vantage)}: no leg can be run from it; {hint or otherwise}"
    if hint:
        return legs, f"vantage {quote(vantage)}: no leg names it; {hint}"
    return legs, ""
