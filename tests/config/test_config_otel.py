"""`[delivery.otlp]` and what the environment adds to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import NOW

from t3probe.config import Deployment, DeploymentError, loads
from t3probe.config.otel import Receiver, disabled, receiver_of
from t3probe.text import masked, without_ours

SMALL = """
name = "mine"
segments = ["a"]
[[leg]]
name = "one"
kind = "tcp"
address = "127.0.0.1:1"
path = ["a"]
"""
E = "OTEL_EXPORTER_OTLP_"
H = {f"{E}ENDPOINT": "http://h"}


def loaded(more: str = "", environ: dict[str, str] | None = None) -> Deployment:
    return loads(SMALL + more, environ=environ or {}, now=NOW)


def receiver(more: str = "", /, **environ: str) -> Receiver:
    deployment = loaded(f"[delivery.otlp]\n{more}")
    otlp = deployment.delivery.otlp
    assert otlp is not None
    return receiver_of(deployment, otlp, environ)


def where(found: Receiver) -> str:
    return f"{found.site.name}{found.site.target(None)}"


def test_the_environment_alone_switches_nothing_on() -> None:
    environ = {f"{E}ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "otlp"}
    assert loaded(environ=environ).delivery.otlp is None


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://h:4318", "h:4318/v1/traces"),
        ("http://h:4318/", "h:4318/v1/traces"),
        ("http://h/otlp", "h:80/otlp/v1/traces"),
        ("https://h/otlp/v1/traces", "h:443/otlp/v1/traces"),
    ],
)
def test_the_path_of_the_traces_is_put_behind_the_endpoint(endpoint: str, expected: str) -> None:
    assert where(receiver(f'endpoint = "{endpoint}"')) == expected
    assert where(receiver(**{f"{E}ENDPOINT": endpoint})) == expected


def test_who_goes_before_whom() -> None:
    environ = {f"{E}TRACES_ENDPOINT": "http://traces:1/as/it/is", f"{E}ENDPOINT": "http://all:1"}
    assert where(receiver(**environ)) == "traces:1/as/it/is"
    assert where(receiver('endpoint = "http://file:1"', **environ)) == "file:1/v1/traces"
    assert receiver('endpoint = "http://h"').seconds == 2.0
    assert receiver('endpoint = "http://h"', **{f"{E}TIMEOUT": "700"}).seconds == 0.7
    both = {f"{E}TIMEOUT": "700", f"{E}TRACES_TIMEOUT": "900"}
    assert receiver('endpoint = "http://h"', **both).seconds == 0.9
    assert receiver('endpoint = "http://h"\ntimeout = "1s"', **both).seconds == 1.0
    packed = {f"{E}COMPRESSION": "gzip"}
    assert not receiver('endpoint = "http://h"').gzip
    assert receiver('endpoint = "http://h"', **packed).gzip
    assert not receiver('endpoint = "http://h"\ncompression = "none"', **packed).gzip
    # An empty variable is one that is not set, by the specification.
    assert where(receiver(**{f"{E}TRACES_ENDPOINT": "", f"{E}ENDPOINT": "http://h:1"}))


def test_headers_and_tokens(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file\n")
    table = f'endpoint = "http://h"\ntoken_file = "{tmp_path / "token"}"\n'
    environ = {f"{E}HEADERS": "Authorization=Bearer%20from-headers, x-tenant=a%2Cb"}
    plain = receiver('endpoint = "http://h"', **environ)
    assert plain.headers == {"Authorization": "Bearer from-headers", "x-tenant": "a,b"}
    assert plain.site.login.headers() == {}
    found = receiver(table, **environ)
    assert found.site.login.headers() == {"Authorization": "Bearer from-the-file"}
    assert found.headers == {"x-tenant": "a,b"}
    with pytest.raises(ValueError, match="expected token_file or T3PROBE_OTLP_TOKEN, found both"):
        receiver(table, T3PROBE_OTLP_TOKEN="from-our-own")
    found = receiver('endpoint = "http://h"', T3PROBE_OTLP_TOKEN="from-our-own", **environ)
    assert found.site.login.headers() == {"Authorization": "Bearer from-our-own"}
    (tmp_path / "headers").write_text("x-honeycomb-team=k3y-of-the-team\n")
    found = receiver(
        'endpoint = "http://h"\nheaders = { X-Scope-OrgID = "one" }',
        T3PROBE_OTLP_HEADERS_FILE=str(tmp_path / "headers"),
    )
    assert found.headers == {"x-honeycomb-team": "k3y-of-the-team", "X-Scope-OrgID": "one"}
    for one in ("from-the-file", "from-headers", "from-our-own", "k3y-of-the-team"):
        assert without_ours(f"says {one}") == "says ***"
        assert one not in repr(found)
    assert masked("tenant one") == "tenant one"


def test_the_ca_file(tmp_path: Path) -> None:
    environ = {f"{E}CERTIFICATE": "/env.pem"}
    assert receiver('endpoint = "https://h"').site.login.ca_file is None
    assert receiver('endpoint = "https://h"', **environ).site.login.ca_file == "/env.pem"
    own = {**environ, "T3PROBE_OTLP_CA_FILE": "/own.pem"}
    assert receiver('endpoint = "https://h"', **own).site.login.ca_file == "/own.pem"


def test_who_sends() -> None:
    found = receiver('endpoint = "http://h"').resource
    assert found["service.name"] == "t3probe"
    assert found["service.version"]
    assert not [one for one in found if one.startswith("cicd")]
    attributes = "service.name=other,deployment.environment.name=prod%20east"
    found = receiver('endpoint = "http://h"', OTEL_RESOURCE_ATTRIBUTES=attributes).resource
    assert found["service.name"] == "other"
    assert found["deployment.environment.name"] == "prod east"
    environ = {"OTEL_RESOURCE_ATTRIBUTES": attributes, "OTEL_SERVICE_NAME": "mine"}
    assert receiver('endpoint = "http://h"', **environ).resource["service.name"] == "mine"
    broken = receiver('endpoint = "http://h"', OTEL_RESOURCE_ATTRIBUTES="a=1,nothing")
    assert "a" not in broken.resource
    assert "OTEL_RESOURCE_ATTRIBUTES: expected NAME=VALUE" in broken.notes[0]
    assert "left out" in broken.notes[0]


@pytest.mark.parametrize(
    ("environ", "name", "run", "url"),
    [
        (
            {"GITHUB_ACTIONS": "true", "GITHUB_WORKFLOW": "deploy", "GITHUB_RUN_ID": "7",
             "GITHUB_SERVER_URL": "https://g", "GITHUB_REPOSITORY": "o/r"},
            "deploy", "7", "https://g/o/r/actions/runs/7",
        ),
        (
            {"GITLAB_CI": "true", "CI_PROJECT_PATH": "o/r", "CI_PIPELINE_ID": "8",
             "CI_PIPELINE_URL": "https://l/8"},
            "o/r", "8", "https://l/8",
        ),
        (
            {"CI_WORKFLOW_NAME": "smoke", "CI_PIPELINE_NUMBER": "9",
             "CI_PIPELINE_URL": "https://w/9"},
            "smoke", "9", "https://w/9",
        ),
    ],
)  # fmt: skip
def test_in_ci_it_says_which_pipeline(
    environ: dict[str, str], name: str, run: str, url: str
) -> None:
    found = receiver('endpoint = "http://h"', **environ, CI="true").resource
    assert found["cicd.pipeline.name"] == name
    assert found["cicd.pipeline.run.id"] == run
    assert found["cicd.pipeline.run.url.full"] == url
    assert found["cicd.pipeline.task.type"] == "test"
    outside = receiver('endpoint = "http://h"', **environ).resource
    assert not [one for one in outside if one.startswith("cicd")]


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "deployment.toml: delivery.otlp.endpoint: expected the URL of a receiver, here or in "
             "OTEL_EXPORTER_OTLP_ENDPOINT, found none; write it like http://127.0.0.1:4318"),
        ({f"{E}ENDPOINT": "h:4317"}, f"{E}ENDPOINT: expected a URL that starts with http:// or "
                                     "https://"),
        ({f"{E}ENDPOINT": "http://h:1", f"{E}PROTOCOL": "grpc"}, f"{E}PROTOCOL: expected "
         f"http/protobuf, which is what t3probe speaks, found another protocol for the receiver of "
         f"{E}ENDPOINT"),
        ({**H, f"{E}TIMEOUT": "2s"}, f"{E}TIMEOUT: expected milliseconds"),
        ({**H, f"{E}COMPRESSION": "zstd"}, f"{E}COMPRESSION: expected gzip"),
        ({**H, f"{E}HEADERS": "hunter2"}, f"{E}HEADERS: expected NAME=VALUE"),
        ({**H, f"{E}HEADERS": "a=%ff"}, f"{E}HEADERS: expected UTF-8"),
        ({**H, f"{E}HEADERS": "a=hunter2%0d%0ab"}, f"{E}HEADERS: expected "
                                                                          "percent-encoded"),
        ({**H, f"{E}HEADERS": "Host=hunter2"}, f"{E}HEADERS: expected no Host"),
        ({**H, f"{E}HEADERS": "a b=hunter2"}, f"{E}HEADERS: expected NAME"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_environment_is_one_sentence(
    environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises((DeploymentError, ValueError)) as caught:
        receiver(**environ)
    assert str(caught.value).startswith(sentence)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_protocol_of_the_environment_is_not_that_of_an_endpoint_in_the_file() -> None:
    assert receiver('endpoint = "http://h"', **{f"{E}PROTOCOL": "grpc"})


def test_a_missing_token_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"token_file: expected the name of a"):
        receiver(f'endpoint = "http://h"\ntoken_file = "{tmp_path}/no/token"')


def test_variables_reach_the_table_in_a_table() -> None:
    environ = {
        "T3PROBE__DELIVERY__OTLP__ENDPOINT": "http://h:4318",
        "T3PROBE__DELIVERY__OTLP__TOKEN_FILE": "/run/secrets/token",
        "T3PROBE__DELIVERY__OTLP__TIMEOUT": "1s",
    }
    otlp = loaded(environ=environ).delivery.otlp
    assert otlp is not None
    assert (otlp.endpoint, otlp.token_file, otlp.timeout) == (
        "http://h:4318", "/run/secrets/token", 1.0
    )  # fmt: skip
    for name, words in (
        ("OTLP", "expected the name of a key, found a whole table; add __KEY of [delivery.otlp]"),
        ("OTLP__ENDPIONT", 'did you mean "T3PROBE__DELIVERY__OTLP__ENDPOINT"?'),
        ("OTLP__TOKEN", "expected no secret here"),
    ):
        with pytest.raises(DeploymentError) as caught:
            loaded(environ={f"T3PROBE__DELIVERY__{name}": "x"})
        assert words in str(caught.value)


def test_paths_start_at_the_file() -> None:
    otlp = loaded('[delivery.otlp]\ntoken_file = "token"').delivery.otlp
    assert otlp is not None
    assert otlp.token_file == str(Path.cwd() / "token")


@pytest.mark.parametrize(
    ("text", "off"), [("true", True), ("TRUE", True), ("1", False), ("", False)]
)
def test_the_switch_off(text: str, off: bool) -> None:
    assert disabled({"OTEL_SDK_DISABLED": text}) == off


SECRET = "team-secret-4711"


@pytest.mark.parametrize(
    ("endpoint", "ours"),
    [
        ("http://jaeger:4318", True),
        ("http://JAEGER:4318/v1/traces", True),
        ("http://jaeger:4317", False),
        ("https://jaeger:4318", False),
        ("https://api.vendor", False),
        ("no url", False),
    ],
)
@pytest.mark.parametrize("kind", ["", "TRACES_"])
def test_a_login_for_another_receiver_is_not_passed_on(
    endpoint: str, ours: bool, kind: str
) -> None:
    environ = {
        f"{E}{kind}ENDPOINT": endpoint, f"{E}HEADERS": f"x-team={SECRET}",
        f"{E}CERTIFICATE": "/vendor.pem", f"{E}COMPRESSION": "gzip",
    }  # fmt: skip
    found = receiver('endpoint = "http://jaeger:4318"', **environ)
    assert dict(found.headers) == ({"x-team": SECRET} if ours else {})
    assert found.site.login.ca_file == ("/vendor.pem" if ours else None)
    assert found.gzip is ours
    said = f"{E}HEADERS, {E}CERTIFICATE and {E}COMPRESSION left out: {E}{kind}ENDPOINT names"
    assert found.notes == (() if ours else (f"{said} another receiver",))
    own = receiver('endpoint = "http://jaeger:4318"', **environ, T3PROBE_OTLP_HEADERS="x-own=1")
    assert dict(own.headers) == {"x-own": "1"}
    alone = {f"{E}HEADERS": f"x-team={SECRET}"}
    assert dict(receiver('endpoint = "http://jaeger:4318"', **alone).headers) == {"x-team": SECRET}


def test_nor_to_a_receiver_of_the_command_line() -> None:
    from t3probe.config.delivery import Otlp

    environ = {f"{E}ENDPOINT": "https://api.vendor", f"{E}HEADERS": f"x-team={SECRET}"}
    assert dict(receiver_of(None, Otlp(endpoint="http://127.0.0.1:1"), environ).headers) == {}
