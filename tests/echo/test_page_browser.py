"""The page in a real browser: what it notices, says, and records, while things really break."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from echo.echo_client import Child, child, request
from echo.page_person import Person, Relay, closing, fits, visiting
from show.report_browser import Browser

OPTIONS = ("--page", "--accept-records", "--page-heartbeat", "0.5", "--page-watchdog", "8")
WATCHFUL = (*OPTIONS[:-1], "2")


@pytest.fixture
def responder() -> Iterator[Child]:
    with child(*OPTIONS) as one:
        yield one


@pytest.fixture
def relay(responder: Child) -> Iterator[Relay]:
    with Relay(responder.port) as one:
        yield one


@pytest.fixture
def person(browser: Browser, relay: Relay) -> Iterator[Person]:
    with closing(visiting(browser, relay.port)) as one:
        one.more_beats()
        yield one


def test_it_says_that_it_is_connected_and_breaks_no_rule_of_its_policy(person: Person) -> None:
    assert person.says("Connected since ")
    person.more_beats()
    record = person.record()
    assert record["drops"] == []
    (connection,) = record["connections"]
    assert connection["opened"] is not None
    assert connection["ended"] is None
    assert record["page"].endswith("/probe/")
    assert record["browser"].startswith("Chrome ")
    assert record["heartbeat_seconds"] == 0.5
    person.until(lambda: person.record()["clock"])
    clock = person.record()["clock"]
    assert abs(clock["offset_seconds"]) <= clock["within_seconds"] + 0.1, "it is one machine"
    person.words_match()
    said = person.page.events("Log.entryAdded", "Runtime.exceptionThrown", "Audits.issueAdded")
    words = [json.dumps(one) for one in said]
    assert [one for one in words if "cdn-cgi/trace" not in one] == []
    asked = [one["request"]["url"] for one in person.page.events("Network.requestWillBeSent")]
    begins = person.page.run("location.origin") + "/"
    assert all(one.startswith((begins, "data:")) for one in asked), asked


def test_the_policy_bites(person: Person) -> None:
    """So that the silence in the other tests means something."""
    broken = person.page.run(
        "new Promise(done => { addEventListener('securitypolicyviolation', e => done("
        "e.effectiveDirective)); const s = document.createElement('div');"
        "fetch('http://127.0.0.2:9/').catch(() => 0); })"
    )
    assert broken == "connect-src"
    assert "TrustedHTML" in person.page.run(
        "try { document.body.innerHTML = '<p>x'; 'nothing' } catch (error) { String(error) }"
    )


def test_a_cut_of_what_is_open(person: Person, relay: Relay) -> None:
    relay.cut()
    drop = person.until(lambda: [one for one in person.drops() if one["ended"]])[0]
    assert (drop["symptom"], drop["reason"], drop["strand"]) == ("cut", "connection_reset", "held")
    assert drop["code"] == 1006
    assert drop["age_seconds"] > 0
    first, second = person.record()["connections"]
    assert drop["began"] == first["last_good"]
    assert drop["noticed"] == first["ended"]
    assert second["ended"] is None
    person.until(lambda: person.says("Connected since "))
    person.words_match()


def test_new_ones_are_refused_while_the_open_one_goes_on(person: Person, relay: Relay) -> None:
    relay.refuse = 1 << 20
    person.until(lambda: person.says("New connections fail since "))
    drop = person.drops()[0]
    assert (drop["symptom"], drop["strand"], drop["ended"]) == ("refusing", "fresh", None)
    assert drop["age_seconds"] is None
    record = person.record()
    assert len(record["connections"]) == 1
    held, fresh = next(both for at, *both in record["beats"] if at >= drop["noticed"])
    assert fresh == -1
    assert held >= 0, "the second look asked both ways at once"
    relay.refuse = 0
    person.until(lambda: person.drops()[0]["ended"])
    assert len(person.drops()) == 1
    person.words_match()


def test_one_try_that_failed_is_a_blip(person: Person, relay: Relay) -> None:
    relay.refuse = 1
    drop = person.until(lambda: [one for one in person.drops() if one["ended"]])[0]
    assert (drop["symptom"], drop["strand"], drop["reason"]) == ("blip", "fresh", "connect_failed")
    person.words_match()


def test_the_place_of_the_cdn_and_whether_it_answered_meanwhile(
    browser: Browser, relay: Relay
) -> None:
    relay.colo = "FRA"
    with closing(visiting(browser, relay.port)) as person:
        person.more_beats()
        (edge,) = person.until(lambda: person.record()["edges"])
        assert (edge["colo"], edge["family"], edge["ray"]) == ("FRA", 4, "8f00-FRA")
        assert "203.0.113.77" not in json.dumps(person.record()), "no address is kept"
        relay.colo = "AMS"
        relay.cut()
        person.until(lambda: len(person.record()["edges"]) == 2)
        relay.refuse = 1 << 20
        person.until(lambda: person.drops()[-1]["edge_answered"] is True)
        relay.refuse = 0
        person.until(lambda: person.drops()[-1]["ended"])
        relay.colo = ""  # it answers 404, which is not the CDN's page
        relay.refuse = 1 << 20
        person.until(lambda: person.drops()[-1]["edge_answered"] is False)
        assert [one["colo"] for one in person.record()["edges"]] == ["FRA", "AMS"]


def test_without_a_cdn_nobody_asks_whether_it_answers(person: Person, relay: Relay) -> None:
    relay.refuse = 1 << 20
    person.until(lambda: person.drops() and person.drops()[0]["symptom"] == "refusing")
    assert person.drops()[0]["edge_answered"] is None


def test_the_responder_is_gone_and_comes_back(browser: Browser) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(child(*OPTIONS))
        person = stack.enter_context(closing(visiting(browser, first.port)))
        person.more_beats()
        first.process.kill()
        person.until(lambda: person.says("Not connected since "))
        tries = len(person.record()["beats"])
        person.until(lambda: len(person.record()["beats"]) > tries + 3)
        assert len(person.record()["connections"]) == 2, "failed tries in a row are one entry"
        first.process.wait()
        stack.enter_context(child(*OPTIONS, listen=f"127.0.0.1:{first.port}"))
        person.until(lambda: person.drops()[0]["ended"])
        (drop,) = person.drops()
        assert (drop["symptom"], drop["strand"]) == ("down", "both")
        assert drop["reason"] == "connection_reset"
        person.words_match()


def test_a_polite_end_has_its_code(browser: Browser) -> None:
    with child(*OPTIONS) as one, closing(visiting(browser, one.port)) as person:
        person.more_beats()
        one.terminate()
        person.until(person.drops)
        (drop,) = person.drops()
        assert (drop["reason"], drop["code"]) == ("closed_by_peer", 1001)
        person.until(lambda: person.drops()[0]["symptom"] == "down")


def test_a_server_that_falls_silent_is_noticed_by_the_watchdog(browser: Browser) -> None:
    with child(*WATCHFUL) as one, closing(visiting(browser, one.port)) as person:
        person.more_beats()
        os.kill(one.process.pid, signal.SIGSTOP)
        try:
            person.until(lambda: [d for d in person.drops() if d["symptom"] == "down"])
        finally:
            os.kill(one.process.pid, signal.SIGCONT)
        (drop,) = person.drops()
        assert drop["reason"] == "rtt_timeout"
        assert drop["noticed"] - drop["began"] >= 1
        person.until(lambda: person.drops()[0]["ended"])
        person.words_match()


def test_offline(person: Person) -> None:
    def network(*, offline: bool) -> None:
        person.page.ask(
            "Network.emulateNetworkConditions",
            offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip

    network(offline=True)
    person.until(person.drops)
    assert person.says("This device is offline.")
    network(offline=False)
    person.until(lambda: person.says("Connected since "))
    person.until(lambda: all(one["ended"] for one in person.drops()))
    (gap,) = person.gaps("offline")
    drop = person.drops()[0]
    assert gap["began"] <= drop["noticed"] <= gap["ended"]
    assert gap["seconds"] == pytest.approx(gap["ended"] - gap["began"], abs=0.01)
    person.words_match()
    assert any("was offline for" in one for one in person.page.run("t3probe.events()"))


def test_a_tab_in_the_background_where_nothing_drops_has_no_drop(
    person: Person, browser: Browser
) -> None:
    other = browser.ask("Target.createTarget", url="about:blank")["targetId"]
    browser.ask("Target.activateTarget", targetId=other)
    person.until(lambda: person.gaps("hidden"))
    person.more_beats(5)
    browser.ask("Target.closeTarget", targetId=other)
    person.page.ask("Page.bringToFront")
    person.until(lambda: person.gaps("hidden")[0]["ended"])
    person.more_beats()
    assert person.drops() == []
    person.words_match()


SPARED = """{
  const later = setTimeout;
  window.setTimeout = (what, ms, ...words) => later(what, document.hidden ? 60000 : ms, ...words);
}"""
"""What browsers do to a page that nobody has seen for minutes."""


def test_a_watchdog_in_the_background_is_not_woken_once_a_minute(browser: Browser) -> None:
    with (
        child(*WATCHFUL) as one,
        Relay(one.port) as relay,
        closing(visiting(browser, relay.port, before=SPARED)) as person,
    ):
        person.more_beats()
        other = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        browser.ask("Target.activateTarget", targetId=other)
        person.until(lambda: person.gaps("hidden"))
        person.more_beats(4)
        relay.hold = True
        (drop,) = person.until(person.drops)
        relay.hold = False
        person.until(lambda: person.drops()[0]["ended"])
        person.more_beats()
        browser.ask("Target.closeTarget", targetId=other)
        assert drop["reason"] in ("connect_timeout", "rtt_timeout")
        assert drop["noticed"] - drop["began"] < 6, "its watchdog has 2 s"
        assert [one["kind"] for one in person.record()["gaps"]] == ["hidden"]
        assert person.drops()[1:] == []


def test_a_frozen_page_knows_that_it_was_frozen(person: Person) -> None:
    person.page.ask("Page.setWebLifecycleState", state="frozen")
    time.sleep(1)
    person.page.ask("Page.setWebLifecycleState", state="active")
    (gap,) = person.until(lambda: [one for one in person.gaps("frozen") if one["ended"]])
    assert gap["seconds"] >= 0.9
    person.until(lambda: person.says("Connected since "))
    person.until(lambda: all(one["ended"] for one in person.drops()))
    for drop in person.drops():  # browsers may close what is open when they freeze a page
        assert drop["reason"] in ("connection_reset", "closed_by_peer")
        assert drop["began"] <= gap["began"] < gap["ended"] <= drop["noticed"]
    assert any(
        "The browser froze this page for" in one for one in person.page.run("t3probe.events()")
    )


def test_its_own_lateness_is_no_drop_of_ours(browser: Browser) -> None:
    """Everything that was open waits for longer than the watchdog, for the page alone."""
    with child(*WATCHFUL) as one, closing(visiting(browser, one.port)) as person:
        person.more_beats()
        person.page.run(
            "{ const end = performance.now() + 3500; while (performance.now() < end); }"
        )
        person.until(lambda: person.gaps("late"))
        person.more_beats()
        assert person.drops() == []
        (gap,) = person.gaps("late")
        assert gap["seconds"] > 2
        person.words_match()


def test_refusals_for_a_limit_are_no_drops(browser: Browser) -> None:
    """The responder refuses a second WebSocket of one address: that says nothing of the path."""
    with (
        child(*OPTIONS, "--max-per-address", "1") as one,
        closing(visiting(browser, one.port)) as person,
    ):
        person.until(lambda: person.says("a limit"))
        person.until(lambda: len(person.record()["beats"]) > 8)
        person.until(lambda: person.drops() == [])
        record = person.record()
        assert len([one for one in record["beats"] if one[1] and one[1] > 0]) > 3
        assert all(fresh != -1 for _, _, fresh in record["beats"][:-1])


SLOW_HEALTH = """{
  const ask = fetch;
  window.fetch = async (...words) => {
    const answer = await ask(...words);
    await new Promise(done => setTimeout(done, 1500));
    return answer;
  };
}"""


def test_whether_there_is_a_limit_is_asked_after_the_refusal(browser: Browser) -> None:
    """An answer that was under way already knows nothing of it."""
    with (
        child(*OPTIONS, "--max-per-address", "2") as one,
        socket.create_connection(("127.0.0.1", one.port)) as other,
    ):
        other.sendall(request())
        assert other.recv(4096).startswith(b"HTTP/1.1 101 ")
        with closing(visiting(browser, one.port, before=SLOW_HEALTH)) as person:
            person.until(person.drops)
            other.close()
            person.more_beats()
            person.until(lambda: not person.drops())


def test_times_in_the_background_push_out_nothing_else(person: Person) -> None:
    """Somebody who changes tabs all day still has a record of what the device did."""
    person.page.run(
        "{ let away = false; Object.defineProperty(document, 'hidden', {get: () => away});"
        "Object.defineProperty(navigator, 'onLine', {get: () => !away}); away = true;"
        "dispatchEvent(new Event('offline')); away = false; dispatchEvent(new Event('online'));"
        "for (let one = 0; one < 300; one++) { away = !away;"
        "document.dispatchEvent(new Event('visibilitychange')); } }"
    )
    record = person.record()
    assert record["left_out"]["gaps"] == 51
    assert record["gaps"][0]["kind"] == "offline"


def test_a_browser_that_the_policy_keeps_from_connecting_accuses_nobody(
    browser: Browser, relay: Relay
) -> None:
    """As one whose 'self' means no WebSocket."""
    relay.replace = (b"connect-src 'self'", b"connect-src http://127.0.0.1:1")
    with closing(visiting(browser, relay.port)) as person:
        person.until(lambda: person.says("does not let the page connect"))
        person.page.run("new Promise(done => setTimeout(done, 1500))")
        record = person.record()
        assert record["drops"] == record["beats"] == record["connections"] == []
        assert person.says("does not let the page connect")


def test_save_copy_and_send(person: Person, tmp_path: Path) -> None:
    person.page.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    person.page.click("#save")
    (file,) = person.until(lambda: list(tmp_path.glob("t3probe-*.json")))
    person.until(file.read_text)
    saved = json.loads(file.read_text())
    fits(saved)
    assert person.page.run("document.querySelector('#answer').textContent").startswith(
        f"Your record is saved as {file.name}."
    )
    person.page.ask(
        "Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"]
    )
    person.page.ask("Page.bringToFront")
    person.page.click("#copy")
    said = "document.querySelector('#answer').textContent"
    person.until(lambda: "copied" in person.page.run(said) or "by hand" in person.page.run(said))
    copied = person.page.run("navigator.clipboard.readText()")
    fits(json.loads(copied))
    person.page.click("#send")
    code = person.until(
        lambda: person.page.run("(document.querySelector('#code') || {}).textContent")
    )
    got = person.page.run(f"fetch('records/{code}').then(answer => answer.json())")
    assert got["seen"]["network"] == "127.0.0.0/24"
    assert got.pop("seen")["family"] == 4
    fits(got)
    assert person.page.run("document.cookie + localStorage.length + sessionStorage.length") == "00"


def test_where_the_browser_cannot_copy_a_field_has_the_record(
    browser: Browser, relay: Relay
) -> None:
    before = "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
    with closing(visiting(browser, relay.port, before=before)) as person:
        person.more_beats()
        person.page.click("#copy")
        text = person.until(lambda: person.page.run("document.querySelector('#by-hand').value"))
        fits(json.loads(text))
        assert person.page.run("document.activeElement.id") == "by-hand"


def test_nothing_is_sent_by_itself_and_without_the_store_there_is_no_button(
    browser: Browser,
) -> None:
    with child(*OPTIONS[:1], *OPTIONS[2:]) as one, closing(visiting(browser, one.port)) as person:
        person.more_beats()
        assert person.page.run("document.querySelector('#send').offsetParent === null")
        sent = [
            event["request"]["method"] for event in person.page.events("Network.requestWillBeSent")
        ]
        assert set(sent) <= {"GET", "HEAD"}
