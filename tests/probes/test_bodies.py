"""What bodies say under their encodings and charsets; no server."""

from __future__ import annotations

import gzip
import sys
import types
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.config.types import Sso
from t3probe.exchange.bounds import GZIP_MEMBERS
from t3probe.probes.http_wire import BODY_BYTES, Headers, as_text, decoded
from t3probe.probes.sso import sso_answer

PAGE = b"<html><a href='/flow/login'>log in</a></html>" * 3


def packed(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


GZIP, ZLIB, RAW = packed(PAGE), zlib.compress(PAGE), raw_deflate(PAGE)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", GZIP),
        ("GZip", GZIP),
        ("x-gzip", GZIP),
        (" gzip ,, identity", GZIP),
        ("gzip", packed(PAGE[:50]) + packed(PAGE[50:])),
        ("gzip", GZIP + b"\0\0\0 padding"),
        ("deflate", ZLIB),
        ("Deflate", RAW),
        ("gzip, deflate", zlib.compress(GZIP)),
        ("deflate, gzip", packed(RAW)),
        ("identity", PAGE),
        ("", PAGE),
    ],
)
def test_encodings_are_taken_off(encoding: str, body: bytes) -> None:
    assert decoded(Headers([("Content-Encoding", encoding)]), body) == (PAGE, "")


def test_on_lines_of_their_own_and_in_the_transfer() -> None:
    lines = [("Content-Encoding", "gzip"), ("content-encoding", "deflate")]
    assert decoded(Headers(lines), zlib.compress(GZIP)) == (PAGE, "")
    lines = [("Content-Encoding", "gzip"), ("Transfer-Encoding", "deflate, chunked")]
    assert decoded(Headers(lines), zlib.compress(GZIP)) == (PAGE, "")


@pytest.mark.parametrize("pack", [packed, zlib.compress, raw_deflate])
def test_of_a_cut_body_its_beginning_is_read(pack: Any) -> None:
    body = pack(PAGE * 50 + bytes(range(256)) * 40)
    name = "gzip" if pack is packed else "deflate"
    plain, unread = decoded({"content-encoding": name}, body[: len(body) // 2])
    assert unread == ""
    assert plain.startswith(PAGE)


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate, gzip", "deflate"])
def test_a_bomb_unpacks_to_what_is_looked_at(encoding: str) -> None:
    bomb = bytes(50 << 20)
    for one in encoding.split(", "):
        bomb = packed(bomb) if one == "gzip" else zlib.compress(bomb)
    plain, unread = decoded({"content-encoding": encoding}, bomb[:BODY_BYTES])
    assert len(plain) <= BODY_BYTES
    assert unread == ""


def test_gzip_members_without_end_are_bounded() -> None:
    plain, _ = decoded({"content-encoding": "gzip"}, packed(b"x" * 5000) * 100)
    assert plain == b"x" * BODY_BYTES


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("compress", PAGE, "compressed with compress: cannot be read"),
        ("sdch", PAGE, "compressed with sdch: cannot be read"),
        ("gzip", PAGE, "compressed with gzip: cannot be read"),
        ("gzip, deflate", GZIP, "compressed with deflate: cannot be read"),
        ("deflate", b"\xff" * 50, "compressed with deflate: cannot be read"),
        ("br", b"\xff" * 50, "compressed with br: cannot be read"),
        ("zstd", b"\xff" * 50, "compressed with zstd: cannot be read"),
        ("\x1b[31m\xfc" + "a" * 99, PAGE, "compressed with ??31m?aaaaaaaaaaaaaa: cannot be read"),
        (", ".join(["gzip"] * 6), GZIP, "compressed 6 times: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(encoding: str, body: bytes, words: str) -> None:
    assert decoded({"content-encoding": encoding}, body) == (body, words)


def test_no_body_is_read_by_anybody() -> None:
    assert decoded({"content-encoding": "br"}, b"") == (b"", "")


@pytest.mark.parametrize("bounded", [True, False])
def test_brotli_where_its_library_is_there_and_can_be_bounded(
    bounded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old:
        def process(self, data: bytes) -> bytes:
            return PAGE

    class New:
        def process(self, data: bytes, output_buffer_limit: int) -> bytes:
            return PAGE if output_buffer_limit == BODY_BYTES else b""

    brotli = types.ModuleType("brotli")
    brotli.Decompressor = New if bounded else Old  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "brotli", brotli)
    plain, unread = decoded({"content-encoding": "br"}, b"packed")
    assert (plain == PAGE, unread == "") == (bounded, bounded)


@given(st.sampled_from(["gzip", "deflate", "br", "zstd", "x"]), st.binary(max_size=300))
def test_no_body_breaks_it(encoding: str, body: bytes) -> None:
    plain, unread = decoded({"content-encoding": encoding}, body)
    assert isinstance(plain, bytes)
    assert unread.isascii()


# -- charsets ------------------------------------------------------------------------------------

TEXT = "<html><b>Anmelden für Gäste</b> /flow/login"
MARKED = Sso(login_markers=("Anmelden für",))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", TEXT.encode()),
        ("text/html", b"\xef\xbb\xbf" + TEXT.encode()),
        ("text/html; charset=UTF-8", TEXT.encode()),
        ("text/html", TEXT.encode("utf-16")),
        ("text/html; charset=utf-8", b"\xfe\xff" + TEXT.encode("utf-16-be")),  # the mark wins
        ("text/html; charset=UTF-16LE", TEXT.encode("utf-16-le")),
        ('text/html; CHARSET = "utf-16be"', TEXT.encode("utf-16-be")),
        ("text/html; charset=iso-8859-1", TEXT.encode("latin-1")),
        ("text/html; charset=windows-1252", TEXT.encode("cp1252")),
        ("text/html", b"<meta charset='latin1'>" + TEXT.encode("latin-1")),
        ("text/html", b'<meta http-equiv=content-type content="text/html; charset=cp850">'
         + TEXT.encode("cp850")),
        ("text/html; charset=nonsense", TEXT.encode()),
        ("text/html; charset=rot13", TEXT.encode()),
        ("text/html; charset=zip", TEXT.encode()),
        ("text/html; charset=\x00", TEXT.encode()),
    ],
)  # fmt: skip
def test_a_marker_is_found_in_every_charset(content_type: str, body: bytes) -> None:
    headers = {"content-type": content_type}
    assert "Anmelden für".encode() in as_text(headers, body)
    assert sso_answer(200, headers, body, MARKED) == "a login page with HTTP 200"


@given(st.text(max_size=30), st.binary(max_size=100))
def test_no_charset_breaks_it(charset: str, body: bytes) -> None:
    assert isinstance(as_text({"content-type": f"text/html; charset={charset}"}, body), bytes)


def test_more_members_of_gzip_than_anybody_makes_are_not_read() -> None:
    headers = {"content-encoding": "gzip"}
    page = gzip.compress(b"page")
    assert decoded(headers, gzip.compress(b"") * (GZIP_MEMBERS - 1) + page) == (b"page", "")
    body = gzip.compress(b"") * GZIP_MEMBERS + page
    assert decoded(headers, body) == (body, "compressed with gzip: cannot be read")
