"""The command `t3probe manifests`: what it prints, and what it says about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from cluster_build import ROOT
from cluster_network import Object, Target, allowed, pod
from hypothesis import given
from hypothesis import strategies as st

from t3probe.cli import main as cli
from t3probe.commands.manifests import main
from t3probe.config.endpoints import plain_host
from t3probe.setup.cluster.places import (
    Block,
    ClusterError,
    Pods,
    parse_at,
    parse_block,
    parse_where,
    prometheusrule,
)

T3 = str(ROOT / "deployments" / "t3.toml")
PAGES = """
name = "made-up"
segments = ["lan"]
[[leg]]
name = "pages"
kind = "http"
url = "http://pages.shop.svc:8000/"
path = ["lan"]
[[leg]]
name = "port"
kind = "tcp"
addresses = ["[fd00::7]:5432", "db.shop.svc:5432"]
path = ["lan"]
[[leg]]
name = "pinned"
kind = "http"
url = "https://app.example.org/"
pin = "10.8.0.1:8443"
path = ["lan"]
[[leg]]
name = "edge"
kind = "http"
url = "https://app.example.org:8843/"
doh = ["https://1.1.1.1/dns-query", "https://[2606:4700:4700::1111]/dns-query"]
fallback = ["10.8.0.2", "10.8.0.3:9443"]
path = ["lan"]
[delivery]
heartbeat_url = "https://alive.example.org/ping"
"""
PLACES = [
    "--at", "pages.shop.svc=shop/app=pages:8080",
    "--at", "db.shop.svc=10.9.0.0/16",
    "--at", "alive.example.org=public",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("T3PROBE_VANTAGE", "T3PROBE__DELIVERY__GATEWAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pages(tmp_path: Path) -> str:
    file = tmp_path / "pages.toml"
    file.write_text(PAGES)
    return str(file)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Object:
    assert main(words) == 0
    found: Object = yaml.safe_load(capsys.readouterr().out)
    return found


def test_the_stored_rules_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    stored = ROOT / "cronjob" / "overlays" / "t3" / "alerts" / "prometheusrule.yaml"
    assert main(["prometheusrule"]) == 0
    assert capsys.readouterr().out == stored.read_text()


def test_names_stand_where_somebody_says(pages: str, capsys: pytest.CaptureFixture[str]) -> None:
    spec = printed(capsys, "networkpolicy", pages, *PLACES)["spec"]
    for target in (
        pod("shop", 8080, app="pages"),
        Target("10.9.1.2", 5432),
        Target("fd00::7", 5432),
        Target("104.16.132.229", 443),
        Target("10.8.0.1", 8443),
        Target("104.16.132.229", 8843),
        Target("2606:4700:4700::1111", 443),
        Target("10.8.0.2", 8843),
        Target("10.8.0.3", 9443),
    ):
        assert allowed(spec, "egress", target), target
    for target in (
        pod("shop", 8000, app="pages"),  # the service's port, not the pods'
        pod("shop", 8080, app="other"),
        Target("10.9.1.2", 8000),
        Target("104.16.132.229", 80),
        Target("10.8.0.1", 443),
        Target("10.8.0.3", 8843),
    ):
        assert not allowed(spec, "egress", target), target


def test_public_blocks_and_dns_can_be_named(pages: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--public", "104.16.0.0/13", "--public", "2606:4700::/32", "--dns", "169.254.20.10/32"]
    spec = printed(capsys, "networkpolicy", pages, *PLACES, *words)["spec"]
    assert allowed(spec, "egress", Target("104.16.132.229", 443))
    assert allowed(spec, "egress", Target("2606:4700::1", 443))
    assert not allowed(spec, "egress", Target("93.184.216.34", 443))
    assert allowed(spec, "egress", Target("169.254.20.10", 53, "UDP"))


def test_a_host_may_stand_in_several_places(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--at", "10.0.20.203=traefik/name=a:8443", "--at", "10.0.20.203=ingress/name=b"]
    spec = printed(capsys, "networkpolicy", T3, *words)["spec"]
    # The first on the pods' own port, the second on the one that is dialled.
    for namespace, port, label in (("traefik", 8443, "a"), ("ingress", 443, "b")):
        target = Target("10.42.0.7", port, "TCP", namespace, (("name", label),))
        assert allowed(spec, "egress", target), target
    assert allowed(spec, "egress", Target("10.0.20.203", 443))


def test_a_vantage_dials_less(capsys: pytest.CaptureFixture[str]) -> None:
    spec = printed(capsys, "networkpolicy", T3, "--vantage", "outside")["spec"]
    assert allowed(spec, "egress", Target("1.1.1.1", 443))
    assert not allowed(spec, "egress", Target("10.0.20.203", 443))


def test_a_job_without_a_gateway_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networkpolicy", T3]) == 0
    assert "no gateway is named, so none can be reached" in capsys.readouterr().err


def test_a_receiver_of_traces_is_let_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "T3PROBE__DELIVERY__OTLP__ENDPOINT"
    monkeypatch.setenv(variable, "http://jaeger.tracing.svc:4318")
    words = ["--at", "jaeger.tracing.svc=tracing/app=jaeger"]
    spec = printed(capsys, "networkpolicy", T3, *words)["spec"]
    assert allowed(spec, "egress", pod("tracing", 4318, app="jaeger"))
    assert not allowed(spec, "egress", pod("tracing", 16686, app="jaeger"))
    monkeypatch.delenv(variable)
    spec = printed(capsys, "networkpolicy", T3)["spec"]
    assert not allowed(spec, "egress", pod("tracing", 4318, app="jaeger"))
    monkeypatch.setenv("T3PROBE__DELIVERY__OTLP__TIMEOUT", "1s")
    assert main(["networkpolicy", T3]) == 0
    assert "[delivery.otlp] names no endpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--gateway", "http://pgw.monitoring:9091"],
            "gateway: the cluster's own DNS resolves 'pgw.monitoring', and a NetworkPolicy cannot "
            "hold names: expected --at pgw.monitoring=WHERE (a block such as 10.0.0.0/24, "
            "NAMESPACE/LABEL=VALUE, or public), found none",
        ),
        (["--at", "10.0.20.204=x/y=z"], "--at: expected a host that the deployment dials, found "),
        (["--at", "10.0.20.203"], "--at: expected HOST=WHERE"),
        (["--at", "10.0.20.203=10.0.0.1/8"], "--at: expected public, a block such as"),
        (["--at", "10.0.20.203=Traefik/a=b"], "--at: expected public, a block such as"),
        (["--at", "10.0.20.203=traefik/a"], "--at: expected LABEL=VALUE, found 'a'"),
        (["--at", "10.0.20.203=traefik/a=b:99999"], "--at: expected a port from 1 to 65535"),
        (["--public", "everything"], "--public: expected a network such as 10.0.0.0/24"),
        (["--dns", "10.0.0.1/8"], "--dns: expected a network such as 10.0.0.0/24"),
        (["--listen", "9108"], "expected --listen PORT and --scraped-by WHERE together"),
        (["--listen", "0", "--scraped-by", "x/a=b"], "--listen: expected a port from 1 to 65535"),
        (["--listen", "1", "--scraped-by", "x"], "--scraped-by: expected a block such as"),
        (["--component", "Job"], "--component: expected letters, digits and -, found 'Job'"),
        (["--gateway", "pgw:9091"], "expected a URL that starts with http:// or https://"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["networkpolicy", T3, *words]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", [["networkpolicy", "no.toml"], ["prometheusrule", "no.yml"]])
def test_a_file_that_is_not_there(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert words[1] in err
    assert len(err.splitlines()) == 1


def test_the_command_is_one_of_t3probe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["manifests", "prometheusrule"]) == 0
    assert "kind: PrometheusRule" in capsys.readouterr().out
    assert cli(["--help"]) == 0
    assert "manifests" in capsys.readouterr().out


def test_wrong_usage_is_exit_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["networkpolicies"])
    assert ended.value.code == 4
    assert "networkpolicies" in capsys.readouterr().err


@pytest.mark.parametrize("rules", ["", "rules: []\n", "a: 1\ngroups:\n", "groups: []\n"])
def test_rules_that_are_none(rules: str) -> None:
    with pytest.raises(ClusterError, match="expected Prometheus rules"):
        prometheusrule(rules, source="x", command="y")


NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
LABELS = st.tuples(NAMES, NAMES)


@given(NAMES, st.lists(LABELS, max_size=3), st.none() | st.integers(1, 65535))
def test_pods_are_read_as_written(
    namespace: str, labels: list[tuple[str, str]], port: int | None
) -> None:
    text = f"{namespace}/" + ",".join(f"{key}={value}" for key, value in labels)
    written = text + ("" if port is None else f":{port}")
    if not labels and port is None:
        return  # 8/ is neither
    assert parse_where(written, "--at") == Pods(namespace, tuple(labels), port)


@given(st.ip_addresses().flatmap(lambda one: st.just(f"{one}/{one.max_prefixlen}")))
def test_blocks_are_read_as_written(text: str) -> None:
    assert parse_where(text, "--at") == parse_block(text) == Block(text)
    address = text.split("/")[0]
    host, place = parse_at(f"[{address}]={text}")
    assert (host, place.peers) == (plain_host(address), (Block(text),))


@pytest.mark.parametrize(
    "written", ["[::ffff:10.0.20.203]", "::FFFF:10.0.20.203", "[0:0:0:0:0:ffff:a00:14cb]"]
)
def test_the_host_of_at_is_an_address_however_it_is_written(
    written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--at", f"{written}=traefik/name=a:8443"]
    spec = printed(capsys, "networkpolicy", T3, *words)["spec"]
    target = Target("10.42.0.7", 8443, "TCP", "traefik", (("name", "a"),))
    assert allowed(spec, "egress", target)


@given(st.text(max_size=30))
def test_any_text_is_a_place_or_a_sentence(text: str) -> None:
    sentence = ""
    try:
        parse_at(text)
    except ClusterError as error:
        sentence = str(error)
    assert len(sentence.splitlines()) <= 1
