"""Where a person's record comes from: the responder that keeps it, asked over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from explain_records import client_record
from explain_server import answering

from t3probe.ask.explain.client_sources import read_source
from t3probe.record.facts import RecordError
from t3probe.timing import SystemClock

CODE = "K7M2QX9D"


def read(source: str, **environ: str) -> str:
    """The name of what is read."""
    return read_source(source, SystemClock(), environ)[0]


def test_a_code(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret-of-the-records\n")
    with answering(client_record()) as server:
        name, record = read_source(
            f"{server.url}/probe/#k7m2qx9d",
            SystemClock(),
            {"T3PROBE_RECORDS_TOKEN_FILE": str(token)},
        )
    assert (name, record.heartbeat_seconds) == ("record", 10.0)
    assert server.paths == [f"/probe/records/{CODE}"]
    assert server.headers[0]["Authorization"] == "Bearer s3cret-of-the-records"


def test_letters_that_look_alike() -> None:
    with answering(client_record()) as server:
        read(f"{server.url}/probe/#o1l234ij".replace("j", "J"))
    assert server.paths == ["/probe/records/01123411"[:-1] + "J"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "did not take the token"),
        (403, "did not take the token"),
        (404, "has no record of that code"),
        (302, "leads elsewhere (HTTP 302), which is not followed"),
        (500, "answered HTTP 500"),
    ],
)
def test_an_answer_that_is_no_record(status: int, words: str) -> None:
    with answering(client_record(), status) as server, pytest.raises(RecordError) as caught:
        read(f"{server.url}/probe/#{CODE}")
    assert words in str(caught.value)
    assert CODE not in str(caught.value)
    assert len(server.paths) == 1


@pytest.mark.parametrize("body", [b"<html>", b"x" * 100_000, json.dumps([]).encode()])
def test_a_body_that_is_no_record(body: bytes) -> None:
    with answering(body) as server, pytest.raises(RecordError):
        read(f"{server.url}/probe/#{CODE}")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda url: f"{url}/probe/", "no code of eight letters and digits behind #"),
        (lambda url: f"{url}/probe/#SHORT", "no code of eight letters and digits behind #"),
        (lambda url: f"{url}/probe/#{CODE}/..", "no code of eight letters and digits behind #"),
        (lambda url: f"{url}/probe/?a=b#{CODE}", "found a query in it"),
        (lambda _: f"http://t3.example/probe/#{CODE}", "expected https, found http"),
        (lambda _: f"ftp://t3.example/#{CODE}", "expected a URL that starts with http"),
    ],
)
def test_a_url_that_is_none(source: Callable[[str], str], words: str) -> None:
    with answering(client_record()) as server, pytest.raises(RecordError) as caught:
        read(source(server.url))
    assert words in str(caught.value)
    assert server.paths == []


def test_a_token_in_the_url_is_not_shown() -> None:
    with pytest.raises(RecordError) as caught:
        read(f"http://user:hunter2hunter2@t3.example/probe/#{CODE}")
    assert "hunter2" not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named_and_not_the_url() -> None:
    environ = {"T3PROBE_RECORDS_TOKEN_FILE": "/nowhere/token"}
    with pytest.raises(RecordError) as error:
        read_source(f"http://127.0.0.1:9/probe/#{CODE}", SystemClock(), environ)
    assert "T3PROBE_RECORDS_TOKEN_FILE: expected the name of a readable file" in str(error.value)
    assert "mend the variable" in str(error.value)
    assert "https://HOST" not in str(error.value)
