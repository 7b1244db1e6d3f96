"""Certificates of every kind, and servers that show them."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def ends(self) -> float:
        return self.certificate.not_valid_after_utc.timestamp()


def make(
    name: str,
    by: Made | None = None,
    *,
    sans: Sequence[x509.GeneralName] | None = None,
    begins: datetime.timedelta = -400 * DAY,
    ends: datetime.timedelta = 60 * DAY,
    key: ec.EllipticCurvePrivateKey | None = None,
    key_ids: bool = True,
    issuers_at: str = "",
    more: Sequence[tuple[Any, bool]] = (),
) -> Made:
    """A certificate for `sans`, or of an authority where there are none, signed by `by`."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = by.key if by is not None else key
    authority = sans is None
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begins)
        .not_valid_after(NOW + ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if key_ids:
        mine = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        theirs = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        built = built.add_extension(mine, critical=False).add_extension(theirs, critical=False)
    if sans:
        built = built.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    if issuers_at:
        where = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuers_at)
        )
        built = built.add_extension(x509.AuthorityInformationAccess([where]), critical=False)
    for extension, critical in more:
        built = built.add_extension(extension, critical=critical)
    return Made(built.sign(signer, hashes.SHA256()), key)


def shows(folder: Path, leaf: Made, *chain: Made) -> ssl.SSLContext:
    """A server's context that sends these certificates."""
    file = folder / "server.pem"
    key = leaf.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(key + b"".join(one.pem for one in (leaf, *chain)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def trusts(folder: Path, *authorities: Made) -> str:
    """A file of authorities to trust."""
    file = folder / "ca.pem"
    file.write_bytes(b"".join(one.pem for one in authorities))
    return str(file)
