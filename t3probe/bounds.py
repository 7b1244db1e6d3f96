"""How much of what others send, keep or leave behind is read, held or waited for.

Every bound on foreign bytes, seconds and connections stands here, and nowhere else. The sentence
under each says what it bounds; the next one says what happens beyond it. `docs/operations.md` has
them as a table, which `python docs/make/bounds.py` writes.
"""

from __future__ import annotations

KIB = 1 << 10
MIB = 1 << 20

# -- Answers of the path

HTTP_HEADERS_BYTES = 256 * KIB
"""All header lines of one answer together, interim answers too; as in a browser. The leg is
inconclusive and names the limit."""
HTTP_BODY_BYTES = 1 * MIB
"""The body of one answer, read and thrown away. The connection is closed."""
