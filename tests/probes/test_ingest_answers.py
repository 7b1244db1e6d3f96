"""What an ingest gate's answers say. Pure."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes.probe_parts import answer

from t3probe.probes.http_client import HttpAnswer
from t3probe.probes.http_wire import Headers
from t3probe.probes.ingest_answers import (
    alike,
    challenge,
    closed,
    gives_away,
    is_due,
    serves,
    slot_of,
    takes,
    wrong_like,
)
from t3probe.probes.redirects import parse

STATUSES = (400, 401, 403, 404)
HTML, BEHIND = {"content-type": "text/html"}, {"x-server-hostname": "vm"}
ACCEPTED = answer(204, **{"server": "nginx", "x-server-hostname": "vm"})
REFUSED = answer(401, b"<h1>401", **{"server": "nginx", "content-type": "text/html"})
NONSENSE = answer(404, b"<h1>404", **{"server": "nginx", "content-type": "text/html"})


def kind(one: str) -> str:
    return "digit" if one.isdigit() else "letter" if one.isalpha() else one


@given(st.text(string.ascii_letters + string.digits + "-_.=", min_size=1, max_size=60))
def test_a_wrong_token_has_the_same_shape_and_is_another_in_any_case(token: str) -> None:
    made = wrong_like(token)
    if made is None:
        assert not any(one.isalnum() for one in token) or len(token) < 4
        return
    assert len(made) == len(token)
    assert made.lower() != token.lower()
    assert [one for one in made if not one.isalnum()] == [one for one in token if not one.isalnum()]
    if token.isdigit():
        assert made.isdigit()
    if all(one in string.hexdigits for one in token):
        assert all(one in string.hexdigits for one in made)


def test_a_wrong_token_is_not_a_piece_of_the_right_one() -> None:
    token = "".join(string.ascii_lowercase * 2)
    made = wrong_like(token)
    assert made is not None
    assert not any(token[at : at + 6] in made for at in range(len(token) - 6))


@given(
    st.text(string.ascii_lowercase, min_size=1, max_size=8),
    st.integers(0, 2_000_000_000),
    st.sampled_from([60, 600, 3600, 86400]),
    st.integers(0, 20),
)
def test_of_runs_each_minute_one_in_each_window_tries_a_wrong_token(
    name: str, start: int, every: int, late: int
) -> None:
    """Whatever second of the minute they start at."""
    begin = start // every * every
    due = [at for at in range(begin + late, begin + every, 60) if is_due(name, at, every)]
    assert len(due) == 1
    window, slot = slot_of(name, due[0], every)
    assert (window, slot) == (begin // every, (due[0] - begin) // 60)


def test_runs_at_any_interval_come_upon_the_slot() -> None:
    """Not only those that start at the full hour."""
    hours = range(0, 3600 * 24 * 14, 3600)
    found = [
        hour for hour in hours if any(is_due("x", hour + at, 3600) for at in range(2, 3600, 300))
    ]
    assert 20 < len(found) < 120


CLOSED: list[tuple[str, HttpAnswer, HttpAnswer | None, str]] = [
    ("served", answer(200, b"up 1"), NONSENSE, "open"),
    ("taken", answer(204), NONSENSE, "open"),
    ("a page of the receiver", answer(200, b"<a>", **HTML), NONSENSE, "open"),
    ("refused", answer(403, b"no"), NONSENSE, "closed"),
    ("not there", NONSENSE, NONSENSE, "closed"),
    ("a bad request, by the receiver", answer(400, b"missing match", **{"x-server-hostname": "vm"}),
     NONSENSE, "open"),
    ("not there, by the receiver", answer(404, **BEHIND), NONSENSE, "open"),
    ("a bad request, by nobody knows whom", answer(400, b"missing match"), NONSENSE, "unclear"),
    ("a bad request, as for anything", answer(400, b"missing route"),
     answer(400, b"missing route"), "closed"),
    ("a redirect", answer(301), NONSENSE, "unclear"),
    ("a broken receiver", answer(502), NONSENSE, "unclear"),
    ("a method that is not allowed", answer(405), NONSENSE, "unclear"),
    ("the same page for anything", answer(200, b"welcome"), answer(200, b"welcome"), "unclear"),
    ("refused where anything is hung up on", answer(403), None, "closed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "nonsense", "said"), [one[1:] for one in CLOSED], ids=[one[0] for one in CLOSED]
)
def test_what_an_answer_says_of_a_path(
    one: HttpAnswer, nonsense: HttpAnswer | None, said: str
) -> None:
    assert closed(one, nonsense, ACCEPTED, REFUSED, STATUSES) == said


def test_a_header_that_the_gate_adds_itself_proves_nothing() -> None:
    refused = answer(401, **{"x-server-hostname": "gate"})
    one = answer(404, **{"x-server-hostname": "gate"})
    assert closed(one, NONSENSE, ACCEPTED, refused, STATUSES) == "closed"
    twice = Headers([("X-Server-Hostname", "gate"), ("X-Server-Hostname", "vm")])
    behind, accepted = HttpAnswer(404, twice, b""), HttpAnswer(204, twice, b"")
    assert closed(behind, NONSENSE, accepted, refused, STATUSES) == "open"
    assert closed(behind, NONSENSE, accepted, None, STATUSES) == "closed"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (answer(404, **BEHIND), "unclear"),
        (answer(401, **BEHIND), "unclear"),
        (answer(400, b"missing match", **BEHIND), "unclear"),
        (answer(200, b"up 1", **BEHIND), "open"),
        (answer(404, b"no", **{**BEHIND, "x-of-the-receiver": "1"}), "open"),
        (answer(404, b"no"), "closed"),
    ],
)
def test_a_header_that_nonsense_gets_as_well_opens_nothing(one: HttpAnswer, said: str) -> None:
    """A gate may add it to all that it says to whom it knows; or all lies open."""
    nonsense = answer(404, b"not here", **BEHIND)
    accepted = answer(204, **{**BEHIND, "x-of-the-receiver": "1"})
    assert closed(one, nonsense, accepted, REFUSED, STATUSES) == said


def test_what_a_gate_tells_a_sender_about_himself_is_no_receivers() -> None:
    told = {"x-ratelimit-limit-minute": "5", "ratelimit-remaining": "4", "x-consumer-id": "7"}
    assert closed(answer(404, **told), None, answer(204, **told), REFUSED, STATUSES) == "closed"


@pytest.mark.parametrize(
    ("kind", "one", "said"),
    [
        ("remote_write", answer(204), True),
        ("remote_write", answer(200), True),
        ("remote_write", answer(200, b"ok"), False),
        ("remote_write", answer(400), False),
        ("otlp", answer(200), True),
        ("otlp", answer(200, b"ok"), False),
        ("otlp", answer(200, b"{}", **{"content-type": "application/json"}), False),
        ("otlp", answer(200, b"x", **{"content-type": "Application/X-Protobuf; a=b"}), True),
    ],
)
def test_how_a_receiver_takes_an_empty_message(kind: str, one: HttpAnswer, said: bool) -> None:
    assert takes(kind, one) is said


def test_a_mark_of_what_lies_behind_proves_it() -> None:
    one = answer(404)
    one.behind = True
    assert closed(one, NONSENSE, ACCEPTED, REFUSED, STATUSES) == "open"


def test_answers_are_compared_without_what_was_asked_for() -> None:
    one, other = answer(400, b'no route for "/metrics/abc"'), answer(400, b'no route for "/f00"')
    one.url, other.url = parse("https://a.example/metrics/abc"), parse("https://a.example/f00")
    assert alike(one, other)
    assert not alike(one, answer(404, one.body))
    assert not alike(one, answer(400, b"missing argument match in the request"))


def test_what_is_served() -> None:
    assert serves(answer(204)) is True
    assert serves(answer(401)) is False
    assert serves(answer(200, b"<h1>", **{"content-type": "text/html"})) is None
    half = answer(200, b"only so")
    half.unfinished = True
    assert serves(half) is None


@pytest.mark.parametrize(
    "one",
    [
        answer(403, b"<title>Just a moment...</title>"),
        answer(403, b"x", **{"cf-mitigated": "challenge"}),
        answer(403, b"<div class='cf-error-details'>"),
        answer(403, b"error code: 1020"),
        answer(403, b"Generated by cloudfront (CloudFront)"),
    ],
)
def test_a_guard_in_front_is_known(one: HttpAnswer) -> None:
    assert challenge(one)


def test_a_plain_refusal_is_no_guard() -> None:
    assert not challenge(REFUSED)
    assert not challenge(answer(403, b"forbidden"))


def test_a_token_is_found_in_headers_and_bodies_as_written_and_encoded() -> None:
    token = "to/ken+of=senders"
    assert gives_away(answer(401, b"no: " + token.encode()), token) == "body"
    assert gives_away(answer(301, location="/login?t=to%2Fken%2Bof%3Dsenders"), token) == "location"
    assert gives_away(answer(401, b"no"), token) == ""
    assert gives_away(answer(401, b"a"), "a") == ""
