"""Certificates of the lab: a CA of its own, and leaves that are right, expired or another's."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from t3probe.lab.board import Board
from t3probe.lab.control import LabError
from t3probe.lab.faults import Fault

OTHER_HOST = "wrong.lab.test"
_EXPIRED_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_EXPIRED_AT = datetime(2020, 2, 1, tzinfo=UTC)


class Certificates:
    """A certificate authority and its leaves as PEM files in `folder`."""

    def __init__(self, folder: Path, host: str, addresses: Sequence[str]) -> None:
        """Leaves for `host` (file `host.pem`), for `addresses` (`address.pem`), expired ones
        and one for another host. Raises LabError where the library for it is not installed."""
        try:
            import trustme
        except ModuleNotFoundError as error:
            raise LabError(
                "expected trustme, which makes the lab's certificates, found none (the image has "
                "no lab): pip install 't3probe[lab]'."
            ) from error
        authority = trustme.CA(organization_name="t3probe lab")
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        expired = functools.partial(
            authority.issue_cert, not_before=_EXPIRED_FROM, not_after=_EXPIRED_AT
        )
        leaves = {
            "host": authority.issue_cert(host),
            "address": authority.issue_cert(*addresses),
            "host-expired-cert": expired(host),
            "address-expired-cert": expired(*addresses),
            "wrong-host-cert": authority.issue_cert(OTHER_HOST),
        }
        for name, leaf in leaves.items():
            leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))

    def client(self) -> ssl.SSLContext:
        """A context that trusts this CA only and checks names."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def leaf(self, name: str) -> str:
        """The path of a leaf with its key."""
        return str(self._folder / f"{name}.pem")


class ServerTls:
    """A server's TLS context; its certificate follows the faults of one segment."""

    def __init__(
        self,
        board: Board,
        certificates: Certificates,
        leaf: str,
        segment: str,
        provider: int | None = None,
    ) -> None:
        """`leaf`: `host` or `address`."""
        self._board = board
        self._certificates = certificates
        self._leaf = leaf
        self._segment = segment
        self._provider = provider
        self._loaded = ""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        # A resumed session would not show the present certificate.
        self.context.num_tickets = 0
        self.context.options |= ssl.OP_NO_TICKET
        self._follow([])
        board.watch(self._follow)

    def _follow(self, _: Sequence[Fault]) -> None:
        wanted = self._leaf
        if self._board.find(self._segment, "wrong-host-cert", self._provider):
            wanted = "wrong-host-cert"
        elif self._board.find(self._segment, "expired-cert", self._provider):
            wanted = f"{self._leaf}-expired-cert"
        if wanted != self._loaded:
            # New handshakes take it; established connections keep theirs.
            self.context.load_cert_chain(self._certificates.leaf(wanted))
            self._loaded = wanted
