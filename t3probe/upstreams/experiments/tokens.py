"""The tokens that relay, jump and book take: JWT (RFC 7519), HS256, short-lived.

The audience is the service's base URL, exactly as it knows itself. There is no leeway on the other
side, so a token is made a little in the past: a clock that runs ahead of the service's by less is
no matter.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Literal, cast

from t3probe.text import keep_lent
from t3probe.timing import Clock

Audience = Literal["relay", "jump", "book"]

BACKDATED_SECONDS = 30
LIFE_SECONDS = 600
RENEWED_SECONDS = 120
"""A token is used until so long before its end."""
CLAIMS: dict[Audience, Mapping[str, Any]] = {
    "relay": {
        "topic": "stats",
        "prefix": "session",
        "scopes": ["read"],
        "booking_id": "status-server",
    },
    "jump": {"topic": "stats", "prefix": "connect", "scopes": ["stats"]},
    "book": {"sub": "status-server", "scopes": ["booking:admin"]},
}


class NoTokensError(Exception):
    """No token can be made; `str()` is a sentence."""


def _encoder() -> Callable[..., str]:
    # Where cryptography is installed, PyJWT imports it for keys that HS256 does not have: 0.1 s of
    # CPU and 10 MiB in each run.
    without = sys.modules.setdefault("cryptography", cast(ModuleType, None)) is None
    try:
        import jwt
    except ImportError:
        raise NoTokensError(
            "[experiments] makes its tokens with PyJWT, which is not installed; "
            "install t3probe[experiments]"
        ) from None
    finally:
        if without:
            del sys.modules["cryptography"]
    return jwt.encode


class Tokens:
    """Makes the tokens of one service, a new one before the last one ends."""

    def __init__(self, service: Audience, audience: str, secret: str, clock: Clock) -> None:
        """`audience`: the service's base URL. Raises NoTokensError where PyJWT is not installed."""
        self._encode = _encoder()
        self._service, self._audience = service, audience
        self._secret, self._clock = secret, clock
        self._token, self._until = "", 0.0

    def token(self) -> str:
        """One that is good for some minutes."""
        now = self._clock.monotonic()
        if not self._token or now >= self._until:
            began = int(self._clock.wall()) - BACKDATED_SECONDS
            claims = {
                **CLAIMS[self._service],
                "aud": [self._audience],
                "iat": began,
                "nbf": began,
                "exp": began + BACKDATED_SECONDS + LIFE_SECONDS,
            }
            with warnings.catch_warnings():
                # A secret that is shorter than RFC 7518 wishes is the services' choice.
                warnings.simplefilter("ignore")
                self._token = self._encode(claims, self._secret, algorithm="HS256")
            keep_lent(self._token)
            self._until = now + LIFE_SECONDS - RENEWED_SECONDS
        return self._token

    @property
    def usable_seconds(self) -> float:
        """How long the newest one is still used."""
        return max(0.0, self._until - self._clock.monotonic())
