"""`[[opinion]]` in the deployment file."""

from __future__ import annotations

import pytest
from config_helpers import read, sentence

from t3probe.config.opinions import OpinionSource
from t3probe.config.table import Duration

START = """
name = "x"
segments = ["wan", "tunnel", "app"]
[[leg]]
name = "all"
kind = "http"
url = "http://127.0.0.1:1"
path = ["wan", "tunnel", "app"]
"""
CLOUDFLARED = """
[[opinion]]
name = "cfd"
kind = "cloudflared"
segment = "tunnel"
url = "http://10.0.0.1:20241"
"""
TRAEFIK = """
[[opinion]]
name = "traefik.2"
kind = "traefik"
segment = "app"
url = "https://traefik.example.org"
services = ["app@kubernetescrd"]
timeout = "500ms"
token_file = "token"
vantages = ["lan"]
"""


def test_both_kinds_are_read() -> None:
    first, second = read(START + CLOUDFLARED + TRAEFIK).opinion
    assert first == OpinionSource(
        name="cfd", kind="cloudflared", segment="tunnel", url="http://10.0.0.1:20241"
    )
    assert (float(first.timeout), float(second.timeout)) == (2.0, 0.5)
    assert isinstance(second.timeout, Duration)
    assert (second.services, second.vantages) == (("app@kubernetescrd",), ("lan",))
    assert str(second.token_file).endswith("/token")


def test_the_environment_reaches_it() -> None:
    variable = "T3PROBE__OPINION__CFD__URL"
    assert (
        read(START + CLOUDFLARED, {variable: "http://10.0.0.9:1"}).opinion[0].url.endswith(".9:1")
    )


@pytest.mark.parametrize(
    ("table", "old", "new", "said"),
    [
        (CLOUDFLARED, '"tunnel"', '"tunel"', 'expected a declared segment, found "tunel"; did you'),
        (CLOUDFLARED, '"cfd"', '"C fd"', "expected 1 to 63 of a-z"),
        (CLOUDFLARED, '"cloudflared"', '"envoy"', "opinion[0].kind"),
        (CLOUDFLARED, "http://10", "ftp://10", "expected a URL that starts with http:// or"),
        (CLOUDFLARED, ":20241", ":20241/?a=b", "expected a URL without a query"),
        (CLOUDFLARED, ":20241", ":20241/#a", "expected a URL without a fragment"),
        (
            CLOUDFLARED,
            "url =",
            'timeout = "11s"\nurl =',
            "expected at most 10s: a run waits for it",
        ),
        (
            CLOUDFLARED,
            "url =",
            'services = ["a@file"]\nurl =',
            "no services beside kind cloudflared",
        ),
        (
            CLOUDFLARED,
            "url =",
            'token_file = "x"\nurl =',
            "expected https:// or a loopback address",
        ),
        (CLOUDFLARED, "url =", 'token_file = ""\nurl =', "expected the name of a file"),
        (CLOUDFLARED, "url =", 'vantages = ["A B"]\nurl =', "opinion[0].vantages"),
        (CLOUDFLARED, "url =", "color = 5\nurl =", "color"),
        (TRAEFIK, "app@kubernetescrd", "app", "expected NAME@PROVIDER"),
        (TRAEFIK, "app@kubernetescrd", "../x@file", "expected NAME@PROVIDER"),
        (TRAEFIK, '"app@kubernetescrd"', '"a@file", "a@file"', "each service once"),
    ],
)
def test_a_mistake_is_one_sentence(table: str, old: str, new: str, said: str) -> None:
    assert old in table
    told = sentence(START + table.replace(old, new, 1))
    assert said in told
    assert "\n" not in told


def test_names_that_share_a_login_and_too_many_of_them() -> None:
    other = CLOUDFLARED.replace('"cfd"', '"c-fd"') + CLOUDFLARED.replace('"cfd"', '"c.fd"')
    assert 'opinion[1].name: expected a name that is not taken, found "c.fd"' in sentence(
        START + other
    )
    many = "".join(CLOUDFLARED.replace("cfd", f"cfd{at}") for at in range(17))
    assert "expected at most 16 opinions" in sentence(START + many)


def test_a_token_goes_to_loopback_without_tls() -> None:
    local = CLOUDFLARED.replace("10.0.0.1", "127.0.0.1") + 'token_file = "x"\n'
    assert read(START + local).opinion[0].token_file
    assert "loopback" in sentence(START + local.replace("127.0.0.1", "127.example.org"))
