"""Where an answer leads, as a browser reads it; no server."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from t3probe.probes.http_wire import Headers
from t3probe.probes.redirects import Cookies, Url, host_of, leads_on, onward, parse, resolve


def url(text: str) -> Url:
    found = parse(text)
    assert found is not None, text
    return found


BASE = url("http://app.example:8080/a/b?q=1")
HERE = "http://app.example:8080"


@pytest.mark.parametrize(
    ("reference", "leads"),
    [
        # Relative references (RFC 3986 section 5.4).
        ("c", f"{HERE}/a/c"),
        ("c/", f"{HERE}/a/c/"),
        ("./c", f"{HERE}/a/c"),
        ("../c", f"{HERE}/c"),
        ("../../../c", f"{HERE}/c"),
        (".", f"{HERE}/a/"),
        ("..", f"{HERE}/"),
        ("/c/./d/../e", f"{HERE}/c/e"),
        ("/c/..", f"{HERE}/"),
        ("?x", f"{HERE}/a/b?x"),
        ("?", f"{HERE}/a/b?"),
        ("", f"{HERE}/a/b?q=1"),
        ("#part", f"{HERE}/a/b?q=1"),
        ("c#part?x", f"{HERE}/a/c"),
        ("c?x#y", f"{HERE}/a/c?x"),
        ("/", f"{HERE}/"),
        ("/c?/../d", f"{HERE}/c?/../d"),
        # A colon later on is no scheme.
        ("./a:b", f"{HERE}/a/a:b"),
        # Escapes: dots are dots, everything else stays as it is.
        ("/%2e%2E/c", f"{HERE}/c"),
        ("/x/%2E/c", f"{HERE}/x/c"),
        ("/x/.%2e/c", f"{HERE}/c"),
        ("/x%2fy", f"{HERE}/x%2fy"),
        ("/a b", f"{HERE}/a%20b"),
        ("/\xc3\xbc", f"{HERE}/%C3%BC"),
        ("/\xfc", f"{HERE}/%C3%BC"),
        # What is not there: white space at the ends, tabs and line ends anywhere.
        ("  /c\t", f"{HERE}/c"),
        ("/c\td\re\nf", f"{HERE}/cdef"),
        ("ht\ttp://other.example/", "http://other.example/"),
        # A backslash is a slash.
        ("\\c", f"{HERE}/c"),
        ("c\\d", f"{HERE}/a/c/d"),
        ("\\\\other.example\\c", "http://other.example/c"),
        ("/\\other.example/c", "http://other.example/c"),
        ("/c?x=\\d", f"{HERE}/c?x=\\d"),
        # A host without a scheme, and a scheme without its slashes.
        ("//other.example/c", "http://other.example/c"),
        ("///other.example/c", "http://other.example/c"),
        ("http:c", f"{HERE}/a/c"),
        ("http:/c", f"{HERE}/c"),
        ("http:?x", f"{HERE}/a/b?x"),
        ("https:/c/d", "https://c/d"),
        ("https:c/d", "https://c/d"),
        ("https:\\\\c\\d", "https://c/d"),
        # One origin in many forms.
        ("HTTP://APP.Example:8080/c", f"{HERE}/c"),
        ("//app.example:08080/c", f"{HERE}/c"),
        ("//app.example.:8080/c", f"{HERE}/c"),
        ("//%61pp.example:8080/c", f"{HERE}/c"),
        ("//me:secret@app.example:8080/c", f"{HERE}/c"),
        ("//app.example@app.example:8080/c", f"{HERE}/c"),
        ("//app\u3002example:8080/c", f"{HERE}/c"),
        ("//\uff41pp.example:8080/c", f"{HERE}/c"),
        ("http://app.example:8080", f"{HERE}/"),
        ("http://app.example:8080?x", f"{HERE}/?x"),
        # Default ports.
        ("http://app.example:80/c", "http://app.example/c"),
        ("https://app.example:443/c", "https://app.example/c"),
        ("http://app.example:/c", "http://app.example/c"),
        ("http://app.example:443/c", "http://app.example:443/c"),
        # Others, though they look alike.
        ("//app.example:8081/c", "http://app.example:8081/c"),
        ("//app.example@other.example:8080/c", "http://other.example:8080/c"),
        ("http://app.example:8080@other.example/", "http://other.example/"),
        ("//app.example:8080.other.example/c", None),
        ("//other.example\\@app.example:8080/c", "http://other.example/@app.example:8080/c"),
        ("//other.example/@app.example:8080/c", "http://other.example/@app.example:8080/c"),
        ("//app.example%2eother/", "http://app.example.other/"),
        # Where nobody can go.
        ("javascript:alert(1)", None),
        ("about:blank", None),
        ("mailto:a@app.example", None),
        ("app.example:8080/c", None),
        ("http://", None),
        ("//", None),
        ("http://[", None),
        ("http://[::1/", None),
        ("http://app.example:99999/", None),
        ("http://app.example:http/", None),
        ("http://a b/", None),
        ("http://a%00b/", None),
        ("http://1.2.3.999/", None),
    ],
)
def test_where_a_reference_leads(reference: str, leads: str | None) -> None:
    found = resolve(BASE, reference)
    assert (None if found is None else str(found)) == leads


SEGMENTS = st.lists(st.sampled_from(["a", "bc", ".", "..", "d.e", "%41"]), max_size=5)
REFERENCES = st.builds(
    lambda slash, parts, query: slash + "/".join(parts) + query,
    st.sampled_from(["", "/"]),
    SEGMENTS,
    st.sampled_from(["", "?x=1", "#y"]),
)


@given(REFERENCES)
def test_plain_references_are_resolved_as_the_standard_library_does(reference: str) -> None:
    found = resolve(BASE, reference)
    assert found is not None
    assert str(found) == urljoin(str(BASE), reference.partition("#")[0])


@given(st.text())
@example("http:\x00")
@example("//\ud800/")
@example("//xn--\u00fc/")
@example("//" + "\u00fc" * 300)
@example("//0x" + "f" * 5000)
@example("//" + "9" * 5000)
def test_no_reference_breaks_it_and_each_target_can_be_sent(reference: str) -> None:
    found = resolve(BASE, reference)
    if found is not None:
        assert found.target.startswith("/")
        assert not {*found.target + found.authority} & {*map(chr, range(33)), "\x7f"}
        assert found.target.isascii()
        assert resolve(BASE, str(found)) == found


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]"], "[::1]"),
        (["[2001:DB8::A]", "[2001:db8:0:0::a]"], "[2001:db8::a]"),
        (["127.0.0.1", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "0x7F000001", "127.0.0.1.",
          "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "\uff11\uff12\uff17.0.0.1"], "127.0.0.1"),
        (["B\u00dcCHER.example", "bu\u0308cher.example", "xn--bcher-kva.example",
          "XN--BCHER-KVA.example", "b%C3%BCcher.example", "b\xc3\xbccher.example"],
         "xn--bcher-kva.example"),
        (["stra\u00dfe.example"], "xn--strae-oqa.example"),
        (["1e2.example", "1E2.EXAMPLE"], "1e2.example"),
        (["", ".", "[::1", "[1.2.3.4]", "a/b", "a%2fb", "%ff", "a:b", "1.2.3.4.5", "256.1.1.1",
          "08.1"], ""),
        (["1.2.3.0x"], "1.2.3.0"),
    ],
)  # fmt: skip
def test_hosts_have_one_form(names: list[str], host: str) -> None:
    assert {name: host_of(name) for name in names} == dict.fromkeys(names, host)


def test_a_websocket_has_the_origin_of_its_handshake() -> None:
    assert url("ws://a.example/x").origin == url("http://A.example:80/y").origin
    assert url("wss://a.example/x").origin == url("https://a.example/y").origin
    assert url("wss://a.example/x").origin != url("http://a.example:443/y").origin


@pytest.mark.parametrize("status", range(300, 400))
def test_which_statuses_lead_on(status: int) -> None:
    goes = status in {301, 302, 303, 307, 308}
    assert leads_on(status) is goes
    found = onward(status, {"location": "/x"}, b"", BASE)
    assert (found == resolve(BASE, "/x")) is goes


@pytest.mark.parametrize(
    ("locations", "leads"),
    [
        ([], None),
        ([""], None),
        (["", "/x"], f"{HERE}/x"),
        (["/x", "/x"], f"{HERE}/x"),
        (["/x", "/y"], None),
        (["/x, /y"], f"{HERE}/x,%20/y"),
    ],
)
def test_several_locations_lead_nowhere(locations: list[str], leads: str | None) -> None:
    headers = Headers(("Location", one) for one in locations)
    found = onward(302, headers, b"", BASE)
    assert (None if found is None else str(found)) == leads


META = b'<META content="0; URL=/x" HTTP-EQUIV=Refresh>'


@pytest.mark.parametrize(
    ("headers", "body", "leads"),
    [
        ({"refresh": "0; url=/x"}, b"", True),
        ({"refresh": "0;URL='/x'"}, b"", True),
        ({"refresh": "1, /x"}, b"", True),
        ({"refresh": "0.5;url = /x"}, b"", True),
        ({"refresh": "2; url=/x"}, b"", False),
        ({"refresh": "30"}, b"", False),
        ({"refresh": "0; url="}, b"", False),
        ({"refresh": "0; url=/a/b?q=1"}, b"", False),  # only this page again
        ({"refresh": "soon; url=/x"}, b"", False),
        ({"content-type": "text/html"}, META, True),
        ({"content-type": "text/plain"}, META, False),
        ({"content-type": "text/html"}, b"<meta http-equiv='refresh' content='0;url=x&amp;y'>",
         True),
        ({"content-type": "text/html"}, b"<meta http-equiv=refresh content=5;url=/x>", False),
        ({"content-type": "text/html"}, b"<meta name=refresh content='0;url=/x'>", False),
        ({"location": "/x"}, b"", False),
    ],
)  # fmt: skip
def test_what_refreshes_at_once_leads_on(headers: dict[str, str], body: bytes, leads: bool) -> None:
    assert (onward(200, headers, body, BASE) is not None) is leads


@given(st.integers(100, 999), st.text(), st.text(), st.binary(max_size=300))
def test_no_answer_breaks_it(status: int, location: str, refresh: str, body: bytes) -> None:
    headers = {"location": location, "refresh": refresh, "content-type": "text/html"}
    onward(status, headers, body + META[:-1] + body, BASE)


# -- cookies -------------------------------------------------------------------------------------

SECURE = url("https://app.example/in/x")


def given_back(*lines: str, at: str = "/in/y", from_: Url = SECURE) -> str:
    cookies = Cookies()
    for line in lines:
        cookies.take(Headers([("Set-Cookie", line)]), from_)
    return cookies.given(from_._replace(path=at))


@pytest.mark.parametrize(
    ("line", "back"),
    [
        ("a=1", True),
        ("a=1; Path=/", True),
        ("a=1; Path=/in; Secure; HttpOnly; SameSite=None", True),
        ("a=1; Path=/in/y", True),
        ("a=1; Path=/in/y/", False),
        ("a=1; Path=/i", False),
        ("a=1; Domain=example", True),
        ("a=1; domain=.APP.example", True),
        ("a=1; Domain=other.example", False),
        ("a=1; Domain=p.example", False),
        ("a=1; Max-Age=60", True),
        ("a=1; Max-Age=0", False),
        ("a=1; Max-Age=-1", False),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", False),
        ("a=1; Expires=Thu, 01 Jan 2970 00:00:00 GMT", True),
        ("a=1; expires=Thu, 01-Jan-70 00:00:01 GMT", False),
        ("a=1; expires=Fri, 31-Dec-1999 23:59:59 GMT", False),
        ("a=1; expires=Fri, 31-Dec-99 23:59:59 GMT", False),
        ("a=1; expires=Fri, 31-Dec-27 23:59:59 GMT", True),
        ("a=1; expires=Mon, 01 Jan 1601 00:00:00 GMT", False),
        ("a=1; Expires=never", True),
        ("=1", False),
        ("a=" + "1" * 5000, False),
    ],
)
def test_which_cookies_a_browser_gives_back(line: str, back: bool) -> None:
    assert given_back(line) == ("a=1" if back else "")


def test_cookies_are_replaced_taken_back_and_ordered() -> None:
    assert given_back("a=1", "a=2") == "a=2"
    assert given_back("a=1", "a=; Max-Age=0") == ""
    assert given_back("a=1; Path=/", "b=2; Path=/in/y", "c=3; Path=/in") == "b=2; c=3; a=1"
    assert given_back("a=1; Secure", from_=SECURE._replace(scheme="http")) == ""
    assert given_back(*(f"n{at}=1" for at in range(90))).count("=") == 50
