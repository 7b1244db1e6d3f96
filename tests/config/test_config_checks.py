"""Checks and sentences beside the pinned invalid files: their edges."""

from __future__ import annotations

import tomllib

import pytest
from config_helpers import PROVIDERS, RICH, SMALL, read, sentence

from t3probe.text.names import MADE_LEGS, MADE_SEGMENTS, made_prefix

HTTP = SMALL.replace("ws_echo", "http").replace("wss:", "https:")
TCP = SMALL.replace("ws_echo", "tcp").replace('url = "wss://app.example/ws"\n', "")


@pytest.mark.parametrize("status", [100, 599])
def test_the_ends_of_the_range_of_statuses(status: int) -> None:
    assert read(HTTP + f"expect_status = [{status}]").legs[0].expect_status == (status,)


@pytest.mark.parametrize("status", [99, 600, -200])
def test_beyond_the_range_of_statuses(status: int) -> None:
    assert f"found {status}" in sentence(HTTP + f"expect_status = [{status}]")


def test_true_is_no_number() -> None:
    assert sentence(HTTP + "expect_status = [true]").endswith(
        "leg[0].expect_status (cloudflare): expected a whole number, found true"
    )


def test_a_segment_twice_in_a_real_path() -> None:
    assert sentence('paths = [["wan", "wan"]]\n' + SMALL) == (
        'some/x.toml: paths[0]: expected each segment once, found "wan" twice'
    )


def test_an_address_twice() -> None:
    assert sentence(TCP + 'addresses = ["a:1", "b:1", "a:1"]').endswith(
        'leg[0].addresses (cloudflare): expected each address once, found "a:1" twice'
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.3:1", "[::ffff:127.0.0.3]:1"),
        ("[fd00::5]:1", "[FD00:0:0::5]:1"),
        ("[::1]:1", "[0:0:0:0:0:0:0:1]:1"),
        ("A.example:1", "a.example:1"),
    ],
)
def test_an_address_twice_in_two_forms(one: str, other: str) -> None:
    assert f'expected each address once, found "{other}" twice' in sentence(
        TCP + f'addresses = ["{one}", "{other}"]'
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://1.1.1.1/dns-query", "https://[::ffff:1.1.1.1]:443/dns-query"),
        ("https://[fd00::5]/dns-query", "https://[FD00::0005]/dns-query"),
    ],
)
def test_a_doh_provider_twice_in_two_forms(one: str, other: str) -> None:
    text = HTTP.replace("[[leg]]", f'[[leg]]\ndoh = ["{one}", "{other}"]', 1)
    assert f'expected each DoH provider once, found "{other}" twice' in sentence(text)


@pytest.mark.parametrize("prefix", MADE_LEGS)
def test_a_leg_is_not_called_like_one_that_a_table_makes(prefix: str) -> None:
    text = HTTP.replace('name = "cloudflare"', f'name = "{prefix}x"')
    assert f"expected a name that does not begin with {prefix}" in sentence(text)
    # Only at the beginning.
    read(HTTP.replace('name = "cloudflare"', f'name = "x-{prefix}x"'))


@pytest.mark.parametrize("prefix", MADE_SEGMENTS)
def test_a_segment_is_not_called_like_one_that_a_table_makes(prefix: str) -> None:
    text = SMALL.replace("segments = [", f'segments = ["{prefix}x", ', 1)
    assert f"expected a name that does not begin with {prefix}" in sentence(text)


def test_every_made_name_begins_with_a_prefix_that_is_refused() -> None:
    rich, written = read(RICH), tomllib.loads(RICH)
    made = [
        one.name for one in rich.legs if one.name not in {leg["name"] for leg in written["leg"]}
    ]
    assert len(made) == sum(len(written[table]) for table in ("public", "walled", "upstream"))
    assert all(made_prefix(one, MADE_LEGS) for one in made)
    assert all(made_prefix(one, MADE_SEGMENTS) for one in rich.own_segments)
    assert len(rich.own_segments) >= len(("public", "walled", "upstream"))


def test_any_of_one_address() -> None:
    assert sentence(TCP + 'address = "a:1"\nany_of = true').endswith(
        "leg[0].any_of (cloudflare): expected any_of only beside addresses, found it beside address"
    )


def test_a_bare_ipv6_address() -> None:
    assert sentence(TCP + 'address = "fd00::1"').endswith('found "fd00::1"; write [address]:port')


def test_a_resolver_asks_for_names() -> None:
    leg = (
        f'[[leg]]\nname = "r"\nkind = "doh"\npath = ["wan"]\ndoh = {PROVIDERS}\nquery = "10.0.0.1"'
    )
    assert sentence(SMALL + leg) == (
        'some/x.toml: leg[1].query (r): expected a name to ask for, found "10.0.0.1"'
    )


@pytest.mark.parametrize("header", ["app.example", "app.example:8443", "[fd00::1]:1", "10.0.0.1"])
def test_hosts_to_send(header: str) -> None:
    assert read(HTTP + f'host_header = "{header}"').legs[0].host_header == header


@pytest.mark.parametrize("header", ["", "a:0", "a b", "a:b"])
def test_hosts_that_cannot_be_sent(header: str) -> None:
    assert "leg[0].host_header (cloudflare): expected" in sentence(
        HTTP + f'host_header = "{header}"'
    )


def test_a_long_value_is_cut() -> None:
    said = sentence(SMALL.replace("wss://", "x" * 500))
    assert said.endswith(f'found "{"x" * 60}..."')


def test_a_secret_is_masked_in_sentences_about_something_else() -> None:
    text = SMALL.replace('kind = "ws_echo"', 'kind = "https://a/?b=c&token=hunter2&d=e"')
    assert 'found "https://a/?b=c&token=***&d=e"' in sentence(text)
    text = SMALL.replace('kind = "ws_echo"', 'kind = "https://u:hunter2@a/"')
    assert 'found "https://***@a/"' in sentence(text)


@pytest.mark.parametrize("key", ["password", "auth_token", "API-Key", "client_secret", "Cookie"])
def test_keys_that_name_a_secret(key: str) -> None:
    said = sentence(SMALL + f'"{key}" = "hunter2"')
    assert f"leg[0].{key} (cloudflare): expected no secret here, found one" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("name", ["a", "0", "a.b_c-d", "a" * 63])
def test_safe_names(name: str) -> None:
    assert read(SMALL.replace("cloudflare", name)).legs[0].name == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "_a", "A", "a b", "é", "a/b", "a" * 64, "a:b"])
def test_unsafe_names(name: str) -> None:
    for good in ("example", "cloudflare"):
        assert "1 to 63 of a-z" in sentence(SMALL.replace(f'"{good}"', f'"{name}"'))


def test_a_prefix_may_be_the_whole_path_and_its_end_must_match() -> None:
    text = RICH.replace('prefix = "/probe"', 'prefix = "/probe/healthz"')
    assert read(text).leg("walloff-probe").prefix == "/probe/healthz"
    assert "found" in sentence(RICH.replace('prefix = "/probe"', 'prefix = "/"'))


def test_entries_of_one_name_cannot_be_addressed() -> None:
    text = RICH + '[[downtime]]\nleg = "echo"\nuntil = 2024-01-01\n'
    assert sentence(text, {"T3PROBE__DOWNTIME__ECHO__WHY": "x"}) == (
        "T3PROBE__DOWNTIME__ECHO__WHY: expected one entry of [[downtime]] called "
        '"ECHO", found several'
    )


def test_tables_of_the_wrong_type() -> None:
    assert sentence("leg = 3\n" + SMALL.partition("[[leg]]")[0]).endswith(
        "leg: expected an array of tables, found 3"
    )
    assert sentence("leg = [3]\n" + SMALL.partition("[[leg]]")[0]).endswith(
        "leg[0]: expected a table, found 3"
    )
    assert sentence('paths = ["wan"]\n' + SMALL).endswith(
        'paths[0]: expected an array of strings, found "wan"'
    )
