"""Text for people: foreign text made showable, secrets masked, and lines that fit a terminal.

A peer chooses what it says, and may quote what we sent: our token, its own cookie. So text
from outside goes through `showable` before it becomes part of a sentence or a record: secrets
are masked by their form and, where they are ours, by their value, in each way of writing that a
quotation may use; what moves a cursor or hides is replaced; what is long is cut. `plain` is for
sentences of ours, whose foreign parts went through `showable`: it knows only our own secrets, since
a leg may be called `session` and have something said behind a colon. It makes everything printable
ASCII, one column a character, so that a log without an encoding shows it.

Secrets are kept where they are read (`keep`). What a server lent us, such as a cookie, is masked in
foreign text alone: or a server could choose which words of a verdict vanish. Pure.
"""

from __future__ import annotations

import re
import textwrap
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "MASK",
    "SHORTEST_SECRET",
    "WIDTH",
    "cut",
    "distinct",
    "fold",
    "keep",
    "keep_lent",
    "keep_login",
    "keep_url",
    "keeps",
    "masked",
    "matcher",
    "plain",
    "short",
    "showable",
    "without_login",
    "without_ours",
    "without_secrets",
]

MASK = "***"
SHORTEST_SECRET = 6
"""Characters. What is shorter is no secret by its value: it would mask parts of common words."""
MOST_LENT = 64
"""Values that servers lent us and that are kept: the newest ones."""

# Patterns stay text until the first mistake: a run in which all is well does not pay for them.
# A value that begins so was masked, or cut, before: text that is shown twice stays as it is.
_LEFT = r"(?![\\\"']{0,3}(?:\*{3}|\.{3}))"
_HEADER = (
    rf"(?i)((?<![\w.-])(?:(?:set-)?cookie2?|(?:proxy-)?authorization)\\*+[\"']?\s*+[:=]\s*+"
    rf"\\*+[\"']?){_LEFT}[^\"'\r\n]++"
)
_NAMED = (
    r"(?i)((?<![\w.-])(?>[\w.-]*?(?:ticket|token|secret|passw|passphrase|cookie|session"
    r"|authorization|credential|(?:api|private|access).?key|signature))[\w.-]*+\\*+[\"']?\s*+"
    r"([:=]|%3[ad])\s*+(?:(?:bearer|basic)\s++)?+)"
    rf"(?!expected ){_LEFT}(?:\\*+\"[^\"]*+\"?+|\\*+'[^']*+'?+|[^\s,;&]++)"
)
_QUERY = (
    r"(?i)([?&;](?:code|key|sig|sid|auth|pwd|pass|jwt|otp|pin|state|nonce|assertion|saml\w*+)=)"
    rf"{_LEFT}[^\s&;\"'<>]++"
)
_WORD = rf"(?i)\b(bearer|basic)\s++{_LEFT}[^\s,;(][^\s,;]*+"
_JWT = r"(?<![\w-])eyJ[\w-]{8,}+(?:\.[\w-]*+){1,2}"
_URL = r"//[^\s\"'<>]++"

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SAFE = (
    _UNRESERVED,
    _UNRESERVED | {"/"},
    _UNRESERVED | set("!$&'()*+,;=:@/?"),
    _UNRESERVED - set("-._~"),
    frozenset[str](),
)
"""What those who percent-encode leave as it is."""
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}
_XML = {**_HTML, "'": "&apos;"}
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that Python calls printable and that are invisible."""


class _Secrets:
    """Values, and the forms of them; replaced as a whole, since a thread may look at them."""

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()
        self._whole: tuple[str, ...] = ()
        self._forms: tuple[str, ...] | None = ()

    def add(self, value: str, most: int = 1 << 10, *, whole: bool = False) -> None:
        """Keep a value; of more than `most` the newest. `whole`: just as it is written."""
        if len(value) < SHORTEST_SECRET:
            return
        if whole:
            if value not in self._whole:
                self._whole = (*self._whole, value)[-most:]
                self._forms = None
        elif value not in self._values:
            self._values = (*self._values, value)[-most:]
            self._forms = None

    @property
    def forms(self) -> tuple[str, ...]:
        """All forms of all values, the longest first."""
        if self._forms is None:
            found = {*self._whole, *(form for one in self._values for form in _forms(one))}
            self._forms = tuple(sorted(found, key=lambda one: (-len(one), one)))
        return self._forms


_OWN, _LENT = _Secrets(), _Secrets()


def keep(secret: str) -> str:
    """Mask this secret of ours from now on, wherever it is shown; the secret itself."""
    _OWN.add(secret)
    return secret


def keeps() -> bool:
    """Whether there is any secret of ours."""
    return bool(_OWN.forms)


def keep_login(header: str, *secrets: str) -> None:
    """The same for a login: its secrets, and the word that its Authorization header ends with."""
    for one in secrets:
        _OWN.add(one)
    _OWN.add(header.rpartition(" ")[2], whole=True)


def keep_url(url: str) -> None:
    """The same for a URL that may hold a key, as those of dead man's switches do: what follows its
    host, and each part of that which looks like one."""
    rest = url.partition("//")[2].replace("?", "/?").partition("/")[2]
    _OWN.add("/" + rest.replace("/?", "?"))
    for part in rest.replace("?", "/").replace("&", "/").replace("=", "/").split("/"):
        if len(part) >= 8 and not (part.isalpha() and part.islower()):
            _OWN.add(part)


def keep_lent(value: str) -> None:
    """Mask what a server lent us, such as the value of a cookie, in foreign text."""
    _LENT.add(value, MOST_LENT)


def _forms(secret: str) -> Iterator[str]:
    """How a secret may stand in a quotation; those of few characters are left out."""
    found = {secret, *_written(secret), *_in_base64(secret)}
    yield from (one for one in found if len(one) >= SHORTEST_SECRET)


def _written(secret: str) -> Iterator[str]:
    data = secret.encode("utf-8", "replace")
    yield data.decode("latin-1")
    yield data.hex()
    yield data.hex().upper()
    for safe in _SAFE:
        for digits in ("02X", "02x"):
            text = "".join(chr(one) if chr(one) in safe else f"%{one:{digits}}" for one in data)
            yield text
            yield text.replace("%20", "+")
    yield from (repr(secret)[1:-1], ascii(secret)[1:-1])
    slashed = secret.replace("\\", "\\\\").replace('"', '\\"')
    for text in (slashed, slashed.replace("/", "\\/")):
        yield text
        yield "".join(one if " " <= one <= "~" else f"\\u{ord(one):04x}" for one in text)
    for entities in (_HTML, _XML):
        yield "".join(entities.get(one, one) for one in secret)


def _in_base64(secret: str) -> Iterator[str]:
    """Alone, and inside of something longer: then the characters that are its own, in each of the
    three places that it may have in a group of three bytes."""
    data = secret.encode("utf-8", "replace")
    for text in (data, data + b"\n"):
        whole = b2a_base64(text, newline=False).decode("ascii")
        yield from _alphabets(whole)
        yield from _alphabets(whole.rstrip("="))
    for before in range(3):
        coded = b2a_base64(b"\0" * before + data, newline=False).decode("ascii")
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        yield from _alphabets(coded[first:last])


def _alphabets(text: str) -> tuple[str, str]:
    return text, text.replace("+", "-").replace("/", "_")


def _without(text: str, forms: Iterable[str]) -> str:
    for one in forms:
        if one in text:
            text = text.replace(one, MASK)
    return text


def without_secrets(text: str) -> str:
    """Any text without our own secrets and those that a server lent us."""
    return _without(_without(text, _OWN.forms), _LENT.forms)


def without_ours(text: str) -> str:
    """Any text without our own secrets, and without the login of a URL."""
    text = _without(text, _OWN.forms)
    return re.sub(_URL, _no_login, text) if "@" in text and "//" in text else text


def masked(text: str) -> str:
    """Foreign text without secrets: ours, lent ones, and what has the form of one. Its line ends
    stay, and what is masked already stays as it is."""
    text = without_secrets(text)
    low = text.lower()
    if ":" in low or "=" in low or "%3" in low:
        text = re.sub(_HEADER, rf"\1{MASK}", text)
        text = re.sub(_NAMED, _no_value, text)
        text = re.sub(_QUERY, rf"\1{MASK}", text)
    if "bearer" in low or "basic" in low:
        text = re.sub(_WORD, rf"\1 {MASK}", text)
    if "eyj" in low:
        text = re.sub(_JWT, MASK, text)
    return re.sub(_URL, _no_login, text) if "@" in text and "//" in text else text


def _no_value(found: re.Match[str]) -> str:
    """What is said of a path, such as `/auth/session: HTTP 200`, is no value."""
    of_path = found[2] == ":" and found.string[: found.start()].endswith("/")
    return found[0] if of_path else f"{found[1]}{MASK}"


def _no_login(found: re.Match[str]) -> str:
    """A URL, or several in one, without a login. A password may hold any character, so a login
    goes to the last `@`; digits behind a colon are a port."""
    text, at = found[0], found[0].rfind("@")
    start = 0
    while 0 <= start < at:
        authority = re.match(r"[^/?#]*+", text[start + 2 :])
        assert authority is not None
        _, colon, port = authority[0].partition(":")
        if "@" in authority[0] or (colon and not re.fullmatch(r"\d{0,5}", port)):
            return f"{text[: start + 2]}{MASK}{text[at:]}"
        start = text.find("//", start + 2 + len(authority[0]))
    return text


def without_login(url: str) -> str:
    """A URL that somebody gave us, without its login, wherever that ends, and without secrets."""
    if "@" in url:
        url = re.sub(r"(?s)^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", rf"\1{MASK}@", url)
    return masked(url)


def plain(text: str, *, ascii: bool = True) -> str:
    """A sentence of ours on one line: without our secrets and without what moves or hides. Line
    breaks become spaces, anything else that cannot be shown a question mark.

    `ascii`: so does what is not ASCII, for a log without an encoding.
    """
    text = without_ours(text)
    if text.isascii() and text.isprintable():
        return text
    text = re.sub(r"[\t\n\v\f\r\x85\u2028\u2029]+", " ", text)
    if ascii:
        return re.sub(r"[^ -~]", "?", text)
    return "".join(one if one.isprintable() and one not in _FILLERS else "?" for one in text)


def showable(text: object, limit: int = 120, *, ascii: bool = True) -> str:
    """Foreign text on one line of at most `limit` characters: no secret, nothing that moves or
    hides, each run of blanks one space. Dots at its end say that there was more.

    Bytes are read as UTF-8. `ascii` as in `plain`.
    """
    # Half of a secret, where the text is cut first, must not be taken for anything else.
    spare = max((len(forms[0]) for forms in (_OWN.forms, _LENT.forms) if forms), default=0)
    room = 4 * limit + spare
    if isinstance(text, bytes):
        text = text[: 4 * room].decode("utf-8", "replace")
    whole = str(text)
    # A pattern sees what is shown: cleaned line by line, since a header ends with its line.
    rows = (" ".join(row.split()) for row in without_secrets(whole[:room]).splitlines())
    clean = masked("\n".join(plain(row, ascii=ascii) for row in rows if row)).replace("\n", " ")
    if len(whole) > room:
        clean = clean[: max(0, len(clean) - spare)]
    if len(clean) <= limit and len(whole) <= room:
        return clean
    return clean[: max(0, limit - 3)].rstrip("*") + "..."


WIDTH = 80


def cut(text: str, width: int = WIDTH) -> str:
    """One line of at most `width` characters; dots at its end say that there was more."""
    return text if len(text) <= width else text[: width - 3] + "..."


def distinct(
    names: Iterable[str], width: int, clean: Callable[[str], str] = plain
) -> dict[str, str]:
    """Each name for a column of `width` characters, no two of them alike; `clean` makes it fit to
    be printed.

    A tilde stands for what is left out: the end, or where that would make two names one, the
    middle. Names that differ in what is not shown get numbers.
    """
    cleaned = {name: clean(name) for name in names}
    alike: dict[str, list[str]] = {}
    for name, text in cleaned.items():
        alike.setdefault(short(text, width), []).append(name)
    found = {some[0]: text for text, some in alike.items() if len(some) == 1}
    taken = set(found.values())
    for some in (one for one in alike.values() if len(one) > 1):
        texts = _apart([cleaned[one] for one in some], width, taken)
        taken.update(texts)
        found |= zip(some, texts, strict=True)
    return {name: found[name] for name in cleaned}


def _apart(names: list[str], width: int, taken: set[str]) -> list[str]:
    """The longer the end that it takes, the less is left of the beginning."""
    for end in range(width // 3, width - 1):
        texts = [short(one, width, end) for one in names]
        if len(set(texts)) == len(texts) and taken.isdisjoint(texts):
            return texts
    texts, number = [], 0
    for one in names:
        text = short(one, width)
        while text in taken or text in texts:
            number += 1
            text = f"{one[: width - 1 - len(str(number))]}~{number}"
        texts.append(text)
    return texts


def short(name: str, width: int, end: int = 0) -> str:
    """At most `width` characters; of a longer name the beginning and the last `end`."""
    if len(name) <= width:
        return name
    return f"{name[: width - 1 - end]}~{name[-end:] if end else ''}"


def fold(text: str, width: int = WIDTH, indent: str = "  ") -> list[str]:
    """As many lines as it takes; all but the first begin with `indent`."""
    return textwrap.wrap(plain(text), width, subsequent_indent=indent, break_on_hyphens=False)


def matcher(label: str, operator: str, value: str) -> str:
    """One matcher as Alertmanager and amtool read it: its quotes know the escapes of Go."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{label}{operator}"{quoted}"'
