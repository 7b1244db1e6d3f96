"""Fixtures for the tests of a run."""

from __future__ import annotations

from probes.fixtures import authority, no_stalls, own_footing

__all__ = ["authority", "no_stalls", "own_footing"]
