"""What people's own records change in the answer, from the command line on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from explain_asking import ask
from explain_records import START, client_record, drop, gap, runs, written
from verdict.simulated_world import Breaks

from t3probe.ask.explain.asked import ExplainError
from t3probe.ask.explain.report import Report, to_dict, to_lines

TRAEFIK = Breaks("traefik", "gone", 18.0, 24.0)
TUNNEL_CUT = Breaks("tunnel", "cut", 20.0, 20.1)


def answered(
    folder: Path, *records: dict[str, Any], at: float = 20.0, breaks: tuple[Breaks, ...] = (),
    more: tuple[str, ...] = (),
) -> Report:  # fmt: skip
    """The answer to "what broke so many seconds after the run's start?"."""
    words = ["--at", str(int(START + at)), "--runs", runs(folder, *breaks), *more]
    for number, one in enumerate(records):
        words += ["--client", written(folder, one, f"person{number}")]
    return ask(*words, now=START + 4000.0)


def text(report: Report) -> str:
    """The answer on one line."""
    return " ".join(" ".join(to_lines(report)).split())


def test_a_cut_that_our_connections_outlived_is_their_last_mile_and_proven(tmp_path: Path) -> None:
    report = answered(tmp_path, client_record(drops=[drop(18.0, 20.0, 20.3)]))
    assert (report.told.finding, report.told.proven) == ("last_mile", True)
    assert report.told.verdict.convicted == ("last-mile",)
    assert "It was their last mile, proven" in text(report)
    assert "At that very moment our own connections" in text(report)


def test_without_the_record_it_is_theirs_by_elimination(tmp_path: Path) -> None:
    report = answered(tmp_path, more=("--window", "20s"))
    assert (report.told.finding, report.told.proven) == ("last_mile", False)


def test_a_connection_older_than_any_of_ours_proves_nothing(tmp_path: Path) -> None:
    old = drop(18.0, 20.0, 20.3, age_seconds=900.0)
    report = answered(tmp_path, client_record(drops=[old]))
    assert (report.told.finding, report.told.proven) == ("last_mile", False)
    assert "a limit on age is not excluded" in text(report)


@pytest.mark.parametrize(
    ("age", "people", "words"),
    [
        (None, 1, "As far as we were measuring then, our own connections over the same way work"),
        (900.0, 1, "but none of them was as old as yours"),
        (None, 2, "As far as we were measuring then"),
    ],
)
def test_what_goes_back_claims_no_more_measuring_than_there_was(
    age: float | None, people: int, words: str, tmp_path: Path
) -> None:
    """The run saw 35 s of these two minutes: what clears is the moment, and no share of them."""
    record = client_record(drops=[drop(18.0, 20.0, 20.3, age_seconds=age)])
    report = answered(tmp_path, *[record] * people)
    assert report.told.finding == "last_mile"
    assert not any(one.clears for one in report.told.legs)
    sent = to_dict(report)["send_back"]
    assert "% of the time" not in sent
    assert words in sent


def test_two_ends_at_the_same_age_accuse_no_last_mile(tmp_path: Path) -> None:
    twice = [drop(-82.0, -80.0, -79.7, age_seconds=100.0), drop(18.0, 20.0, 20.3, age_seconds=99.0)]
    record = client_record(drops=twice, began=START - 200.0)
    report = answered(tmp_path, record)
    assert report.told.finding == "unclear"
    assert "a limit on age may do that" in text(report)


@pytest.mark.parametrize(
    ("kind", "began", "ended", "words"),
    [
        ("slept", 18.5, 47.5, "slept from"),
        ("frozen", 18.5, 30.0, "had its browser stop the page from"),
        ("frozen", 18.5, 20.5, "had its browser stop the page from"),  # that ends every WebSocket
        ("offline", 19.0, 21.0, "was offline from"),
        ("network", 19.9, 19.9, "changed its network at"),
        ("network", 17.5, 17.5, "changed its network at"),  # and a last answer came after it
    ],
)
def test_a_device_that_was_away_explains_it(
    tmp_path: Path, kind: str, began: float, ended: float, words: str
) -> None:
    record = client_record(drops=[drop(18.0, 48.0, 48.3)], gaps=[gap(kind, began, ended)])
    report = answered(tmp_path, record)
    assert report.told.finding == "their_device"
    assert f"It was the device: their device {words}" in text(report)
    assert not report.told.verdict.convicted


@pytest.mark.parametrize(
    ("kind", "began", "ended"),
    [
        ("slept", 18.5, 20.5),  # shorter than what a connection survives
        ("slept", 21.0, 50.0),  # after it was noticed
        ("slept", 2.0, 15.0),  # and a good beat came after it
        ("late", 18.5, 47.5),  # a throttled tab keeps its connections
        ("hidden", 10.0, 60.0),
        ("stepped", 19.0, 19.0),
    ],
)
def test_what_does_not_end_a_connection_explains_nothing(
    tmp_path: Path, kind: str, began: float, ended: float
) -> None:
    record = client_record(drops=[drop(18.0, 20.0, 20.3)], gaps=[gap(kind, began, ended)])
    assert answered(tmp_path, record).told.finding == "last_mile"


REFUSING = {"symptom": "refusing", "strand": "fresh", "reason": "connect_failed", "code": None}


def test_a_sleep_that_the_connection_outlived_does_not_explain_that_no_new_one_was_let_in(
    tmp_path: Path,
) -> None:
    refused = drop(12.0, 20.0, 30.0, age_seconds=None, **REFUSING)
    record = client_record(drops=[refused], gaps=[gap("slept", 13.0, 19.5)])
    drain = Breaks("traefik", "drain", 19.0, 30.0)
    assert answered(tmp_path, record).told.finding == "unclear"
    report = answered(tmp_path, record, breaks=(drain,))
    assert (report.told.finding, report.told.convicted) == ("ours", ("traefik",))


def test_nor_where_what_became_of_the_held_one_is_not_known(tmp_path: Path) -> None:
    refused = drop(12.0, 20.0, age_seconds=None, **{**REFUSING, "symptom": "unknown"})
    record = client_record(drops=[refused], gaps=[gap("slept", 13.0, 19.5)], made=START + 21.0)
    report = answered(tmp_path, record)
    assert report.told.finding == "unclear"
    assert "whether what it held lived on is not known" in text(report)


def test_a_connection_that_lived_on_is_not_said_to_have_ended(tmp_path: Path) -> None:
    refused = drop(12.0, 20.0, 30.0, age_seconds=None, **REFUSING)
    report = answered(
        tmp_path, client_record(drops=[refused], gaps=[gap("offline", 19.0, 29.0)])
    )  # fmt: skip
    assert report.told.finding == "their_device"
    assert text(report).count("no new connection could be opened in that time") == 2
    assert "connection ended" not in text(report)


@pytest.mark.parametrize(("began", "finding"), [(18.0, "last_mile"), (-42.0, "their_device")])
def test_a_tab_that_is_woken_once_a_minute_for_hours_lost_nothing_by_that(
    tmp_path: Path, began: float, finding: str
) -> None:
    """Its gap is hours long, and no silence of its connection is: what counts is how long it had
    sent nothing when it broke."""
    record = client_record(
        drops=[drop(began, 20.0, 20.3, age_seconds=15.0)], gaps=[gap("late", -3600.0, 60.0)],
        began=START - 4000.0, edges=[{"at": START - 4000.0, "colo": "FRA", "family": 4}],
    )  # fmt: skip
    assert answered(tmp_path, record).told.finding == finding


def test_our_outage_that_they_saw_too(tmp_path: Path) -> None:
    record = client_record(drops=[drop(16.0, 18.2, 24.1, symptom="down")])
    report = answered(tmp_path, record, breaks=(TRAEFIK,))
    assert (report.told.finding, report.told.convicted) == ("ours", ("traefik",))
    assert "Their own browser saw it, too." in text(report)
    assert "Your browser's own record shows it, too." in text(report)


def test_our_outage_and_a_device_that_slept(tmp_path: Path) -> None:
    record = client_record(
        drops=[drop(16.0, 46.2, 46.5)], gaps=[gap("slept", 16.5, 46.0)]
    )  # fmt: skip
    report = answered(tmp_path, record, breaks=(TRAEFIK,))
    assert report.told.finding == "both"
    assert "traefik broke at" in text(report)
    assert "their device slept from" in text(report)


def test_our_outage_of_the_moment_while_a_device_was_offline_already(tmp_path: Path) -> None:
    record = client_record(
        drops=[drop(8.0, 9.0, 40.0, symptom="down")], gaps=[gap("offline", 8.5, 39.5)]
    )
    report = answered(tmp_path, record, breaks=(TRAEFIK,))
    assert (report.told.finding, report.told.convicted) == ("both", ("traefik",))


def test_an_outage_of_another_moment_does_not_explain_their_drop(tmp_path: Path) -> None:
    record = client_record(drops=[drop(6.0, 8.0, 8.3, age_seconds=3.0)])
    report = answered(tmp_path, record, breaks=(TRAEFIK,), at=8.0)
    assert report.told.finding in ("last_mile", "unclear")
    assert "traefik" not in report.told.verdict.convicted
    assert "at another time than their own drop" in text(report)
    assert "What failed in the window" in text(report)


def test_without_a_record_such_an_outage_explains_it(tmp_path: Path) -> None:
    assert answered(tmp_path, breaks=(TRAEFIK,), at=8.0).told.finding == "ours"


def test_nobody_saw_a_drop(tmp_path: Path) -> None:
    report = answered(tmp_path, client_record())
    assert report.told.finding == "no_drop"
    assert "There was no drop on this way" in text(report)
    assert "its connection to us held" in text(report)


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ([gap("offline", 18, 21)], "was offline from"),
        ([gap("network", 19, 19)], "changed its network at"),
        ([gap("slept", 16, 30)], "slept from"),
        ([gap("late", 17, 24), gap("offline", 18, 20)], "was too busy, or too sparing"),
        ([gap("slept", 6, 14), gap("offline", 17, 18)], "was offline from"),
        ([gap("late", 18, 20)], ""),
        ([gap("hidden", 10, 50)], ""),
        ([gap("offline", 30, 35)], "was offline from"),
        ([gap("offline", 51, 55)], ""),
    ],
)
def test_what_a_device_did_and_its_connection_outlived_is_said(
    gaps: list[dict[str, Any]], said: str, tmp_path: Path
) -> None:
    held = {"began": START, "opened": START + 6, "last_good": START + 60,
            "ended": None, "reason": None, "code": None}  # fmt: skip
    report = answered(
        tmp_path, client_record(connections=[held], gaps=gaps), more=("--window", "30s")
    )
    assert report.told.finding == "no_drop"
    assert ("outlived" in text(report)) == bool(said)
    # Above, in the line of the record, and in the text for the person.
    assert text(report).count(f" {said}") == 3 or not said
    (client,) = to_dict(report)["clients"]
    assert (client["outlived"] is not None, client["pause"]) == (bool(said), None)


def test_our_outage_that_the_page_did_not_see(tmp_path: Path) -> None:
    report = answered(tmp_path, client_record(), breaks=(Breaks("serve", "gone", 18.0, 24.0),))
    assert (report.told.finding, report.told.convicted) == ("ours", ("serve",))
    assert "client-person0 itself saw no drop then" in text(report)


def test_another_place_of_the_cdn(tmp_path: Path) -> None:
    edges = [{"at": START, "colo": "AMS", "family": 6}]
    report = answered(tmp_path, client_record(drops=[drop(18.0, 20.0, 20.3)], edges=edges))
    assert report.told.finding == "their_edge"
    assert "AMS over IPv6, we at FRA over IPv4" in text(report)
    assert set(report.told.verdict.ambiguous) == {"last-mile", "cf-edge"}


def test_where_the_place_of_the_cdn_is_not_known_nothing_is_proven(tmp_path: Path) -> None:
    report = answered(tmp_path, client_record(drops=[drop(18.0, 20.0, 20.3)], edges=[]))
    assert (report.told.finding, report.told.proven) == ("last_mile", False)
    assert "which place of the CDN it used is not known" in text(report)


def test_answers_of_the_edge_meanwhile_do_not_accuse_the_last_mile(tmp_path: Path) -> None:
    down = drop(
        6.0, 8.2, 33.0, symptom="down", strand="both", reason="rtt_timeout", edge_answered=True
    )
    beats = [[START + at, None, -1] for at in (8.4, 12.0, 18.0, 24.0, 31.0)]
    for answers, finding in ((True, "unclear"), (False, "last_mile")):
        record = client_record(drops=[down | {"edge_answered": answers}], beats=beats)
        assert answered(tmp_path, record).told.finding == finding


def test_a_record_of_another_time_changes_nothing(tmp_path: Path) -> None:
    record = client_record(began=START - 900.0, made=START - 600.0)
    report = answered(tmp_path, record, breaks=(TRAEFIK,))
    assert (report.told.finding, report.told.convicted) == ("ours", ("traefik",))
    assert "tells nothing of the time that was named" in text(report)


def test_a_record_that_was_made_while_the_page_waited_for_an_answer_says_so(tmp_path: Path) -> None:
    record = client_record(beats=[[START + 6, 5, 5], [START + 16, None, None]], made=START + 21.0)
    assert "its page did not run then, or still waited" in text(answered(tmp_path, record))


def test_a_clock_that_nobody_knows_may_be_wrong_by_seconds(tmp_path: Path) -> None:
    record = client_record(drops=[drop(18.0, 20.0, 20.3)], clock=None)
    report = answered(tmp_path, record)
    assert "it may be wrong by 5 s" in text(report)
    assert report.told.clients[0].within == 5.0


def test_what_goes_back_is_no_surer_than_the_answer_when_their_clock_is_unknown(
    tmp_path: Path,
) -> None:
    record = client_record(drops=[drop(16.0, 18.2, 24.1, symptom="down")], clock=None)
    report = answered(tmp_path, record, breaks=(TRAEFIK,))
    assert report.told.finding == "ours"
    assert "Their own browser may have seen it, too." in text(report)
    assert "Your browser's own record may show it, too." in text(report)


def test_the_clock_s_offset_is_taken_out(tmp_path: Path) -> None:
    moved = drop(18.0 - 3600.0, 20.0 - 3600.0, 20.3 - 3600.0, age_seconds=15.0)
    record = client_record(
        drops=[moved], began=START + 5 - 3600, made=START + 65 - 3600,
        clock={"offset_seconds": 3600.0, "within_seconds": 0.6},
        edges=[{"at": START + 5 - 3600, "colo": "FRA", "family": 4}],
    )  # fmt: skip
    report = answered(tmp_path, record)
    assert (report.told.finding, report.told.proven) == ("last_mile", True)


def test_three_last_miles_at_once_are_something_shared(tmp_path: Path) -> None:
    three = [client_record(drops=[drop(18.0, 20.0, 20.3)]) for _ in range(3)]
    assert answered(tmp_path, *three).told.finding == "shared_blind_spot"


def test_of_two_people_one_slept(tmp_path: Path) -> None:
    slept = client_record(drops=[drop(18.0, 48.0, 48.3)], gaps=[gap("slept", 18.5, 47.5)])
    report = answered(tmp_path, slept, client_record(drops=[drop(18.0, 20.0, 20.3)]))
    assert report.told.finding == "last_mile"
    assert [report.told.told(one) for one in report.told.clients] == ["device", "last mile"]
    assert "the device slept" in text(report).lower()


@pytest.mark.parametrize("breaks", [(TRAEFIK,), (TUNNEL_CUT,)])
@pytest.mark.parametrize(
    "record",
    [
        client_record(),
        client_record(drops=[drop(19.0, 20.0, 20.3)]),
        client_record(drops=[drop(6.0, 8.0, 8.1)], edges=[]),
        client_record(drops=[drop(6.0, 8.0, 8.1, edge_answered=True, symptom="down")]),
        client_record(gaps=[gap("slept", 6.0, 60.0)], drops=[drop(6.0, 61.0)]),
    ],
)
def test_no_record_clears_anything_of_ours(
    tmp_path: Path, breaks: tuple[Breaks, ...], record: dict[str, Any]
) -> None:
    alone = answered(tmp_path, breaks=breaks, at=20.0)
    with_it = answered(tmp_path, record, breaks=breaks, at=20.0)
    assert not set(alone.told.verdict.convicted) & set(with_it.told.verdict.exonerated)


def test_json(tmp_path: Path) -> None:
    report = answered(tmp_path, client_record(drops=[drop(18.0, 20.0, 20.3)]))
    found = json.loads(json.dumps(to_dict(report)))
    assert found["proven"] is True
    (one,) = found["clients"]
    assert (one["leg"], one["told"], one["covers"]) == ("client-person0", "last mile", True)
    assert one["drop"]["noticed_at"] == START + 20.0
    assert "traefik" in one["cleared"]


def test_the_leg_has_the_person_s_name_where_there_are_as_many(tmp_path: Path) -> None:
    report = answered(tmp_path, client_record(), more=("--user", "Some One"))
    assert report.told.clients[0].leg == "client-some-one"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "found something else"),
        (b"[1, 2]", "found something else"),
        (b'{"t3probe_client": 2, "began": 1, "made": 2}', "found version 2"),
        (b'{"t3probe_client": 1, "began": 2, "made": 1}', "an end before its start"),
        (b'{"t3probe_client": 1, "began": 1, "made": 1e300}', "a time that is none"),
        (b'{"t3probe_client": 1, "began": 1, "made": 2, "drops": [{"began": 2, "noticed": 1}]}',
         "a drop that ends before it begins"),
        (b'{"t3probe_client": 1, "began": 1, "made": 2, "clock": {"offset_seconds": 1e300,'
         b' "within_seconds": 1}}', "a clock that is none"),
        (b'{"t3probe_client": 1, "began": 1, "made": 2, "clock": {"offset_seconds": -2,'
         b' "within_seconds": 1}}', "a clock that is none"),
        (b'{"t3probe_client": 1, "began": 1, "made": 2, "drops": [{"began": 1, "noticed": 1,'
         b' "code": 65536}]}', "a close code that is none"),
        (b'{"t3probe_client": 1, "began": 1, "made": 2, "edges": [{"at": 1, "colo": "\\u001b["}]}',
         "a place of the CDN that is none"),
        (b"[" * 60_000, "found something else"),
        (b"x" * 100_000, "expected at most"),
    ],
)  # fmt: skip
def test_what_is_no_record(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(content)
    with pytest.raises(ExplainError, match=words) as caught:
        ask("--at", str(int(START)), "--runs", runs(tmp_path), "--client", str(file),
            now=START + 100)  # fmt: skip
    assert "--client: " in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ExplainError, match="No such file"):
        ask("--at", "now", "--runs", runs(tmp_path), "--client", str(tmp_path / "none.json"))


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1013])
def test_a_connection_that_was_closed_in_words_was_not_ended_by_their_last_mile(
    code: int, tmp_path: Path
) -> None:
    """A close frame came through the last mile, from whatever ends the person's TLS: one of two
    replicas that stops, or the responder that takes a place from whoever has the most."""
    closed = drop(18.0, 20.0, 20.3, reason="closed_by_peer", code=code)
    report = answered(tmp_path, client_record(drops=[closed]))
    assert report.told.finding == "unclear"
    assert not report.told.verdict.convicted
    assert f"was closed with code {code}, and that came through its last mile" in text(report)


@pytest.mark.parametrize(("answer", "finding"), [(None, "unclear"), (5, "no_drop")])
def test_a_page_woken_once_a_minute_has_seen_no_drop_only_where_it_was_answered(
    answer: int | None, finding: str, tmp_path: Path
) -> None:
    """What it held was silent for two minutes, and nobody woke the page to notice."""
    held = {"began": START - 200.0, "opened": START - 200.0, "last_good": START + 120.0}
    record = client_record(
        began=START - 200.0, made=START + 121.0, gaps=[gap("late", -100.0, 110.0)],
        connections=[held | {"ended": None}],
        beats=[[START - 61.0, 5, 5], [START - 1.0, answer, answer], [START + 59.0, answer, answer],
               [START + 115.0, 5, 5]],
    )  # fmt: skip
    assert answered(tmp_path, record).told.finding == finding
