"""What a body says: its encodings taken off, its text as UTF-8. Pure.

A request asks for no encoding, but a server may give one all the same. Bounded: a few kilobytes
can unpack to gigabytes.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from t3probe.exchange.bounds import BODY_ENCODINGS, GZIP_MEMBERS
from t3probe.probes.http_wire import BODY_BYTES, values_of

__all__ = ["as_text", "decoded"]

_META_CHARSET = re.compile(rb"<meta\b[^>]{0,200}?\bcharset\s*+=\s*+[\"']?\s*+([\w.:-]{1,40})", re.I)
_CHARSET = re.compile(r"charset\s*+=\s*+[\"']?\s*+([\w.:-]{1,40})", re.IGNORECASE)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TEXTS = ("utf-8", "utf-16", "utf-32", "iso8859", "cp", "koi8", "gb", "big5", "euc", "shift_jis",
          "mac", "iso2022")  # fmt: skip
"""How the names of Python's codecs begin that are charsets of pages."""


def decoded(headers: Mapping[str, Any], body: bytes) -> tuple[bytes, str]:
    """The first `BODY_BYTES` of a body without its content and transfer encodings, and what cannot
    be read, in words; then the body is as it came. Of a body that was cut, what its beginning
    holds."""
    codings = [one.strip().lower() for one in values_of(headers, "content-encoding")]
    codings += [one.strip().lower() for one in values_of(headers, "transfer-encoding")]
    codings = [one for one in codings if one not in {"identity", "chunked", "none"}]
    if not body or not codings:
        return body, ""
    if len(codings) > BODY_ENCODINGS:
        return body, f"compressed {len(codings)} times: cannot be read"
    plain = body
    for coding in reversed(codings):
        try:
            plain = _DECODERS[coding](plain)
        except Exception:  # of whatever library; a coding or a library that is not there, too
            return body, f"compressed with {_shown(coding)}: cannot be read"
    return plain, ""


def _shown(coding: str) -> str:
    return re.sub(r"[^\w.+-]", "?", coding, flags=re.ASCII)[:20]


def _gzip(data: bytes) -> bytes:
    out, members = bytearray(), 0
    while data and len(out) < BODY_BYTES:
        members += 1
        if members > GZIP_MEMBERS:
            raise ValueError("too many members")
        one = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            out += one.decompress(data, BODY_BYTES - len(out))
        except zlib.error:
            if out:
                break  # as browsers do, what follows the last member is left
            raise
        if not one.eof:
            break
        data = one.unused_data
    return bytes(out)


def _deflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, BODY_BYTES)
    except zlib.error:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, BODY_BYTES)


def _brotli(data: bytes) -> bytes:
    reader = _library("brotli").Decompressor()
    # Older versions of the library do not know this limit, and cannot be bounded.
    return bytes(reader.process(data, output_buffer_limit=BODY_BYTES))[:BODY_BYTES]


def _zstd(data: bytes) -> bytes:
    reader = _library("compression.zstd", "backports.zstd").ZstdDecompressor()
    return bytes(reader.decompress(data, BODY_BYTES))


def _library(*names: str) -> Any:
    for name in names:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise ImportError(names[0])


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def as_text(headers: Mapping[str, Any], body: bytes) -> bytes:
    """A body's text as UTF-8, whatever its charset; as it came where that is not known."""
    name = next((name for bom, name in _BOMS if body.startswith(bom)), "")
    if not name:
        said = _CHARSET.search(str(headers.get("content-type", "")))
        meta = None if said else _META_CHARSET.search(body[:1024])
        name = said[1] if said else meta[1].decode("ascii", "replace") if meta else ""
    try:
        name = codecs.lookup(name).name
    except (LookupError, ValueError):
        return body
    if name == "utf-8" or not name.startswith(_TEXTS):
        return body
    return body.decode(name, "replace").encode("utf-8", "replace")
