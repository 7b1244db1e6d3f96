"""The file of certificate authorities that a deployment trusts."""

from __future__ import annotations

import os
import re

from t3probe.exchange.bounds import TLS_CA_BYTES
from t3probe.exchange.files import NotAFileError, TooLargeError, read_regular

from .errors import ConfigFile, KeyPath

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


def located(path: str, source: ConfigFile) -> str:
    """A path of the file: a relative one starts at the file's own folder."""
    return os.path.normpath(os.path.join(source.folder, path))


def check_ca(path: str, source: ConfigFile, key: KeyPath = ("tls_ca",)) -> None:
    """Refuse a CA file that no TLS library could use. Raises DeploymentError."""
    expected = "a readable PEM file of certificates"
    if not path:
        raise source.error(key, expected, path)
    try:
        full = located(path, source)
        content = read_regular(full, TLS_CA_BYTES)
    except NotAFileError:
        raise source.error(key, expected, path, "it is not a file") from None
    except TooLargeError:
        raise source.error(key, "a PEM file of at most 4 MiB", path, "it is larger") from None
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or "no file can have this name"
        raise source.error(key, expected, path, why[0].lower() + why[1:]) from None
    blocks = _PEM.findall(content)
    if not blocks:
        raise source.error(key, expected, path, "it holds no certificate")
    # The library that will use them has the last word; a run over TLS imports it anyway.
    import ssl

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=b"\n".join(blocks).decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise source.error(key, expected, path, "its certificates are damaged") from None
