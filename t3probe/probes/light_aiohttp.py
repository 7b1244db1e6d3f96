"""aiohttp, without the 30 ms of CPU that its import spends on certificates nobody uses.

On import aiohttp builds a TLS context of its own and loads the system's trust store into it.
Every connection of ours brings its own context, so the store is hidden while the import lasts
(`SSL_CERT_FILE` and `SSL_CERT_DIR` are OpenSSL's own switches, openssl-env(7)).
"""

from __future__ import annotations

import os
from typing import Final

__all__ = ["AbstractResolver", "ResolveResult", "aiohttp"]

_SWITCHES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_before = {name: os.environ.get(name) for name in _SWITCHES}
try:
    for _name in _SWITCHES:
        os.environ[_name] = os.devnull
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult
finally:
    for _name, _value in _before.items():
        if _value is None:
            del os.environ[_name]
        else:
            os.environ[_name] = _value
