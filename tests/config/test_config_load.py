"""Reading a deployment file from the disk, and what a good one becomes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from config_helpers import DEPLOYMENTS, NOW, RICH, SMALL, read, sentence

from t3probe.config import DeploymentError, Duration, legs_for, load
from t3probe.config.types import Deployment, DeploymentFile, Leg, LegTable

NEXT = "; name another, or write one with t3probe init"


def refused(path: str | Path) -> str:
    with pytest.raises(DeploymentError) as caught:
        load(path, {}, now=NOW)
    return str(caught.value)


def test_a_small_file_gets_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    deployment = load(file, {}, now=NOW)
    assert deployment.file == str(file)
    assert deployment.segments == ("wan", "tunnel")
    assert deployment.paths == (("wan", "tunnel"),)
    assert deployment.timing.hold == 35
    assert deployment.warnings == ()
    assert deployment.leg("cloudflare").url == "wss://app.example/ws"


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load(file, {}, now=NOW).name == "example"


def test_a_missing_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("no.toml") == (
        f"no.toml: expected a readable deployment file, found no such file{NEXT}"
    )


def test_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(".") == f".: expected a readable deployment file, found a folder{NEXT}"


def test_a_pipe_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.toml")
    assert refused("pipe.toml") == (
        f"pipe.toml: expected a readable deployment file, found a pipe or a device{NEXT}"
    )


def test_a_name_that_no_file_can_have() -> None:
    assert refused("a\0b\n.toml") == (
        "a\\x00b\\n.toml: expected a readable deployment file, found a name that no file can have"
        f"{NEXT}"
    )


def test_a_file_that_is_not_utf_8(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.toml").write_bytes(b'name = "\xe9"\n')
    assert refused("latin.toml") == (
        "latin.toml: expected UTF-8, found other bytes from byte 8 on; "
        "save it as UTF-8, or name another"
    )


def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("large.toml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    assert refused("large.toml") == (
        "large.toml: expected a file of at most 4 MiB, found a larger one; "
        "move upstreams into an [[upstream_source]]"
    )


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    file = tmp_path / "full.toml"
    file.write_text(SMALL + "#" * (4 * 1024 * 1024 - len(SMALL)))
    assert load(file, {}, now=NOW).name == "example"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = " + "[" * 5000, "arrays or tables nested too deeply; make it flat"),
        ("x = " + "1" * 5000, "a number or date beyond what can be read; write a smaller one"),
    ],
    ids=["depth", "digits"],
)
def test_what_python_itself_refuses_to_read(text: str, why: str) -> None:
    assert sentence(text) == f"some/x.toml: expected TOML, found {why}"


def test_a_number_too_long_to_print() -> None:
    assert "found a number of very many digits" in sentence(SMALL + "any_of = 0x" + "f" * 9000)


def test_a_ca_file_is_found_beside_the_deployment_file(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    file = tmp_path / "x.toml"
    file.write_text('tls_ca = "ca.pem"\n' + SMALL)
    assert load(file, {}, now=NOW).tls_ca == str(tmp_path / "ca.pem")


def test_a_ca_file_may_hold_comments_in_any_encoding(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    content = b"# \xe9\n" + (tmp_path / "ca.pem").read_bytes()
    (tmp_path / "ca.pem").write_bytes(content)
    text = f'tls_ca = "{tmp_path}/ca.pem"\n' + SMALL
    assert read(text).tls_ca == f"{tmp_path}/ca.pem"


def test_a_ca_file_that_holds_only_a_key_is_refused(tmp_path: Path) -> None:
    trustme.CA().private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    assert "it holds no certificate" in sentence(f'tls_ca = "{tmp_path}/key.pem"\n' + SMALL)


def test_a_ca_file_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "it is not a file" in sentence(f'tls_ca = "{tmp_path}/pipe"\n' + SMALL)


def test_all_tables_of_a_rich_file() -> None:
    deployment = read(RICH)
    assert [leg.name for leg in deployment.legs] == [
        *("echo", "resolver", "egress"),
        *("walloff-probe", "walloff-hook", "walloff-other"),
        *("walled-home", "walled-admin"),
        "envoy-web-1",
    ]
    assert deployment.own_segments == ("carve-out-hook", "wall-admin", "upstream-web-1")
    assert deployment.vantage == "lan"
    assert deployment.timing.hold == 0
    assert deployment.delivery.spool == os.path.abspath("some/spool")
    assert deployment.paths == (("wan", "traefik", "host"),)


def test_a_public_path_becomes_a_leg() -> None:
    assert read(RICH).leg("walloff-probe") == Leg(
        name="walloff-probe",
        kind="walloff",
        path=("traefik", "carve-out"),
        url="https://app.example/probe/healthz",
        prefix="/probe",
    )


def test_a_rule_of_its_own_replaces_the_shared_segment() -> None:
    deployment = read(RICH)
    assert deployment.leg("walloff-hook").path == ("traefik", "carve-out-hook")
    assert deployment.leg("walloff-hook").tcp_ends_at == "carve-out-hook"
    assert deployment.leg("walled-admin").path == ("traefik", "wall-admin")


def test_a_prefix_that_is_not_stated_is_the_path_of_the_url() -> None:
    assert read(RICH).leg("walloff-hook").prefix == "/hook"
    at_the_root = RICH.replace("https://app.example/hook", "https://app.example/")
    assert read(at_the_root).leg("walloff-hook").prefix is None


def test_a_walled_path_knows_the_public_prefixes_of_its_host_alone() -> None:
    deployment = read(RICH)
    assert deployment.leg("walled-home").public_prefixes == ("/probe", "/hook")
    assert deployment.leg("walloff-probe").public_prefixes == ()


def test_an_upstream_becomes_a_leg_with_a_segment_of_its_own() -> None:
    assert read(RICH).leg("envoy-web-1") == Leg(
        name="envoy-web-1",
        kind="tcp",
        path=("host", "upstream-web-1"),
        address="10.0.0.3:8080",
        tcp_ends_at="upstream-web-1",
        upstream=True,
        route="web",
        listen_port=80,
    )


def test_a_resolver_asks_for_the_host_of_the_echo_leg_that_uses_it() -> None:
    assert read(RICH).leg("resolver").query == "app.example"


def test_default_paths_are_those_of_the_legs_without_upstreams() -> None:
    text = RICH.replace('paths = [["wan", "traefik", "host"]]\n', "")
    assert read(text).paths == (
        *(("wan", "traefik"), ("wan", "doh"), ("wan",)),
        *(("traefik", "carve-out"), ("traefik", "carve-out-hook")),
        *(("traefik", "wall"), ("traefik", "wall-admin")),
    )


def test_defaults_give_way_to_what_is_stated() -> None:
    timing = read(SMALL + '[timing]\nwatchdog = "2s"\nbackoff = "40s"').timing
    assert (timing.connect_timeout, timing.backoff_max) == (2, 40)
    assert isinstance(timing.connect_timeout, Duration)
    assert timing.sweep_interval == 60
    assert read(SMALL + '[timing]\nheartbeat = "2m"').timing.sweep_interval == 120
    assert timing.slow_floor == 0.02
    assert read(SMALL + '[timing]\nslow_floor = "5ms"').timing.slow_floor == 0.005


def test_a_segment_on_no_path_is_a_warning() -> None:
    text = SMALL.replace('"tunnel"]\n\n', '"tunnel", "spare"]\n\n')
    assert read(text).warnings == (
        'some/x.toml: segments: "spare" is on the path of no leg, so no run can clear it',
    )


def test_what_a_leg_of_the_file_may_set_is_what_a_leg_has() -> None:
    generated = {"prefix", "public_prefixes", "route", "listen_port", "backend", "places"}
    generated |= {"hostless", "ingest", "upstream", "served_with"}
    generated |= {"experiment", "stream", "required"}
    assert {*LegTable.__struct_fields__} == {*Leg.__struct_fields__} - generated
    legs = {"leg", "public", "walled", "ingest", "upstream"}
    whole = {*DeploymentFile.__struct_fields__} - {*legs, "lab"}
    assert whole <= {*Deployment.__struct_fields__}


def test_the_legs_of_a_vantage() -> None:
    deployment = read(RICH)
    assert legs_for(deployment) == (deployment.legs, "")  # the file says lan
    legs, warning = legs_for(deployment, "internet")
    assert "egress" not in {leg.name for leg in legs}
    assert len(legs) == len(deployment.legs) - 1
    assert warning == ""


def test_an_unknown_vantage_warns_when_it_looks_misspelled_or_leaves_nothing() -> None:
    assert legs_for(read(RICH), "clutser")[1] == (
        'vantage "clutser": no leg names it; did you mean "cluster"?'
    )
    only = read(SMALL + 'vantages = ["lan"]')
    assert legs_for(only, "internet") == (
        (),
        'vantage "internet": no leg can be run from it; the legs name lan',
    )


def test_without_a_vantage_every_leg_runs() -> None:
    deployment = read(SMALL + 'vantages = ["lan"]')
    assert legs_for(deployment) == (deployment.legs, "")


def test_the_t3_deployment_is_the_one_of_the_design() -> None:
    deployment = load(DEPLOYMENTS / "t3.toml", {}, now=NOW)
    assert deployment.warnings == ()
    assert {leg.name: " ".join(leg.path) for leg in deployment.legs} == {
        "egress": "wan",
        "resolver": "wan doh",
        "edge": "wan cf-edge",
        "cloudflare": "wan cf-edge tunnel traefik carve-out devvm dispatch",
        "internal": "traefik carve-out devvm dispatch",
        "traefik": "traefik",
        "dispatch": "devvm dispatch",
        "devvm": "devvm",
        "t3serve": "devvm serve",
        "walloff-probe": "wan cf-edge tunnel traefik carve-out",
        "walled-home": "traefik wall",
    }
    public = {leg.name for leg in legs_for(deployment, "internet")[0]}
    assert public == {"egress", "resolver", "edge", "cloudflare", "walloff-probe"}


def test_loading_imports_nothing_that_only_errors_and_editors_need() -> None:
    code = (
        "import sys, msgspec; before = set(sys.modules)\n"
        "from t3probe.config import load\n"
        f"load({str(DEPLOYMENTS / 't3.toml')!r}, {{}}, now=0.0)\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    heavy = {"ssl", "difflib", "socket", "asyncio", "aiohttp", "dns", "jsonschema", "pathlib"}
    assert "t3probe.config.load" in loaded
    assert not loaded & (heavy | {"t3probe.config.schema", "t3probe.observation"})


def test_no_sentence_of_the_package_is_of_two_lines() -> None:
    error = DeploymentError(file="a\nb", key="c", expected="d", actual="e", hint="f")
    assert re.fullmatch(r"[^\n]*", str(error))
