"""Fixtures for the tests of the held mode."""

from __future__ import annotations

from probes.fixtures import no_stalls, own_footing

__all__ = ["no_stalls", "own_footing"]
