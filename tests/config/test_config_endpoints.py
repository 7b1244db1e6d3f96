"""URLs, pins and addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from t3probe.config import Wrong, parse_address, parse_pin, parse_url
from t3probe.config.endpoints import UrlParts, check_header_name, check_host, is_address, parse_doh

HTTP = ("http", "https")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://App.Example", UrlParts("https", "app.example", 443, "/")),
        ("http://10.0.0.1:3773/a/b?c=d", UrlParts("http", "10.0.0.1", 3773, "/a/b")),
        ("https://[fd00::1]:8443/", UrlParts("https", "fd00::1", 8443, "/")),
        ("https://app.example/@user", UrlParts("https", "app.example", 443, "/@user")),
        ("https://app.example:444/a@b", UrlParts("https", "app.example", 444, "/a@b")),
        ("https://my_host.example./%2e%2e", UrlParts("https", "my_host.example.", 443, "/%2e%2e")),
    ],
)
def test_urls(text: str, url: UrlParts) -> None:
    assert parse_url(text, HTTP) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "//app.example/",
        "https:app.example",
        "https:///",
        "ftp://app.example/",
        "https://",
        "https://app.example:0/",
        "https://app.example:x/",
        "https://app.example:65536/",
        "https://[fd00::1",
        "https://[app]/",
        "https://fd00::1/",
        "https://a..b/",
        "https://-a/",
        "https://1.2.3/",
        "https://10.0.0.256/",
        "https://a b/",
        "https://ü.example/",
        "https://app.example/a b",
        "https://app.example/\\x",
        "https://app.example/ü",
        "https://app.example/#",
        "https://app.example/\x1b",
        "https://[fe80::1%25eth0]/",
    ],
)
def test_urls_that_are_refused(text: str) -> None:
    with pytest.raises(Wrong):
        parse_url(text, HTTP)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@app/",
        "https://hunter2@app/",
        "https://user:hunt/hunter2@app/",
        "https://user:#hunter2@app/",
        "https://user:?hunter2@app/",
        "https://user:\\hunter2@app/",
        "ftp://user:hunter2@app/",
        "https://app/?access_token=hunter2",
        "https://app/?a=b&API-KEY=hunter2",
    ],
)
def test_a_secret_in_a_url_is_refused_before_anything_else(text: str) -> None:
    with pytest.raises(Wrong) as caught:
        parse_url(text, HTTP)
    problem = caught.value
    assert "hunter2" not in problem.expected + problem.hint + problem.found
    assert problem.found


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("10.0.0.1:443", ("10.0.0.1", 443)),
        ("db.example:5432", ("db.example", 5432)),
        ("[fd00::1]:1", ("fd00::1", 1)),
        ("a:65535", ("a", 65535)),
    ],
)
def test_addresses(text: str, pair: tuple[str, int]) -> None:
    assert parse_address(text) == pair


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "a:-1",
        "a:+1",
        "a:1.0",
        "a:٣",
        "fd00::1",
        "[fd00::1]",
        "[a]:1",
        "[10.0.0.1]:1",
        "fd00::1:1",
        "a b:1",
        "10.0.0.256:1",
        "a:1:1",
        "[fd00::1]x:1",
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(Wrong):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("10.0.0.1", ("10.0.0.1", None)),
        ("10.0.0.1:444", ("10.0.0.1", 444)),
        ("fd00::1", ("fd00::1", None)),
        ("[fd00::1]", ("fd00::1", None)),
        ("[fd00::1]:444", ("fd00::1", 444)),
    ],
)
def test_pins(text: str, pin: tuple[str, int | None]) -> None:
    assert parse_pin(text) == pin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:1",
        "10.0.0",
        "10.0.0.1:",
        "10.0.0.1:0",
        "10.0.0.1:x",
        "[10.0.0.1]",
        "fe80::1%eth0",
    ],
)
def test_pins_that_are_refused(text: str) -> None:
    with pytest.raises(Wrong):
        parse_pin(text)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (check_host, "a-b.example", "a/b"),
        (check_header_name, "cf-ray", "cf ray"),
        (check_header_name, "X-A", "X-A:"),
        (parse_doh, "https://[::1]:8443/dns-query", "https://localhost/dns-query"),
    ],
)
def test_small_checks(check: Callable[[str], object], good: str, bad: str) -> None:
    check(good)
    with pytest.raises(Wrong):
        check(bad)


@settings(deadline=None, database=None)
@given(st.text() | st.from_regex(r"\A(https?://)?[a-z:@/\[\].%0-9?#=&-]{0,30}\Z"))
@example("https://[::1]\u2100/")
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (lambda one: parse_url(one, HTTP), parse_address, parse_pin, parse_doh):
        try:
            parse(text)
        except Wrong:
            pass


@settings(deadline=None, database=None)
@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_can_be_written_and_read(address: object, port: int) -> None:
    host = str(address)
    shown = f"[{host}]" if ":" in host else host
    assert is_address(host)
    assert parse_address(f"{shown}:{port}") == (host, port)
    assert parse_pin(f"{shown}:{port}") == (host, port)
    assert parse_url(f"https://{shown}:{port}/", HTTP).port == port


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ws://::1/x", "write [::1]"),
        ("ws://::1", "write [::1]"),
        ("ws://2001:db8::1?x", "write [2001:db8::1]"),
        ("ws://::1:8080/x", "write [::1:8080], or [::1]:8080"),
        ("ws://1:2:3:4:5:6:7:8:443/", "write [1:2:3:4:5:6:7:8]:443"),
        ("ws://fe80::1%eth0/x", "an address with a zone is this machine's alone"),
        ("ws://[fe80::1%25eth0]:80/x", "an address with a zone is this machine's alone"),
        ("ws://host:http/x", "write 80"),
        ("ws://host:HTTPS/x", "write 443"),
        ("ws://010.0.0.1/x", "without zeros in front"),
        ("ws://1.2.3/x", ""),
        ("ws://host:99999/", ""),
    ],
)
def test_a_url_of_another_form_is_named(text: str, hint: str) -> None:
    with pytest.raises(Wrong) as refused:
        parse_url(text, ("ws", "wss"))
    assert hint in refused.value.hint if hint else refused.value.hint == ""


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("WS://HOST/x", "host"),
        ("ws://host./x", "host."),
        ("Wss://[::FFFF:1.2.3.4]/", "::ffff:1.2.3.4"),
    ],
)
def test_forms_that_mean_the_same_are_taken(text: str, host: str) -> None:
    found = parse_url(text, ("ws", "wss"))
    assert (found.scheme, found.host) == (text[:3].lower().rstrip(":"), host)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("::1", "write [address]:port"),
        ("10.0.0.1:https", "write 443"),
        ("http://10.0.0.1:80/", "leave out the scheme and the path"),
        ("10.0.0.1:443/x", "leave out / and what follows it"),
        ("fe80::1%eth0:22", "an address with a zone"),
        ("[fe80::1%eth0]:22", "an address with a zone"),
    ],
)
def test_an_address_of_another_form_is_named(text: str, hint: str) -> None:
    with pytest.raises(Wrong) as refused:
        parse_address(text)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.0.0.0/24", "leave out / and what follows it"),
        ("https://10.0.0.1", "leave out the scheme"),
        ("010.0.0.1:443", "without zeros in front"),
        ("10.0.0.1:https", "write 443"),
    ],
)
def test_a_pin_of_another_form_is_named(text: str, hint: str) -> None:
    with pytest.raises(Wrong) as refused:
        parse_pin(text)
    assert hint in refused.value.hint
