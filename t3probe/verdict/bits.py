"""Sets of segments as integers.

Position `i` of `width` is the bit `1 << (width - 1 - i)`: the first segment is the highest
bit. Among sets of equal size the lexicographically first is then the largest integer, and
`rank` orders sets by size and then lexicographically while staying additive over disjoint
sets. The searches rely on both.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress

__all__ = ["mask_of", "members", "rank"]

ZERO_ONE = bytes.maketrans(b"01", b"\x00\x01")


def mask_of(positions: Iterable[int], width: int) -> int:
    """The set of these positions."""
    top = width - 1
    mask = 0
    for position in positions:
        mask |= 1 << (top - position)
    return mask


def members(mask: int, width: int) -> list[int]:
    """The positions in a set, ascending."""
    out: list[int] = []
    if mask.bit_count() * 16 <= width:
        top = width - 1
        while mask:
            high = mask.bit_length() - 1
            out.append(top - high)
            mask ^= 1 << high
        return out
    # A dense set: one pass over the digits is cheaper than one big integer per member.
    return list(compress(range(width), f"{mask:0{width}b}".encode().translate(ZERO_ONE)))


def rank(mask: int, width: int) -> int:
    """A number that is lower for smaller sets and, among equal sizes, for earlier ones."""
    return (mask.bit_count() << width) - mask
