"""Where a person's record comes from: a file, or the responder that keeps it for an hour."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import PurePath

from t3probe.config.errors import DeploymentError
from t3probe.config.secrets import login_of
from t3probe.exchange.bounds import CLIENT_RECORD_BYTES, CLIENT_RECORD_SECONDS
from t3probe.exchange.client import Answer, Budget, Site, Trouble, exchange
from t3probe.exchange.files import NotAFileError, TooLargeError, read_regular
from t3probe.record.client import ClientRecord, read_client
from t3probe.record.facts import RecordError
from t3probe.text import keep, showable, without_login
from t3probe.timing import Clock

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{8}", re.ASCII)
_ALIKE = str.maketrans("OIL", "011")
"""Letters that codes do not have, and what somebody meant who wrote them (Crockford's base 32)."""
_FORM = "https://HOST/probe/#CODE"


def read_source(source: str, clock: Clock, environ: Mapping[str, str]) -> tuple[str, ClientRecord]:
    """A name for it, and the record that `source` means. Raises RecordError, one sentence."""
    if _URL.match(source):
        return _fetched(source, clock, environ)
    try:
        content = read_regular(source, CLIENT_RECORD_BYTES)
    except (NotAFileError, TooLargeError) as error:
        raise _error(source, str(error.strerror), "name the file that the page saved") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "a name that no file can have"
        raise _error(source, f"cannot be read ({why})", "name the file that the page saved") from (
            error
        )
    return PurePath(source).stem, read_client(content, showable(source))


def _fetched(source: str, clock: Clock, environ: Mapping[str, str]) -> tuple[str, ClientRecord]:
    url, _, code = source.partition("#")
    shown = without_login(url)
    code = code.strip().upper().translate(_ALIKE)
    if not _CODE.fullmatch(code):
        what = "no code of eight letters and digits behind #"
        raise _error(shown, what, f"write {_FORM}")
    keep(code)
    try:
        site = Site(url, login_of("records", environ))
    except DeploymentError as error:
        advice = "mend the variable, or leave it out where the responder asks for no token"
        raise _error(shown, showable(str(error)), advice) from error
    except ValueError as error:
        raise _error(shown, showable(str(error)), f"write {_FORM}") from error
    if site.parts.scheme != "https" and not _loopback(site.host):
        raise _error(shown, "expected https, found http", f"write {_FORM}")
    if site.parts.query:
        raise _error(shown, "expected the page's address, found a query in it", f"write {_FORM}")
    try:
        answer = exchange(
            site,
            "GET",
            f"/records/{code}",
            Budget(clock, CLIENT_RECORD_SECONDS),
            headers={"Accept": "application/json"},
            max_bytes=CLIENT_RECORD_BYTES,
        )
    except Trouble as error:
        raise _error(site.name, error.what, "try again, or ask the person for the file") from error
    if answer.status != 200:
        raise _error(site.name, *_refused(answer))
    return "record", read_client(answer.body, site.name)


def _refused(answer: Answer) -> tuple[str, str]:
    """What went wrong and what to do."""
    status = answer.status
    if status in (401, 403):
        return (
            f"did not take the token (HTTP {status})",
            "set T3PROBE_RECORDS_TOKEN_FILE to the file that the responder was started with",
        )
    if status == 404:
        return (
            "has no record of that code (HTTP 404)",
            "records are kept for an hour; ask the person to send it again",
        )
    if 300 <= status < 400:
        return (
            f"leads elsewhere (HTTP {status}), which is not followed",
            "name the page's own address, behind the rule that lets it past the sign-on",
        )
    return f"answered HTTP {status}", "try again, or ask the person for the file"


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error(where: str, problem: str, advice: str) -> RecordError:
    return RecordError(showable(where), problem, advice)
