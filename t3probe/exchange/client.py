"""One HTTP exchange that cannot hang, grow or wander off.

The whole exchange, name look-up and TLS handshake too, ends by one deadline; a body beyond
its bound is never read; redirects are not followed; proxies of the environment are not used;
certificate and host name are always checked. Written on `http.client`, so that it works without
an event loop.
"""

from __future__ import annotations

import base64
import http.client
import io
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from t3probe import AGENT
from t3probe.exchange.bounds import JSON_PIECE_BYTES, SERVICE_ANSWER_BYTES
from t3probe.guard import LoopbackOnlyError
from t3probe.text import keep, keep_login, showable, without_login
from t3probe.text.words import size
from t3probe.timing import Clock

CHUNK_BYTES = JSON_PIECE_BYTES
BEFORE_CONNECT = "did not accept a connection"
BEFORE_REQUEST = "did not finish the TLS handshake"
BEFORE_ANSWER = "did not answer"


class Trouble(Exception):
    """What went wrong, as the end of a sentence whose subject is the site."""

    def __init__(self, what: str, *, passing: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.passing = passing
        """Whether another attempt may find it better."""
        self.sent = False
        """Whether the site may have done what was asked all the same."""


class Budget:
    """A number of seconds that runs out."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    @property
    def left_seconds(self) -> float:
        """What is left of it; 0 when it is spent."""
        return max(0.0, self._end - self._clock.monotonic())

    def part(self, seconds: float) -> Budget:
        """A smaller one inside this one."""
        return Budget(self._clock, min(seconds, self.left_seconds))

    def pause(self, seconds: float) -> None:
        """Wait, but never past the end."""
        threading.Event().wait(min(seconds, self.left_seconds))


@dataclass(frozen=True)
class Login:
    """How to prove who we are. At most one of token and user is set."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str | None = None
    """PEM file of the certificate authorities to trust; None: the system's."""

    def headers(self) -> dict[str, str]:
        """The Authorization header, if any."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.user:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
            return {"Authorization": f"Basic {pair}"}
        return {}

    def __post_init__(self) -> None:
        for header in self.headers().values():
            keep_login(header, self.token, self.password)


class Site:
    """A server at a base URL, with its login; paths are put behind the URL's own."""

    def __init__(self, url: str, login: Login | None = None) -> None:
        """Raises ValueError, one sentence that holds no login."""
        expected, found = "expected a URL", f"found {without_login(url)!r}"
        try:
            self.parts: SplitResult = urlsplit(url)
            port = self.parts.port
        except ValueError as error:  # a port beyond 65535, half a bracket, a password with a slash
            # Where it quotes something, that may be the password.
            why = "" if "'" in str(error) else f" ({error})"
            raise ValueError(f"{expected}, {found}{why}; write http://HOST:PORT") from None
        if self.parts.scheme not in {"http", "https"} or not self.parts.hostname:
            raise ValueError(
                f"{expected} that starts with http:// or https://, {found}; "
                "write it like http://127.0.0.1:9091"
            )
        _, at, _ = self.parts.netloc.rpartition("@")
        if not at and ":" in self.parts.netloc and "@" in url:
            raise ValueError(
                f"{expected} whose login ends before its first /, ? or #, {found}; take the login "
                "away, and write any other @ as %40"
            )
        keep(self.parts.password or "")
        self.login = login or Login()
        self.host = self.parts.hostname
        self.port = port or (443 if self.parts.scheme == "https" else 80)
        self._context: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """Host and port, for sentences."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def target(self, path: str | None) -> str:
        """The request target; None: the URL's own path and query."""
        if path is None:
            query = f"?{self.parts.query}" if self.parts.query else ""
            return (self.parts.path or "/") + query
        return self.parts.path.rstrip("/") + path

    def context(self) -> ssl.SSLContext:
        """The TLS context, made when first needed: the system's trust store costs 20 ms."""
        if self._context is None:
            try:
                self._context = ssl.create_default_context(cafile=self.login.ca_file)
            except (OSError, ssl.SSLError) as error:
                why = getattr(error, "strerror", None) or "it holds no certificate"
                raise Trouble(
                    f"cannot be trusted, the CA file {self.login.ca_file} is unusable ({why})"
                ) from None
        return self._context


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """By names in small letters: servers write them in any (RFC 9110, section 5.1)."""
    body: bytes


class Kept:
    """A connection to one site that several exchanges use, one after the other."""

    def __init__(self) -> None:
        self.repeated = False
        """Whether the last request was sent again, since the connection was closed meanwhile."""
        self._sock: socket.socket | None = None

    def take(self) -> socket.socket | None:
        """The connection, which is then the caller's."""
        sock, self._sock = self._sock, None
        return sock

    def give(self, sock: socket.socket) -> None:
        """Keep it for the next exchange."""
        self._sock = sock

    def close(self) -> None:
        """Close it, if there is one."""
        sock = self.take()
        if sock is not None:
            sock.close()


class _Stream(io.RawIOBase):
    """A socket as a stream that ends by a deadline and stops at a bound."""

    def __init__(self, sock: socket.socket, budget: Budget, most: int) -> None:
        self._sock, self._budget, self._left = sock, budget, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._budget.left_seconds
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        count = self._sock.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise _TooMuchError
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self, CHUNK_BYTES)


class _TooMuchError(Exception):
    pass


def exchange(
    site: Site,
    method: str,
    path: str | None,
    budget: Budget,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    max_bytes: int = SERVICE_ANSWER_BYTES,
    into: Callable[[bytes], None] | None = None,
    kept: Kept | None = None,
) -> Answer:
    """Send one request and read its whole answer. Raises Trouble.

    `max_bytes` bounds the body; headers get 64 KiB more. A body of status 200 goes piece by piece
    to `into` where it is given, which has its time from the budget, and is not kept; of any other
    status only the beginning is read then. `kept`: a connection that is used again where the server
    leaves it open; one that it closed meanwhile is opened anew, so what is sent may come twice.
    """
    stage = [BEFORE_CONNECT]
    more = headers or {}
    try:
        sock = None
        if kept is not None:
            kept.repeated, sock = False, kept.take()
        if kept is not None and sock is not None:
            with suppress(ConnectionError, http.client.RemoteDisconnected):
                return _exchange(
                    site, method, path, budget, body, more, max_bytes, into, stage, kept, sock
                )
            kept.repeated = True
        return _exchange(site, method, path, budget, body, more, max_bytes, into, stage, kept)
    except Exception as error:
        trouble = _trouble(error, stage[0], max_bytes)
        if trouble is None:
            raise
        # The first of two went out on the connection that was kept.
        trouble.sent = stage[0] == BEFORE_ANSWER or (kept is not None and kept.repeated)
        raise trouble from None


def _exchange(
    site: Site,
    method: str,
    path: str | None,
    budget: Budget,
    body: bytes,
    headers: Mapping[str, str],
    max_bytes: int,
    into: Callable[[bytes], None] | None,
    stage: list[str],
    kept: Kept | None = None,
    sock: socket.socket | None = None,
) -> Answer:
    try:
        if sock is None:
            stage[0] = BEFORE_CONNECT
            sock = connected(site.host, site.port, budget)
            if site.parts.scheme == "https":
                stage[0] = BEFORE_REQUEST
                sock.settimeout(max(0.001, budget.left_seconds))
                sock = site.context().wrap_socket(sock, server_hostname=site.host)
        stage[0] = BEFORE_ANSWER
        lines = {
            "Host": site.parts.netloc.rpartition("@")[2],
            "User-Agent": AGENT,
            "Connection": "close" if kept is None else "keep-alive",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            **site.login.headers(),
            **headers,
        }
        if method == "GET":
            del lines["Content-Length"]
        head = f"{method} {site.target(path)} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        try:
            _send(sock, head.encode("latin-1", "replace") + b"\r\n", budget)
            _send(sock, body, budget)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it read everything
        answer, open_still = _answer(sock, method, budget, max_bytes, into)
        if kept is not None and open_still:
            kept.give(sock)
            sock = None
        return answer
    finally:
        if sock is not None:
            sock.close()


def _trouble(error: Exception, stage: str, most: int) -> Trouble | None:
    """The exception as facts; None for an unforeseen one."""
    match error:
        case Trouble():
            return error
        case TimeoutError():
            return Trouble(f"{stage} in time", passing=True)
        case _TooMuchError():
            return Trouble(f"answers with more than {size(most)}; it was not read")
        case ConnectionRefusedError():
            return Trouble("refuses connections", passing=True)
        case ssl.SSLCertVerificationError():
            why = showable(error.verify_message or error.reason, ascii=False)
            return Trouble(f"shows a certificate that is not accepted ({why})")
        case ssl.SSLError():
            return Trouble(f"broke TLS off ({showable(error.reason)})", passing=True)
        case http.client.IncompleteRead():
            return Trouble("sent half an answer", passing=True)
        case http.client.RemoteDisconnected():
            return Trouble("closed the connection without an answer", passing=True)
        case http.client.HTTPException() | ValueError():
            return Trouble("does not speak HTTP", passing=True)
        case LoopbackOnlyError():
            return Trouble(f"was not contacted: {error}")
        case OSError():
            why = showable(error.strerror or type(error).__name__)
            return Trouble(f"cannot be reached ({why})", passing=True)
    return None


def _send(sock: socket.socket, data: bytes, budget: Budget) -> None:
    view = memoryview(data)
    while view:
        left = budget.left_seconds
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        view = view[sock.send(view[: 4 * CHUNK_BYTES]) :]


def _answer(
    sock: socket.socket,
    method: str,
    budget: Budget,
    most: int,
    into: Callable[[bytes], None] | None,
) -> tuple[Answer, bool]:
    """The answer, and whether another request may follow it."""
    stream: Any = _Stream(sock, budget, most + SERVICE_ANSWER_BYTES)
    response = http.client.HTTPResponse(stream, method=method)
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.headers.items()}
        if into is not None and response.status != 200:
            beginning = response.read(SERVICE_ANSWER_BYTES)
            return Answer(response.status, headers, beginning), False
        declared = response.length
        if declared is not None and declared > most:
            raise _TooMuchError
        # In pieces until it is whole: a buffer that grows may be there twice while it does. What
        # comes without a length, `stream` bounds.
        pieces = iter(lambda: response.read(CHUNK_BYTES), b"")
        size, body = 0, b""
        if into is None:
            body = b"".join(pieces)
            size = len(body)
        else:
            for piece in pieces:
                into(piece)
                size += len(piece)
                if budget.left_seconds <= 0:
                    raise TimeoutError
        if declared is not None and size < declared:
            raise http.client.IncompleteRead(b"")
        answer = Answer(response.status, headers, body)
        return answer, not response.will_close
    finally:
        response.close()


def connected(host: str, port: int, budget: Budget) -> socket.socket:
    """A TCP connection, the look-up of the name within the budget, too. Raises Trouble, OSError."""
    addresses = _addresses(host, port, budget)
    last: OSError = OSError("no address")
    for number, (family, address) in enumerate(addresses):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            share = budget.left_seconds / (len(addresses) - number)
            if share <= 0:
                raise TimeoutError
            sock.settimeout(share)
            sock.connect(address)
            # On a connection that is used again a body would wait for the ACK of its head: 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
    raise last


def _addresses(host: str, port: int, budget: Budget) -> list[tuple[int, Any]]:
    """Where to connect. The resolver has no deadline of its own, so a thread waits for it."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            found.append(error)

    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(budget.left_seconds)
        if thread.is_alive():
            raise Trouble("has a name that does not resolve in time", passing=True) from None
    else:
        look_up()
    if found and isinstance(found[0], socket.gaierror):
        raise Trouble("has a name that cannot be resolved", passing=True)
    if found and isinstance(found[0], Exception):
        raise found[0]
    return [(one[0], one[4]) for one in found]
