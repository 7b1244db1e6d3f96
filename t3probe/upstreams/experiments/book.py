"""Book's own interface: its resources, and whether it offers them. Blocks, bounded.

The list of resources does not say whether they are available; each resource is asked for that.
Availability lives in book's memory: when it starts anew, or reads a new manifest, everything is
available again.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from t3probe.exchange.bounds import RIG_BOOK_BYTES
from t3probe.upstreams.experiments.ask import RigService, ServiceError
from t3probe.upstreams.experiments.rigs import (
    BookList,
    BookUnreadError,
    Offered,
    RigList,
    offered,
)

RESOURCES = "/api/v1/admin/resources"


class BookingSystem:
    """The booking system."""

    def __init__(self, service: RigService, only: Sequence[str] = ()) -> None:
        self.service = service
        self._only = only

    def rigs(self) -> RigList:
        """The rigs that it has, those of `only`. Raises ServiceError."""
        answer = BookList()
        try:
            self.service.ask("GET", RESOURCES, into=answer.feed, max_bytes=RIG_BOOK_BYTES)
            return answer.close(self._only)
        except BookUnreadError as error:
            raise self._unread(error) from None

    def offered(self, resource: str) -> Offered:
        """Whether it offers a resource. Raises ServiceError."""
        body = self.service.ask("GET", self._path(resource)).body
        try:
            return offered(body)
        except BookUnreadError as error:
            raise self._unread(error) from None

    def write(self, resource: str, available: bool, reason: str) -> None:
        """Offer a resource, or no longer. Raises ServiceError."""
        query = f"available={'true' if available else 'false'}&reason={quote(reason, safe='')}"
        self.service.ask("PUT", f"{self._path(resource)}?{query}", good=(204,))

    @staticmethod
    def _path(resource: str) -> str:
        return f"{RESOURCES}/{quote(resource, safe='')}"

    def _unread(self, error: BookUnreadError) -> ServiceError:
        return ServiceError("protocol_error", f"{self.service.name} {error}")
