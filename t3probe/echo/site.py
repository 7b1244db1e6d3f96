"""What the responder has beside the echo: the page that measures, and the store of its records.

Pure but for the token's file, which is read anew each time, so that it can be replaced.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable

from t3probe.echo.head import Refusal, Reply, Request
from t3probe.echo.limits import Bucket
from t3probe.echo.page import PAGE_PATH, MeasuringPage
from t3probe.echo.records import Records, code_in
from t3probe.exchange.bounds import (
    ECHO_RATED_ADDRESSES,
    ECHO_RECORD_BYTES,
    ECHO_RECORD_SECONDS,
    SECRET_BYTES,
)
from t3probe.exchange.files import read_regular
from t3probe.text import showable

RECORDS_PATH = "/probe/records"
_SHORTEST = 8
_TOKEN = re.compile(rb"[\x21-\x7e]{%d,}" % _SHORTEST)
_SWEEP_SECONDS = 10.0
_NOSNIFF = "X-Content-Type-Options: nosniff"


class Rates:
    """A token bucket for each address that lately did something; bounded."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._known: dict[str, Bucket] = {}

    def take(self, client: str, now: float) -> bool:
        """Take a token of this client; False when it has none."""
        return self._of(client, now).take(now)

    def spent(self, client: str, now: float) -> bool:
        """Whether this client has no token; takes none."""
        found = self._known.get(client)
        return found is not None and found.level(now) < 1

    def sweep(self, now: float) -> None:
        """Forget whoever has no debts."""
        for client in [one for one, bucket in self._known.items() if bucket.full(now)]:
            del self._known[client]

    def _of(self, client: str, now: float) -> Bucket:
        found = self._known.get(client)
        if found is None:
            if len(self._known) >= ECHO_RATED_ADDRESSES:
                del self._known[next(iter(self._known))]
            found = self._known[client] = Bucket(self._rate, self._burst, now)
        return found


class PageSite:
    """The page, and the records where they are accepted."""

    def __init__(
        self,
        page: MeasuringPage,
        records: Records | None = None,
        *,
        token: Callable[[], bytes] | None = None,
    ) -> None:
        """`token`: what a fetch has to name, asked for anew each time; it may raise ValueError."""
        self._page = Reply(200, page.content, "text/html; charset=utf-8", page.fields)
        self._records = records
        self._token = token
        self._loads = Rates(2.0, 60)
        self._sent = Rates(0.05, 6)
        self._fetched = Rates(1.0, 30)
        self._wrong = Rates(0.05, 10)
        self._swept = 0.0

    def owns(self, path: str) -> bool:
        """Whether this path is answered here."""
        if path in (PAGE_PATH, PAGE_PATH.rstrip("/")):
            return True
        return self._records is not None and (path + "/").startswith(RECORDS_PATH + "/")

    def begin(self, request: Request, client: str, now: float) -> Reply | int:
        """The answer, or how many bytes of a body it needs. Raises Refusal."""
        try:
            if request.path == PAGE_PATH:
                return self._load(request, client, now)
            if request.path == PAGE_PATH.rstrip("/"):
                _only(request, "GET", "HEAD")
                raise Refusal(308, "the page is at /probe/", f"Location: {PAGE_PATH}")
            if request.path == RECORDS_PATH:
                return self._announced(request, client, now)
            return self._fetch(request, client, now)
        except Refusal as refusal:
            raise Refusal(refusal.status, refusal.text, *refusal.fields, _NOSNIFF) from None

    def finish(self, body: bytes, client: str, now: float, wall: float) -> Reply:
        """The answer to a record. Raises Refusal."""
        assert self._records is not None
        try:
            code = self._records.add(body, client, now, wall)
        except Refusal as refusal:
            raise Refusal(refusal.status, refusal.text, *refusal.fields, _NOSNIFF) from None
        told = {"code": code, "expires_seconds": round(ECHO_RECORD_SECONDS)}
        return Reply(201, json.dumps(told).encode(), "application/json", (_NOSNIFF,))

    def sweep(self, now: float) -> None:
        """Let go of what has had its time."""
        if self._records is not None:
            self._records.sweep(now)
        if now - self._swept >= _SWEEP_SECONDS:
            self._swept = now
            for one in (self._loads, self._sent, self._fetched, self._wrong):
                one.sweep(now)

    def _load(self, request: Request, client: str, now: float) -> Reply:
        _only(request, "GET", "HEAD")
        if not self._loads.take(client, now):
            raise Refusal(429, "too many requests", "Retry-After: 5")
        return self._page

    def _announced(self, request: Request, client: str, now: float) -> int:
        """The length of a record that is to come. Raises Refusal."""
        _only(request, "POST")
        _same_origin(request)
        kind = request.fields.get("content-type", [""])
        if [one.partition(";")[0].strip().lower() for one in kind] != ["application/json"]:
            raise Refusal(415, "expected a record in application/json")
        length = request.fields.get("content-length", [])
        if "transfer-encoding" in request.fields:
            raise Refusal(400 if length else 411, "expected a Content-Length, and no coding")
        if not length:
            raise Refusal(411, "expected a Content-Length")
        if len(length) != 1 or not (length[0].isascii() and length[0].isdigit()):
            raise Refusal(400, "expected one Content-Length, a number")
        if len(length[0]) > 9 or int(length[0]) > ECHO_RECORD_BYTES:
            raise Refusal(413, f"a record has at most {ECHO_RECORD_BYTES} bytes")
        if request.tokens("expect") not in ([], ["100-continue"]):
            raise Refusal(417, "expected 100-continue, or nothing")
        if not self._sent.take(client, now):
            raise Refusal(429, "too many records from your address", "Retry-After: 60")
        return int(length[0])

    def _fetch(self, request: Request, client: str, now: float) -> Reply:
        """A record by its code. Whoever has not got the token learns nothing about the code."""
        assert self._records is not None
        _only(request, "GET", "HEAD")
        if self._wrong.spent(client, now) or not self._fetched.take(client, now):
            raise Refusal(429, "too many requests", "Retry-After: 60")
        if self._token is not None and not _bears(request, self._token):
            self._wrong.take(client, now)
            raise Refusal(401, "expected the token", 'WWW-Authenticate: Bearer realm="records"')
        code = code_in(request.path.removeprefix(RECORDS_PATH + "/"))
        content = None if code is None else self._records.get(code, now)
        if content is None:
            self._wrong.take(client, now)
            raise Refusal(404, "no such record, or none any more")
        name = f'Content-Disposition: attachment; filename="t3probe-{code}.json"'
        return Reply(200, content, "application/json", (name, _NOSNIFF))


def token_in(file: str) -> bytes:
    """The token in a file. Raises ValueError with a sentence that does not show it."""
    start = f"--records-token-file {showable(file)}: expected a readable file with the token"
    try:
        token = read_regular(file, SECRET_BYTES).strip()
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or "a name that no file can have"
        raise ValueError(f"{start}: {why[0].lower() + why[1:]}; name another file") from None
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            f"{start}, at least {_SHORTEST} visible ASCII characters in one word; write one, "
            "such as with openssl rand -hex 16"
        )
    return token


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise Refusal(405, f"{methods[0]} only", f"Allow: {', '.join(methods)}")


def _same_origin(request: Request) -> None:
    """Only the page itself may send. A browser says whether it does; an older one at least names
    the origin of every POST. Which scheme it has is not known here, behind a balancer that ends
    TLS, and a tunnel may have changed the host."""
    origins = request.fields.get("origin", [])
    hosts = {f"{scheme}://{request.only('host')}".lower() for scheme in ("http", "https")}
    site = request.fields.get("sec-fetch-site", [])
    same = site == ["same-origin"] or (not site and origins[0:1] and origins[0].lower() in hosts)
    if len(origins) != 1 or not same:
        raise Refusal(403, "expected a record from the page itself")


def _bears(request: Request, token: Callable[[], bytes]) -> bool:
    try:
        expected = token()
    except ValueError:
        raise Refusal(503, "the token cannot be read here", "Retry-After: 60") from None
    values = request.fields.get("authorization", [])
    word, _, given = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    right = hmac.compare_digest(given.strip(" ").encode("latin-1"), expected)
    return right and word.lower() == "bearer"
