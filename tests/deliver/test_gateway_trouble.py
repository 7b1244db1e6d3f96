"""Every way a gateway can misbehave: one sentence, bounded, and what became of the counts."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import delivery_servers as servers
import pytest
import trustme
from delivery_runs import DEAD, LEGS, REASONS, OneRun, spool
from delivery_servers import Handler, answering, serving

from t3probe.config import DeploymentError
from t3probe.config.secrets import login_of
from t3probe.exchange.client import Budget, Login, Site, Trouble, exchange
from t3probe.timing import SystemClock

DROP = (LEGS[0], REASONS[0])
GOOD = b'{"status":"success","data":[]}'
CASES: dict[str, tuple[Handler, str]] = {
    "no answer": (servers.silent, "did not answer in time"),
    "drops of headers": (servers.dripping, "did not answer in time"),
    "hangs up": (servers.closing, "closed the connection without an answer"),
    "half": (servers.half, "sent half an answer"),
    "half of a chunk": (servers.half_chunked, "sent half an answer"),
    "1 GiB": (servers.gigabyte, "answers with more than 24 MiB; it was not read"),
    "1 GiB in chunks": (servers.gigabyte_chunked, "answers with more than 24 MiB"),
    "1 GiB of headers": (servers.gigabyte_of_headers, "does not speak HTTP"),
    "1 GiB of trailers": (servers.gigabyte_of_trailers, "answers with more than 24 MiB"),
    "html": (
        answering("200 OK", b"<html><title>\x1b[31mSign in</title>"),
        "answers with something that is no list of metrics ('<html><title>?[31mSign",
    ),
    "empty": (answering("200 OK"), "answers with something that is no list of metrics ('')"),
    "other json": (answering("200 OK", b'{"data":[{"labels":3}]}'), "no list of metrics"),
    "deep json": (answering("200 OK", b'{"data":' + b"[" * 100_000), "no list of metrics"),
    "400": (answering("400 Bad", b"pushed\nthings are odd"), "with 400: pushed things are odd"),
    "401": (answering("401 No"), "refuses us with 401; set T3PROBE_GATEWAY_TOKEN"),
    "404": (answering("404 No"), "answers 404; name the URL of a Pushgateway"),
    "500": (answering("500 No"), "answers 500"),
    "redirect": (
        answering("302 Found", b"", "Location: http://127.0.0.1:1/elsewhere"),
        "redirects to http://127.0.0.1:1/elsewhere (302), which is not followed",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_gateway_in_trouble(kind: str, tmp_path: Path) -> None:
    handler, words = CASES[kind]
    with serving(handler) as server:
        run = OneRun(server.url, spool(tmp_path / "spool"), seconds=1.0)
        begun = run.start()
        report = run.end({DROP: 2})
    assert not begun.ok
    assert words in begun.sentence
    assert begun.sentence.endswith("no zeros were written")
    assert not report.ok
    assert report.sentence.startswith(f"the gateway at 127.0.0.1:{server.port} ")
    assert words in report.sentence
    assert "its counts, 2 drops among them, wait in" in report.sentence
    assert report.sentence.isprintable()
    assert len(list((tmp_path / "spool").glob("batch-*"))) == 1
    # Of a GiB, no more is read than the bound and what the sockets' buffers hold.
    assert server.sent < 2 * (12 << 20 if kind == "1 GiB" else 48 << 20)


@pytest.mark.parametrize(
    ("keep", "drops", "words"),
    [
        (True, 2, "its counts, 2 drops among them, wait in {} for the next push"),
        (True, 0, "its counts wait in {} for the next push"),
        (False, 2, "the 2 drops of this run are lost, and the next push that finds {} says so"),
        (False, 1, "the 1 drop of this run is lost, and the next push that finds {} says so"),
        (False, 0, "this run saw no drop, its other counts are lost"),
        (None, 2, "the 2 drops of this run are lost"),
    ],
)
def test_what_became_of_the_counts(
    keep: bool | None, drops: int, words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "memory"
    memory = None if keep is None else spool(folder, keep)
    report = OneRun(DEAD, memory).end({DROP: drops}, {"t3serve": [0.1]})
    expected = f"the gateway at 127.0.0.1:1 refuses connections; {words.format(folder)}"
    assert report.sentence == expected


def test_a_listener_that_never_accepts(tmp_path: Path) -> None:
    with socket.socket() as listener, socket.socket() as fills:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fills.connect(listener.getsockname())
        port = listener.getsockname()[1]
        report = OneRun(f"http://127.0.0.1:{port}", seconds=0.3).end({DROP: 2})
    assert "in time; the 2 drops of this run are lost" in report.sentence


def test_a_push_that_is_refused_after_the_read(tmp_path: Path) -> None:
    def handler(sock: socket.socket, request: bytes, server: servers.Server) -> None:
        good = request.startswith(b"GET")
        (answering("200 OK", GOOD) if good else answering("503 Later"))(sock, request, server)

    with serving(handler) as server:
        run = OneRun(server.url, seconds=1.0)
        assert "answers 503; no zeros were written" in run.start().sentence
        assert "answers 503; this run saw no drop" in run.end().sentence
        assert [one.split(b" ")[0] for one in server.requests].count(b"PUT") == 3


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("name", "trusted", "words"),
    [
        ("other.example", True, "shows a certificate that is not accepted ("),
        ("localhost", False, "shows a certificate that is not accepted ("),
        ("localhost", True, "wrote"),
    ],
)
def test_tls_is_verified(
    name: str, trusted: bool, words: str, authority: trustme.CA, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    environ = {"T3PROBE_GATEWAY_CA_FILE": str(file)} if trusted else {}
    with serving(answering("200 OK", GOOD), server_context(authority, name)) as server:
        url = f"https://localhost:{server.port}"
        run = OneRun(url, seconds=2.0)
        run.push.wire.site = Site(url, login_of("gateway", environ))
        assert words in run.end({}).sentence
        assert bool(server.requests) == (words == "wrote")


def test_an_unusable_ca_file_is_named(tmp_path: Path) -> None:
    with serving(servers.silent) as server:
        url = f"https://localhost:{server.port}"
        run = OneRun(url, seconds=1.0)
        run.push.wire.site = Site(url, Login(ca_file=str(tmp_path / "none.pem")))
        report = run.end({})
    assert f"cannot be trusted, the CA file {tmp_path}/none.pem is unusable" in report.sentence


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({"T3PROBE_GATEWAY_TOKEN": "abc"}, b"Authorization: Bearer abc\r\n"),
        (
            {"T3PROBE_GATEWAY_USER": "me", "T3PROBE_GATEWAY_PASSWORD": "pa:ss"},
            b"Authorization: Basic bWU6cGE6c3M=\r\n",
        ),
        ({}, b""),
    ],
)
def test_the_login_is_sent(environ: dict[str, str], header: bytes) -> None:
    with serving(answering("200 OK", GOOD)) as server:
        site = Site(server.url + "/base/", login_of("gateway", environ))
        exchange(site, "GET", "/api/v1/metrics", Budget(SystemClock(), 2))
    assert server.requests[0].startswith(b"GET /base/api/v1/metrics HTTP/1.1\r\n")
    assert header in server.requests[0]
    assert (b"Authorization" in server.requests[0]) == bool(header)


def test_the_login_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    login = login_of("gateway", {"T3PROBE_GATEWAY_TOKEN_FILE": str(tmp_path / "token")})
    assert login.headers() == {"Authorization": "Bearer abc"}
    assert "abc" not in repr(login)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"T3PROBE_GATEWAY_TOKEN": "a", "T3PROBE_GATEWAY_USER": "b"}, "found both"),
        ({"T3PROBE_GATEWAY_USER": "b"}, "found one"),
        ({"T3PROBE_GATEWAY_TOKEN": ""}, "T3PROBE_GATEWAY_TOKEN"),
    ],
)
def test_a_login_that_contradicts_itself(environ: dict[str, str], words: str) -> None:
    with pytest.raises((ValueError, DeploymentError), match=words):
        login_of("gateway", environ)


def test_a_name_that_cannot_be_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(Trouble) as caught:
        exchange(Site("http://gateway.example"), "GET", "/", Budget(SystemClock(), 2))
    assert caught.value.what == "has a name that cannot be resolved"


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answering("200 OK", b"here")) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        answer = exchange(Site("http://gateway.example"), "GET", "/", Budget(SystemClock(), 2))
    assert bytes(answer.body) == b"here"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", DEAD)
    with serving(answering("200 OK", b"here")) as server:
        answer = exchange(Site(server.url), "GET", "/", Budget(SystemClock(), 2))
    assert answer.status == 200


@pytest.mark.parametrize("url", ["http://me:geheim@h:99999", "ftp://me:geheim@h", "//me:geheim@["])
def test_a_login_in_a_url_is_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL") as found:
        Site(url)
    assert "geheim" not in str(found.value)
