"""Any answers make a file that loads, or one sentence."""

from __future__ import annotations

import argparse
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.config import DeploymentError, Leg, Wrong, loads
from t3probe.setup.ask import DOH, FLAGS_ONLY, QUESTIONS, Answers, Refused, gather, name_of
from t3probe.setup.draft import draft, render

GOOD: dict[str, list[str]] = {
    "host": ["t3.example.org", "t3.example.org:8443", "xn--bcher-kva.example", "a"],
    "internal": ["", "10.0.0.5", "10.0.0.5:444", "[fd00::1]:443", "fd00::1"],
    "ws_path": ["", "none", "/probe/ws", "/a%20b"],
    "sso": ["login.example.org", "sso.test."],
    "public": ["/probe", "/", "/a/b/", "/Probe", "/probe", "//x"],
    "walled": ["/", "/admin", "/admin/"],
    "dispatch": ["", "ws://10.0.0.7:3780/probe/ws", "wss://[fd00::7]/x"],
    "serve": ["", "http://10.0.0.7:3773/"],
    "machine": ["", "http://10.0.0.7:9100/metrics", "10.0.0.7:22", "[::1]:22"],
    "upstreams": ["10.0.3.7:8080", "db:5432", "[::1]:80"],
    "envoy_admin": ["http://10.0.0.8:9901", "https://envoy.example/"],
    "doh": [*DOH, "https://[2606:4700::1111]/dns-query"],
}
HOSTILE = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="\"'\\\n\r\t\x00\x1b]}#=[{ a/:.", max_size=20),
    st.sampled_from(["\ud800", "/p\"\n[[leg]]\nname='x'", "'''", '"""', "x.org\u2028y", "/" * 300]),
)


def answer(key: str) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(GOOD[key]), HOSTILE)


def good(key: str) -> st.SearchStrategy[str]:
    return st.sampled_from(GOOD[key])


@st.composite
def namespaces(draw: st.DrawFn, hostile: bool = True) -> argparse.Namespace:
    values: dict[str, Any] = {"cdn": draw(st.sampled_from(["auto", "cloudflare", "none"]))}
    bad = draw(st.sampled_from([question.key for question in QUESTIONS])) if hostile else ""
    for question in (*QUESTIONS, *FLAGS_ONLY):
        one = answer(question.key) if question.key == bad else good(question.key)
        value = st.lists(one, max_size=4) if question.many else one
        values[question.key] = draw(value if question.needed else st.none() | value)
    return argparse.Namespace(**values)


def written(given_: argparse.Namespace, cdn: bool) -> str:
    text = render(draft(gather(given_, None, ""), cdn), {})
    loads(text, environ={}, now=0.0)
    return text


@settings(max_examples=300, deadline=None)
@given(namespaces(), st.booleans())
def test_any_answers_load_or_are_one_sentence(said: argparse.Namespace, cdn: bool) -> None:
    refused = ""
    try:
        written(said, cdn)
    except (Refused, DeploymentError) as problem:
        refused = str(problem)
    assert not refused or (refused.isprintable() and "expected" in refused)


@settings(max_examples=200, deadline=None)
@given(namespaces(hostile=False), st.booleans())
def test_good_answers_load(said: argparse.Namespace, cdn: bool) -> None:
    refused = text = ""
    try:
        text = written(said, cdn)
    except Refused as problem:
        refused = str(problem)
    if refused:
        assert "--doh" in refused or "found neither" in refused
        return
    found = loads(text, environ={}, now=0.0)
    assert not found.warnings
    assert tomllib.loads(text)["segments"] == list(found.segments)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_what_was_found_stays_a_comment(seen: str) -> None:
    from t3probe.text import showable

    made = draft(Answers(host="t3.example.org"), cdn=False)
    text = render(made, {"public": showable(seen)})
    assert tomllib.loads(text) == tomllib.loads(render(made))


@pytest.mark.parametrize(
    ("text", "name"),
    [("/probe", "probe"), ("/", "home"), ("/A/b c", "a-b-c"), ("10.0.0.1:80", "10-0-0-1-80")],
)
def test_names_are_made_of_what_is_there(text: str, name: str) -> None:
    assert name_of(text, set(), "home") == name
    assert name_of(text, {name}, "home") == f"{name}-2"


def test_the_legs_follow_from_the_answers() -> None:
    def names(**said: Any) -> list[str]:
        made = draft(Answers(host="t3.example.org", **said), cdn=False)
        return [one.leg for one in made.entries]

    assert names() == ["egress", "resolver", "public"]
    assert names(internal="10.0.0.5")[3:] == ["internal", "traefik"]
    assert names(machine="10.0.0.7:22")[3:] == ["devvm"]
    assert names(walled=("/",), upstreams=("a:1", "a.1:1"))[3:] == [
        "walled-home", "envoy-a-1", "envoy-a-1-1",
    ]  # fmt: skip
    assert [one.leg for one in draft(Answers(host="a.b"), cdn=True).entries] == [
        "egress", "resolver", "edge", "cloudflare",
    ]  # fmt: skip


def test_checks_raise_what_the_loader_raises() -> None:
    for question in QUESTIONS:
        if question.key != "ws_path":
            with pytest.raises(Wrong):
                question.check("\n\"'")


def legs_of(cdn: bool = True, **said: Any) -> dict[str, Leg]:
    text = render(draft(Answers(host="t3.example.org", public=("/probe",), **said), cdn), {})
    return {leg.name: leg for leg in loads(text, environ={}, now=0.0).legs}


def test_what_asks_for_a_machine_takes_a_refusal_and_a_service_is_none() -> None:
    made = legs_of(machine="http://10.0.0.7:9100/metrics", dispatch="ws://10.0.0.7:3780/ws")
    assert made["egress"].refused_ok
    assert made["devvm"].refused_ok
    assert made["devvm"].trust_refusals is None
    for name in ("box.ns.svc", "box.ns.svc.cluster.local", "box.ns.svc.cluster.local."):
        made = legs_of(
            machine=f"{name}:9100", dispatch=f"ws://{name}:3780/ws", serve=f"http://{name}/"
        )
        assert not made["devvm"].refused_ok
        untrusted = [one.name for one in made.values() if one.trust_refusals is False]
        assert untrusted == ["dispatch", "devvm", "t3serve"]


def test_legs_inside_say_which_header_they_never_have() -> None:
    given_ = {"internal": "10.0.0.5", "walled": ("/",), "dispatch": "ws://10.0.0.7:3780/ws"}
    made = legs_of(**given_)
    for name in ("internal", "traefik", "dispatch", "walled-home"):
        assert made[name].headers_absent == ("cf-ray",)
    assert legs_of(cdn=False, **given_)["dispatch"].headers_absent == ()


def test_marks_and_glosses_stand_where_there_is_a_cdn() -> None:
    answers = Answers(host="t3.example.org", public=("/probe",))
    with_cdn = loads(render(draft(answers, True), {}), environ={}, now=0.0)
    assert with_cdn.marks == {"cf-ray": "cf-edge"}
    assert with_cdn.gloss == {"tunnel": "or what the CDN does with this path"}
    without = loads(render(draft(answers, False), {}), environ={}, now=0.0)
    assert (without.marks, without.gloss) == ({}, {})
