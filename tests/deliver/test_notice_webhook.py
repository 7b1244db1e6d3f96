"""Webhooks to a real server with TLS: the forms, the signature, and what its answers mean."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from t3probe.config.delivery import Webhook
from t3probe.deliver.notices import Notice
from t3probe.deliver.notices.outbox import message_of
from t3probe.deliver.notices.webhook import SIGNATURE, Hook, hook_of, post
from t3probe.exchange.client import Budget, Login
from t3probe.timing import SystemClock

NOTICE = Notice("cd" * 16, 1.7e9, "t3: <!channel> is broken", "t3: tunnel.\n", {"event": "broken"})
MESSAGE = message_of([NOTICE], 0, 1.7e9)


class Receiver:
    """What came, and what is answered."""

    def __init__(self, url: str, ca_file: str) -> None:
        self.url, self.ca_file, self.status = url, ca_file, 200
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    def send(self, template: str = "json", path: str = "/hook", **more: Any) -> Any:
        more.setdefault("login", Login(ca_file=self.ca_file))
        hook = Hook(url=self.url + path, template=template, **more)
        return post(hook, MESSAGE, Budget(SystemClock(), 30))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            here.requests.append((self.command, self.path, dict(self.headers.items()), body))
            self.send_response(here.status)
            self.send_header("Location", "https://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT = answer  # noqa: N815 - what the library looks for

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    here = Receiver(f"https://localhost:{server.server_port}", str(tmp_path / "ca.pem"))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield here
    server.shutdown()
    server.server_close()
    thread.join()


def test_our_own_form_is_signed(receiver: Receiver) -> None:
    assert receiver.send(secret="s3cret-of-the-hook").ok
    ((method, path, headers, body),) = receiver.requests
    assert (method, path) == ("POST", "/hook")
    digest = hmac.new(b"s3cret-of-the-hook", body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"sha256={digest}"
    said = json.loads(body)
    assert list(said) == [
        "version",
        "sender",
        "id",
        "sent_at",
        "subject",
        "text",
        "lost",
        "notices",
    ]
    assert said["notices"][0]["event"] == "broken"


def test_slack_ntfy_and_matrix_get_what_they_read(receiver: Receiver) -> None:
    login = Login(token="syt_token", ca_file=receiver.ca_file)
    assert receiver.send("slack").ok
    assert receiver.send("ntfy", "/topic").ok
    room = "/_matrix/client/v3/rooms/!a:b/send/m.room.message"
    assert receiver.send("matrix", room, login=login).ok
    slack, ntfy, matrix = receiver.requests
    assert json.loads(slack[3]) == {"text": "t3: tunnel."}
    assert ntfy[1] == "/topic"
    assert ntfy[2]["Title"] == "t3: <!channel> is broken"
    assert ntfy[3] == b"t3: tunnel."
    assert matrix[:2] == ("PUT", f"{room}/{'cd' * 16}")
    assert matrix[2]["Authorization"] == "Bearer syt_token"
    assert json.loads(matrix[3]) == {"msgtype": "m.text", "body": "t3: tunnel."}


@pytest.mark.parametrize(
    ("status", "over"),
    [(204, True), (400, True), (413, True), (401, False), (404, False), (302, False),
     (429, False), (503, False)],
)  # fmt: skip
def test_what_answers_mean(receiver: Receiver, status: int, over: bool) -> None:
    receiver.status = status
    posted = receiver.send()
    assert posted.over is over
    assert posted.ok is (status == 204)
    assert len(receiver.requests) == 1, "a redirect is not followed"


def test_an_untrusted_receiver_gets_nothing(receiver: Receiver) -> None:
    posted = receiver.send(login=Login(token="syt_token"))
    assert not posted.over
    assert not receiver.requests


def test_a_url_that_is_a_secret_comes_from_the_environment() -> None:
    environ = {"T3PROBE_WEBHOOK_TEAM_URL": "https://hooks.slack.test/T0/B0/key-of-slack"}
    hook = hook_of(Webhook(name="team", template="slack"), environ)
    assert hook.url.endswith("key-of-slack")
    with pytest.raises(ValueError, match="T3PROBE_WEBHOOK_URL, found neither"):
        hook_of(Webhook(), {})
    with pytest.raises(ValueError, match="found both"):
        hook_of(Webhook(name="team", url="https://h.test/"), environ)
