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
HTTP_HEADER_LINES = 4096
"""The header lines of one answer, interim answers too. The leg is inconclusive and names the
limit."""
HTTP_PIECE_BYTES = 16 * KIB
"""What of an answer is parsed in one go. The rest waits for the event loop's next turn."""
WS_PIECE_BYTES = 2 * KIB
"""What of a WebSocket is parsed in one go. The rest waits for the event loop's next turn."""
GZIP_MEMBERS = 64
"""The members of a body in gzip. The body counts as one that cannot be read."""
LOGIN_WORDS_BYTES = 4 * KIB
"""The `WWW-Authenticate` lines of one answer, read for the words of a sentence. The rest is not
named."""
URL_BYTES = 64 * KIB
"""A URL to which an answer leads. It leads nowhere."""
HOST_CHARACTERS = 1024
"""A host in such a URL. It is no host."""
REFRESHES = 16
"""The `Refresh` lines and tags of one answer. The later ones are not followed."""
COOKIES = 50
"""Cookies that one answer sets, and that a chain of redirects keeps. The later ones are left."""
COOKIE_BYTES = 4 * KIB
"""One `Set-Cookie` line. It is left, as browsers do."""
DNS_MESSAGE_BYTES = 4 * KIB
"""A DoH answer, as the question says. The leg that needs it is inconclusive."""

# -- Questions

MOMENT_CHARACTERS = 200
"""A time that somebody asks about. It is refused in a sentence."""
