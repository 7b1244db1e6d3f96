"""Messages by webhook: one request each, signed, in the form that its receiver reads.

`json` is our own form, `SCHEMA` in `docs/operations.md`. With a secret each request has
`T3Probe-Signature: sha256=HEX`, the HMAC-SHA256 of its body (RFC 2104).
2xx is taken; 400, 409, 413 and 422 say that this message never will be; all else is later: that a
login or an address is refused is a mistake that somebody mends.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from t3probe import AGENT
from t3probe.config.delivery import Webhook
from t3probe.config.receivers import webhook_site_of
from t3probe.config.secrets import login_of, secret
from t3probe.deliver.notices import Posted
from t3probe.deliver.notices.outbox import Message
from t3probe.exchange.client import Budget, Login, Site, Trouble, exchange
from t3probe.text import cut, keep_url, plain, showable
from t3probe.text.words import utc

SIGNATURE = "T3Probe-Signature"
NEVER = frozenset({400, 409, 413, 422})
NTFY_BYTES = 3800
"""ntfy makes a file of a longer message."""
SLACK_CHARACTERS = 35_000


class Hook(msgspec.Struct, frozen=True):
    """One receiver of messages."""

    url: str
    template: str = "json"
    name: str = ""
    login: Login = msgspec.field(default_factory=Login)
    secret: str = ""
    """Signs; empty: no signature."""


def hook_of(table: Webhook, environ: Mapping[str, str], ca_file: str | None = None) -> Hook:
    """A receiver of `[[delivery.webhook]]` with its secrets. Raises DeploymentError or ValueError,
    one sentence."""
    site = webhook_site_of(table.name)
    start = f"T3PROBE_{site.upper()}"
    given = secret(f"{site}_url", environ)
    if given is not None and table.url is not None:
        raise ValueError(f"expected url or {start}_URL, found both; take one away")
    url = given or table.url
    if url is None:
        raise ValueError(f"expected url in [[delivery.webhook]] or {start}_URL, found neither")
    if given is not None:
        keep_url(given)
    Site(url)
    return Hook(
        url=url,
        template=table.template,
        name=table.name,
        login=login_of(site, environ, table.tls_ca or ca_file),
        secret=secret(f"{site}_secret", environ) or "",
    )


def request_of(hook: Hook, message: Message) -> tuple[str, str | None, bytes, dict[str, str]]:
    """Method, path behind the URL (None: none), body and headers."""
    subject = cut(plain(message.subject), 160)
    text = "\n".join(plain(line) for line in message.text.splitlines())
    headers = {"Content-Type": "application/json"}
    method, path = "POST", None
    match hook.template:
        case "slack":
            # What Slack reads as a command to it (`<!channel>`) is text here.
            safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            body = _json({"text": safe[:SLACK_CHARACTERS]})
        case "ntfy":
            body = text.encode()[:NTFY_BYTES]
            headers = {"Content-Type": "text/plain; charset=utf-8", "Title": subject}
        case "matrix":
            # The same id twice is one message (Matrix client-server API, "Sending events").
            method, path = "PUT", f"/{message.id}"
            body = _json({"msgtype": "m.text", "body": text})
        case _:
            body = _json(_own(message, subject, text))
    if hook.secret:
        digest = hmac.new(hook.secret.encode(), body, hashlib.sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={digest}"
    return method, path, body, headers


def post(hook: Hook, message: Message, budget: Budget) -> Posted:
    """Send one message. Never raises for what a server may answer."""
    site = Site(hook.url, hook.login)
    named = f" {hook.name}" if hook.name else ""
    where = f"the webhook{named} at {site.name}"
    method, path, body, headers = request_of(hook, message)
    try:
        answer = exchange(site, method, path, budget, body=body, headers=headers)
    except Trouble as trouble:
        return Posted(False, f"{where} {trouble.what}", ok=False)
    if 200 <= answer.status < 300:
        return Posted(True, f"{where}: sent")
    said = showable(answer.body, 120)
    what = f"answers {answer.status}" + (f" ({said})" if said else "")
    if answer.status in NEVER:
        return Posted(True, f"{where} {what}; the message is lost", ok=False)
    if 300 <= answer.status < 400:
        what += ", a redirect, which is not followed; name that URL"
    elif answer.status in {401, 403, 404, 405, 410}:
        start = f"T3PROBE_{webhook_site_of(hook.name).upper()}"
        what += f"; look at its URL, and at {start}_TOKEN"
    return Posted(False, f"{where} {what}", ok=False)


def _own(message: Message, subject: str, text: str) -> dict[str, Any]:
    return {
        "version": 1,
        "sender": AGENT,
        "id": message.id,
        "sent_at": utc(message.at),
        "subject": subject,
        "text": text,
        "lost": message.lost,
        "notices": [
            {"id": one.id, "at": utc(one.at), "subject": plain(one.subject), **one.facts}
            for one in message.notices
        ],
    }


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()
