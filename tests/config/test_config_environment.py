"""Values from the environment in place of the file's."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import NOW, RICH, SMALL, read, sentence

from t3probe.config import load


def test_a_key_of_a_table_that_the_file_has_not() -> None:
    assert read(SMALL, {"T3PROBE__TIMING__HOLD": "5s"}).timing.hold == 5


def test_the_environment_goes_before_the_file() -> None:
    assert read(RICH, {"T3PROBE__TIMING__WATCHDOG": "9s"}).timing.watchdog == 9


def test_case_and_dashes_do_not_matter() -> None:
    text = SMALL.replace('"cloudflare"', '"cloud-flare.1"')
    deployment = read(text, {"T3PROBE__leg__Cloud_Flare_1__URL": "ws://127.0.0.1:1/"})
    assert deployment.leg("cloud-flare.1").url == "ws://127.0.0.1:1/"


def test_a_name_with_two_dashes_can_be_addressed() -> None:
    text = SMALL.replace('"cloudflare"', '"cloud--flare"')
    deployment = read(text, {"T3PROBE__LEG__CLOUD__FLARE__URL": "ws://127.0.0.1:1/"})
    assert deployment.legs[0].url == "ws://127.0.0.1:1/"


@pytest.mark.parametrize(
    ("variable", "value", "leg", "field", "expected"),
    [
        ("LEG__EGRESS__ANY_OF", "false", "egress", "any_of", False),
        ("LEG__EGRESS__ANY_OF", "1", "egress", "any_of", True),
        ("LEG__EGRESS__ADDRESSES", "a:1, b:2", "egress", "addresses", ("a:1", "b:2")),
        ("LEG__EGRESS__ADDRESSES", '["a:1"]', "egress", "addresses", ("a:1",)),
        ("LEG__EGRESS__RTT_LIMIT", "5ms", "egress", "rtt_limit", 0.005),
        ("UPSTREAM__WEB_1__LISTEN_PORT", "81", "envoy-web-1", "listen_port", 81),
        (
            "UPSTREAM__WEB_1__SHARES",
            "wan,host",
            "envoy-web-1",
            "path",
            ("wan", "host", "upstream-web-1"),
        ),
        ("PUBLIC__PROBE__PREFIX", "/probe/", "walloff-probe", "prefix", "/probe/"),
        ("WALLED__HOME__PIN", "10.9.9.9:1", "walled-home", "pin", "10.9.9.9:1"),
    ],
)
def test_entries_are_addressed_by_name(
    variable: str, value: str, leg: str, field: str, expected: object
) -> None:
    assert getattr(read(RICH, {f"T3PROBE__{variable}": value}).leg(leg), field) == expected


RECEIVERS = f"""{SMALL}
[[delivery.remote_write]]
url = "http://a.example/w"
"""
OTHER = """
[[delivery.remote_write]]
name = "the-other.one"
url = "http://b.example/w"
"""


@pytest.mark.parametrize(
    ("text", "variable", "value", "urls"),
    [
        (RECEIVERS, "REMOTE_WRITE__URL", "http://c.example/", ["http://c.example/"]),
        (
            RECEIVERS + OTHER,
            "REMOTE_WRITE__THE_OTHER_ONE__URL",
            "http://c.example/",
            ["http://a.example/w", "http://c.example/"],
        ),
        (SMALL, "REMOTE_WRITE", '[{url = "http://c.example/"}]', ["http://c.example/"]),
        (RECEIVERS, "REMOTE_WRITE", "", []),
    ],
)
def test_receivers_are_addressed_inside_their_table(
    text: str, variable: str, value: str, urls: list[str]
) -> None:
    found = read(text, {f"T3PROBE__DELIVERY__{variable}": value}).delivery.remote_write
    assert [one.url for one in found] == urls


def test_a_file_that_holds_a_secret_is_no_secret() -> None:
    name = "T3PROBE__DELIVERY__REMOTE_WRITE__TOKEN_FILE"
    (one,) = read(RECEIVERS, {name: "/run/token"}).delivery.remote_write
    assert one.token_file == "/run/token"
    name = "T3PROBE__DELIVERY__REMOTE_WRITE__TOKEN"
    assert "expected no secret here, found one" in sentence(RECEIVERS, {name: "abcdefgh"})


def test_a_receiver_that_is_not_there() -> None:
    name = "T3PROBE__DELIVERY__REMOTE_WRITE__MAIN__URL"
    assert "nothing is known after" in sentence(RECEIVERS, {name: "http://c.example/"})


def test_paths_of_a_receiver_start_at_the_files_folder(tmp_path: Path) -> None:
    file = tmp_path / "d.toml"
    file.write_text(f'{RECEIVERS}token_file = "t"\nmax_age = "2h"\nmax_bytes = 100000\n')
    (one,) = load(file, {}, now=NOW).delivery.remote_write
    assert (one.token_file, one.max_age, one.max_bytes) == (str(tmp_path / "t"), 7200, 100000)


def test_statuses_paths_segments_and_dates() -> None:
    text = SMALL.replace("ws_echo", "http").replace("wss:", "https:")
    text += '[[downtime]]\nleg = "cloudflare"\nuntil = 2023-01-01\n'
    deployment = read(
        text,
        {
            "T3PROBE__LEG__CLOUDFLARE__EXPECT_STATUS": "200, 404",
            "T3PROBE__PATHS": '[["wan"], ["tunnel"]]',
            "T3PROBE__SEGMENTS": "wan,tunnel",
            "T3PROBE__DOWNTIME__CLOUDFLARE__UNTIL": "2099-01-01",
        },
    )
    assert deployment.legs[0].expect_status == (200, 404)
    assert deployment.paths == (("wan",), ("tunnel",))
    assert deployment.downtime[0].until.year == 2099
    assert deployment.warnings == ()


def test_an_empty_value_takes_the_key_away() -> None:
    assert read(RICH, {"T3PROBE__DELIVERY__GATEWAY": ""}).delivery.gateway is None
    assert sentence(SMALL, {"T3PROBE__NAME": ""}) == (
        "T3PROBE__NAME: expected a string, found nothing"
    )


def test_the_vantage_has_a_variable_of_its_own() -> None:
    assert read(RICH, {"T3PROBE_VANTAGE": "cluster"}).vantage == "cluster"
    both = {"T3PROBE_VANTAGE": "cluster", "T3PROBE__VANTAGE": "lan"}
    assert read(RICH, both).vantage == "cluster"
    assert read(RICH, {"T3PROBE_VANTAGE": ""}).vantage == "lan"
    assert sentence(RICH, {"T3PROBE_VANTAGE": "My LAN"}).startswith(
        "T3PROBE_VANTAGE: expected 1 to"
    )


def test_the_real_environment_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(SMALL)
    monkeypatch.setenv("T3PROBE__TIMING__HOLD", "7s")
    assert load(file, now=NOW).timing.hold == 7
    assert load(file, {}, now=NOW).timing.hold == 35


def test_other_variables_are_none_of_ours() -> None:
    environ = {
        "T3PROBE_LOOPBACK_ONLY": "1",
        "T3PROBE_X_FILE": "y",
        "PATH": "z",
        "MYT3PROBE__X": "1",
    }
    assert read(SMALL, environ) == read(SMALL)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "T3PROBE__TIMNG__HOLD",
            "5s",
            "T3PROBE__TIMNG__HOLD: expected a variable that addresses the deployment file, found "
            '"TIMNG"; did you mean "T3PROBE__TIMING__HOLD"?',
        ),
        (
            "T3PROBE__ZEBRA",
            "5s",
            "T3PROBE__ZEBRA: expected a variable that addresses the deployment file, found "
            '"ZEBRA"; known after T3PROBE__: NAME, SEGMENTS, PATHS, TLS_CA, VANTAGE, SPREAD, '
            "LOCAL, TRUST_REFUSALS, MARKS, GLOSS, TIMING, SSO",
        ),
        (
            "T3PROBE__TIMING__HOLT",
            "5s",
            "T3PROBE__TIMING__HOLT: expected a variable that addresses the "
            'deployment file, found "HOLT"; '
            'did you mean "T3PROBE__TIMING__HOLD"?',
        ),
        (
            "T3PROBE__LEG__CLOUDFARE__URL",
            "wss://a/",
            "T3PROBE__LEG__CLOUDFARE__URL: expected a variable that addresses the deployment file, "
            'found "CLOUDFARE"; did you mean "T3PROBE__LEG__CLOUDFLARE__URL"?',
        ),
        (
            "T3PROBE__PUBLIC__PROBE__URL",
            "https://a/",
            "T3PROBE__PUBLIC__PROBE__URL: expected a variable that addresses the deployment file, "
            'found "PROBE"; nothing is known after T3PROBE__PUBLIC__',
        ),
        (
            "T3PROBE__TIMING",
            "5s",
            "T3PROBE__TIMING: expected the name of a key, found a whole table; "
            "add __KEY of [timing]",
        ),
        (
            "T3PROBE__LEG__URL",
            "wss://a/",
            "T3PROBE__LEG__URL: expected a variable of the form T3PROBE__LEG__NAME__KEY, found "
            '"T3PROBE__LEG__URL"',
        ),
        (
            "T3PROBE__NAME__X",
            "a",
            "T3PROBE__NAME__X: expected nothing after T3PROBE__NAME, found more",
        ),
        (
            "T3PROBE__DELIVERY__TOKEN",
            "hunter2",
            "T3PROBE__DELIVERY__TOKEN: expected no secret here, found one; put "
            "secrets in the environment "
            "as T3PROBE_NAME or in a file named by T3PROBE_NAME_FILE",
        ),
        (
            "T3PROBE__DELIVERY__GATEWAY",
            "http://user:hunter2@gateway/",
            "T3PROBE__DELIVERY__GATEWAY: expected a URL without a user and a "
            "password, found one that has "
            "them; put secrets in the environment as T3PROBE_NAME or in a file "
            "named by T3PROBE_NAME_FILE",
        ),
        (
            "T3PROBE__LEG__CLOUDFLARE__PATH",
            "wan,tunel",
            "T3PROBE__LEG__CLOUDFLARE__PATH: expected a declared segment, found "
            '"tunel"; did you mean "tunnel"?',
        ),
        (
            "T3PROBE__LEG__CLOUDFLARE__ANY_OF",
            "yes",
            'T3PROBE__LEG__CLOUDFLARE__ANY_OF: expected true or false, found "yes"',
        ),
        (
            "T3PROBE__PATHS",
            "wan,tunnel",
            'T3PROBE__PATHS: expected an array of arrays, found "wan,tunnel"',
        ),
        (
            "T3PROBE__SEGMENTS",
            '["wan"]\nname = "x"',
            'T3PROBE__SEGMENTS: expected an array of strings, found "[\\"wan\\"]\\nname = \\"x\\""',
        ),
        (
            "T3PROBE__LEG__CLOUDFLARE__URL",
            "wss://\x1b[31m\udc80/",
            "T3PROBE__LEG__CLOUDFLARE__URL: expected text without control characters, found "
            '"wss://\\x1b[31m\\udc80/"',
        ),
    ],
)
def test_a_variable_that_cannot_be_used(variable: str, value: str, said: str) -> None:
    assert sentence(SMALL, {variable: value}) == said


def test_two_variables_for_one_key() -> None:
    environ = {"T3PROBE__TIMING__HOLD": "1s", "T3PROBE__timing__hold": "2s"}
    assert sentence(SMALL, environ) == (
        "T3PROBE__timing__hold: expected one variable for one key, found "
        '"T3PROBE__TIMING__HOLD" as well'
    )


def test_a_name_that_two_entries_answer_to() -> None:
    second = SMALL.partition("[[leg]]")[2].replace('"cloudflare"', '"cloud_flare"')
    text = SMALL.replace('"cloudflare"', '"cloud-flare"') + "[[leg]]" + second
    assert sentence(text, {"T3PROBE__LEG__CLOUD_FLARE__URL": "wss://a/"}) == (
        "T3PROBE__LEG__CLOUD_FLARE__URL: expected a name that means one entry, found "
        '"cloud-flare" and "cloud_flare"'
    )


def test_the_one_of_two_values_that_the_environment_broke_is_named() -> None:
    text = SMALL + '[timing]\nwatchdog = "20s"\nconnect_timeout = "5s"\n'
    assert sentence(text, {"T3PROBE__TIMING__WATCHDOG": "2s"}) == (
        "T3PROBE__TIMING__WATCHDOG: expected at least connect_timeout, which is 5s, found 2s"
    )
    assert sentence(text + 'deadline = "50s"\n', {"T3PROBE__TIMING__HOLD": "1m"}) == (
        "T3PROBE__TIMING__HOLD: expected at most deadline, which is 50s, found 1m"
    )
    assert sentence(RICH, {"T3PROBE__LEG__ECHO__PIN": "10.0.0.1"}) == (
        "T3PROBE__LEG__ECHO__PIN: expected only one of resolve, pin and doh, found pin and doh"
    )


@pytest.mark.parametrize("whole", ["", '[{url = "http://c.example/w", name = "c"}]'])
def test_a_whole_array_and_one_of_its_entries_are_not_both_set(whole: str) -> None:
    array = "T3PROBE__DELIVERY__REMOTE_WRITE"
    text = (
        SMALL
        + """
[[delivery.remote_write]]
url = "http://a.example/w"
name = "a"
[[delivery.remote_write]]
url = "http://b.example/w"
name = "b"
"""
    )
    for entry in ("A", "B"):
        environ = {array: whole, f"{array}__{entry}__URL": "http://d.example/w"}
        assert f'found "{array}", which sets the whole, as well' in sentence(text, environ)


def test_a_way_to_resolve_can_be_replaced() -> None:
    environ = {"T3PROBE__LEG__ECHO__PIN": "10.0.0.1", "T3PROBE__LEG__ECHO__DOH": ""}
    environ["T3PROBE__LEG__RESOLVER__QUERY"] = "app.example"
    leg = read(RICH, environ).leg("echo")
    assert (leg.pin, leg.doh) == ("10.0.0.1", ())


def test_a_file_that_is_wrong_where_a_variable_points_is_still_named() -> None:
    assert sentence("timing = 3\n" + SMALL, {"T3PROBE__TIMING__HOLD": "5s"}) == (
        "some/x.toml: timing: expected a table, found 3"
    )
