"""What a leg shows to be let in, read anew for every connection and every request.

So a file that was changed counts from the next request on, and a Secret that Kubernetes mounts,
too, whose whole folder is swapped by one link. It goes over verified TLS to the URL's own host, as
the file's checks hold; no probe follows a redirect with it, and whoever is asked on the way
(resolvers, the SSO, the rules around it) gets none.

A credential that cannot be read is nobody's fault but ours. One that is refused says that a request
came as far as whoever reads credentials, and neither who that was nor whether he is right: it may
have run out, or the one who lets people in may be broken. So it clears nothing and accuses nobody,
and the leg is inconclusive. That goes for 401, 403 and 407, for the SSO's answer and for any
redirect that the file does not expect: who is let in is served. Other failures count as ever.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from t3probe.config.check_legs import has_credential
from t3probe.config.errors import DeploymentError
from t3probe.config.secrets import headers_in, secret_in
from t3probe.config.types import Leg, Sso
from t3probe.exchange.bounds import SECRET_BYTES
from t3probe.exchange.files import NotAFileError, TooLargeError, read_regular
from t3probe.probes.base import Probing
from t3probe.probes.facts import ProbeError
from t3probe.probes.redirects import Url, leads_on, onward
from t3probe.probes.sso import sso_answer, wants
from t3probe.text import keep_login, showable

__all__ = ["certified", "has_credential", "headers_of", "refused"]

_REFUSALS = frozenset({401, 403, 407})


def headers_of(leg: Leg) -> dict[str, str]:
    """The headers of a leg's credential as they are now. Raises ProbeError, one that tells
    nothing, when there is none to be read."""
    try:
        return _headers(leg)
    except DeploymentError as error:
        raise _ours(str(error)) from None


def _headers(leg: Leg) -> dict[str, str]:
    found: dict[str, str] = {}
    if leg.headers_file is not None:
        found = headers_in(leg.headers_file, "headers_file")
    own: dict[str, str] = {}
    if leg.bearer_file is not None:
        own["Authorization"] = f"Bearer {_word(leg.bearer_file, 'bearer_file')}"
    if leg.basic_file is not None:
        text = _one(leg.basic_file, "basic_file")
        _, colon, password = text.partition(":")
        if not colon:
            raise _wrong("basic_file", "user:password", "no colon")
        own["Authorization"] = f"Basic {base64.b64encode(text.encode()).decode()}"
        keep_login(own["Authorization"], password)
    if leg.access_id_file is not None and leg.access_secret_file is not None:
        own["CF-Access-Client-Id"] = _word(leg.access_id_file, "access_id_file")
        own["CF-Access-Client-Secret"] = _word(leg.access_secret_file, "access_secret_file")
    names = {one.lower() for one in own}
    twice = next((one for one in found if one.lower() in names), None)
    if twice is not None:
        raise _wrong("headers_file", "each header once", "one that another file gives, too")
    return found | own


def _one(file: str, where: str) -> str:
    found = secret_in(file, where)
    if found is None:
        raise _wrong(where, "the name of a readable file that holds the secret", "no such file")
    return found


def _word(file: str, where: str) -> str:
    found = _one(file, where)
    if not found.isascii() or " " in found:
        raise _wrong(where, "one word of ASCII characters", "something else")
    return found


def _wrong(where: str, expected: str, actual: str) -> DeploymentError:
    return DeploymentError(file="", key="", expected=expected, actual=actual, variable=where)


def _ours(words: str) -> ProbeError:
    return ProbeError("token_refused", "connect", words, conclusive=False)


def certified(leg: Leg, probing: Probing) -> Probing:
    """What a run lends to a leg's probe, with the leg's client certificate. Raises ProbeError, one
    that tells nothing, when there is none that can be used."""
    if leg.tls_cert is None:
        return probing
    key = leg.tls_key or leg.tls_cert
    digest = hashlib.sha256()
    for name, file in (("tls_cert", leg.tls_cert), ("tls_key", key)):
        try:
            content = read_regular(file, SECRET_BYTES)
        except NotAFileError:
            raise _ours(str(_wrong(name, "a PEM file", "something that is no file"))) from None
        except TooLargeError:
            expected = f"a PEM file of at most {SECRET_BYTES} bytes"
            raise _ours(str(_wrong(name, expected, "a larger one"))) from None
        except (OSError, ValueError) as problem:
            why = getattr(problem, "strerror", None) or "a name that no file can have"
            why = why[0].lower() + why[1:]
            raise _ours(str(_wrong(name, "a readable PEM file", why))) from None
        digest.update(hashlib.sha256(content).digest())
    try:
        store = probing.tls.certified(leg.tls_cert, key, digest.digest())
    except (ssl.SSLError, OSError, ValueError):
        expected = "a certificate in PEM and its key, without a passphrase"
        raise _ours(str(_wrong("tls_cert", expected, "something else"))) from None
    return replace(probing, tls=store)


def refused(
    leg: Leg, status: int, headers: Mapping[str, Any], body: bytes, sso: Sso, asked: Url | None
) -> str:
    """How an answer refuses the leg's credential, in words; empty when it does not, and for a leg
    without one."""
    if not has_credential(leg):
        return ""
    wall = sso_answer(status, headers, body, sso, asked)
    words = ""
    if wall is not None:
        words = wall
    elif status in _REFUSALS:
        login = wants(headers) if status == 401 else ""
        words = f"HTTP {status}{': ' if login else ''}{login}"
    elif leads_on(status):
        to = onward(status, headers, b"", asked)
        words = f"HTTP {status}"
        if to is not None:
            words += f", a redirect to {showable(to, 80)}, where no credential goes"
    return f"our credential is refused: {words}; is it the current one?" if words else ""
