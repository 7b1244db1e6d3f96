"""The page that measures from a person's own browser: its bytes, and the headers that bind it.

`page.html` is one file without anything from elsewhere. The policy lets in its own script and style
by their hashes, and connections to its own origin; nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

PAGE_PATH = "/probe/"
_FILE = Path(__file__).with_name("page.html")
_SETTINGS = '<meta name="t3probe" content="heartbeat=10 watchdog=20 records=no">'


@dataclass(frozen=True, slots=True)
class MeasuringPage:
    """The page as it is served."""

    content: bytes
    fields: tuple[str, ...]
    """The header lines that it needs, its type aside."""


def page(heartbeat: float, watchdog: float, *, records: bool = False) -> MeasuringPage:
    """The page for these two durations, in seconds. `records`: it may send what it recorded."""
    text = _FILE.read_text(encoding="utf-8")
    told = f"heartbeat={heartbeat:g} watchdog={watchdog:g} records={'yes' if records else 'no'}"
    before, found, after = text.partition(_SETTINGS)
    if not found:
        raise ValueError(f"{_FILE.name} has no line {_SETTINGS}")
    text = f'{before}<meta name="t3probe" content="{told}">{after}'
    return MeasuringPage(
        text.encode(),
        (
            f"Content-Security-Policy: {policy(text)}",
            "X-Content-Type-Options: nosniff",
            "Referrer-Policy: no-referrer",
            "Cross-Origin-Opener-Policy: same-origin",
            "Cross-Origin-Resource-Policy: same-origin",
        ),
    )


def policy(text: str) -> str:
    """The Content-Security-Policy of a page: its own script and style, its own origin."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(text, 'script')}",
            f"style-src {_hash(text, 'style')}",
            "connect-src 'self'",
            "worker-src blob:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types t3probe",
        )
    )


def _hash(text: str, tag: str) -> str:
    """The source expression of the one element of this kind."""
    if text.count(f"<{tag}>") != 1:
        raise ValueError(f"expected one {tag} in the page")
    content = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
