"""Which runs write to receivers, under which labels, and what they take from earlier ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from delivery_runs import DEAD
from delivery_servers import answering, serving
from msgspec.structs import replace
from remote_parts import DROPS, Store, decoded
from test_shipping import FAILED, OneRun

from t3probe.config.delivery import RemoteWrite
from t3probe.config.shard import Shard
from t3probe.deliver.delivery import with_extra
from t3probe.observation import Beat, Observation

ROOT = Path(__file__).resolve().parents[2]


def run(tmp_path: Path, url: str, **more: Any) -> OneRun:
    more = {"gateway": None, "scheduled": True, **more}
    return OneRun(tmp_path, remote_write=(RemoteWrite(url=url),), **more)


def labels_of(store: Store) -> set[tuple[str | None, ...]]:
    found = [dict(labels) for body in store.bodies for labels in decoded(body)]
    return {tuple(one.get(name) for name in ("job", "vantage", "shard")) for one in found}


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({}, ("t3-probe", "cluster", None)),
        ({"job": "mine"}, ("mine", "cluster", None)),
        ({"gateway": DEAD}, ("t3-probe-remote-write", "cluster", None)),
        ({"scheduled": False, "told": True}, ("t3-probe-manual", "cluster", None)),
        (
            {"scheduled": False, "told": True, "environ": {"CI": "1"}},
            ("t3-probe-ci", "cluster", None),
        ),
        ({"shard": Shard(1, 2)}, ("t3-probe", "cluster", "1")),
    ],
)  # fmt: skip
def test_under_which_labels(how: dict[str, Any], wanted: tuple[str, ...], tmp_path: Path) -> None:
    store = Store()
    with serving(store) as server:
        one = run(tmp_path, server.url, **how)
        one.ship.begin(whole=True)
        one.end(FAILED)
    assert labels_of(store) == {wanted}


@pytest.mark.parametrize(
    ("how", "whole"), [({"scheduled": False}, True), ({"scheduled": True}, False)]
)
def test_a_run_that_is_not_to_deliver_sends_nothing(
    how: dict[str, bool], whole: bool, tmp_path: Path
) -> None:
    store = Store()
    with serving(store) as server:
        one = run(tmp_path, server.url, **how)
        one.ship.begin(whole)
        one.end(FAILED)
        assert server.requests == []


def test_delivered_means_that_every_receiver_has_it(tmp_path: Path) -> None:
    store = Store()
    with serving(store) as server:
        one = run(tmp_path, server.url)
        one.ship.begin(whole=True)
        one.end(FAILED)
    assert one.ship.delivered
    assert store.grown(DROPS, leg="web") == 1
    one = run(tmp_path, DEAD)
    one.ship.begin(whole=True)
    one.end(FAILED)
    assert not one.ship.delivered
    (sentence,) = one.ship.sentences
    assert "refuses connections; 1 drop is counted as lost" in sentence
    assert "nothing is kept over an outage" in sentence


def test_a_correction_comes_after_the_end(tmp_path: Path) -> None:
    store = Store()
    with serving(store) as server:
        one = run(tmp_path, server.url)
        one.ship.begin(whole=True)
        one.end(FAILED)
        one.session.stop()
        one.correct(FAILED)
    key = next(one for one in store.samples if ("__name__", "t3probe_run_complete") in one)
    (_, first), (_, last) = sorted(store.samples[key].items())
    assert (first, last) == (1, 0)


def test_a_leg_that_could_not_be_judged_has_no_state(tmp_path: Path) -> None:
    store = Store()
    unsure = Observation(leg="web", kind="http", path=("a",), level="hold", outcome="inconclusive")
    with serving(store) as server:
        one = run(tmp_path, server.url)
        one.ship.begin(whole=True)
        one.end(unsure)
    states = {
        dict(labels)["__name__"]: list(samples.values())
        for labels, samples in store.samples.items()
        if dict(labels)["__name__"] in {"t3probe_connected", "t3probe_planned"}
    }
    (connected,) = states["t3probe_connected"]
    assert connected != connected  # the stale marker is a NaN
    assert states["t3probe_planned"] == [0]


@pytest.mark.parametrize(("index", "marked"), [(0, True), (1, False)])
def test_another_shard_says_nothing_of_segments(index: int, marked: bool, tmp_path: Path) -> None:
    store = Store()
    with serving(store) as server:
        one = run(tmp_path, server.url, shard=Shard(index, 2))
        one.ship.begin(whole=True)
        one.end(FAILED)
    names = {dict(labels)["__name__"] for labels in store.samples}
    assert any(name.startswith("t3probe_segment_") for name in names) is marked


def test_what_was_usual_comes_from_earlier_runs(tmp_path: Path) -> None:
    """What the gateway's group gives elsewhere, a small file gives here."""
    beats = tuple(Beat(sent=float(n), ended=n + 0.05, ok=True, conn=0) for n in range(20))
    good = replace(FAILED, outcome="passed", reason=None, detail="", drops=(), beats=beats)
    store, known = Store(), []
    with serving(store) as server:
        for number in range(3):
            one = run(tmp_path, server.url, spool=str(tmp_path / "spool"))
            one.clock.advance(60 * number)
            one.ship.begin(whole=True)
            baseline = one.session.baselines.get("web")
            known.append(None if baseline is None else baseline.beats)
            one.end(replace(good, baseline=baseline) if number else FAILED)
    assert known == [None, 1, 21]
    usual = [
        dict(one) for one in store.samples if ("__name__", "t3probe_rtt_baseline_seconds") in one
    ]
    assert [one["leg"] for one in usual] == ["web"]
    last = next(s for k, s in store.samples.items() if "last_disconnect" in dict(k)["__name__"])
    assert len(last) == 3  # it stays true while nothing newer is known


def test_a_gateways_word_on_what_was_usual_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from t3probe.deliver.sinks import Receipt

    monkeypatch.setattr(
        "t3probe.deliver.sinks.pushgateway.sink", lambda *_: lambda batch: Receipt(True, "", {})
    )
    store = Store()
    with serving(store) as server:
        for _ in range(2):
            one = run(tmp_path, server.url, gateway=DEAD, spool=str(tmp_path / "spool"))
            one.clock.advance(100)
            one.ship.begin(whole=True)
            one.end(FAILED)
    assert one.session.baselines == {}


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({"T3PROBE_REMOTE_WRITE_TOKEN": "abcdefgh"}, "Authorization: Bearer abcdefgh"),
        (
            {"T3PROBE_REMOTE_WRITE_USER": "me", "T3PROBE_REMOTE_WRITE_PASSWORD": "secret"},
            "Authorization: Basic bWU6c2VjcmV0",
        ),
        ({"T3PROBE_GATEWAY_TOKEN": "abcdefgh"}, None),
    ],
)
def test_its_own_login(environ: dict[str, str], header: str | None, tmp_path: Path) -> None:
    with serving(answering("204 Y")) as server:
        one = run(tmp_path, server.url, environ=environ)
        one.ship.begin(whole=True)
        one.end()
        head = server.requests[-1].decode("latin-1").split("\r\n")
    found = [line for line in head if line.startswith("Authorization")]
    assert found == ([header] if header else [])


def test_a_token_from_a_file_is_masked_and_two_words_on_it_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-in-a-file\n")
    named = RemoteWrite(url="", name="edge.one", token_file=str(file))
    with serving(answering("400 No", b"I do not know a-token-in-a-file")) as server:
        named = replace(named, url=server.url)
        one = OneRun(tmp_path, gateway=None, scheduled=True, remote_write=(named,))
        one.ship.begin(whole=True)
        one.end()
        assert b"Authorization: Bearer a-token-in-a-file\r\n" in server.requests[-1]
    assert "a-token-in-a-file" not in " ".join(one.ship.sentences)
    environ = {"T3PROBE_REMOTE_WRITE_EDGE_ONE_TOKEN": "another-token"}
    with pytest.raises(ValueError, match="found both; take one away"):
        OneRun(tmp_path, gateway=None, scheduled=True, remote_write=(named,), environ=environ)


def test_without_the_extra_one_sentence_says_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"pip install 't3probe\[remote-write\]'"), with_extra("x"):
        raise ModuleNotFoundError("No module named 'cramjam'", name="cramjam")
    with pytest.raises(ModuleNotFoundError), with_extra("x"):
        raise ModuleNotFoundError("No module named 'mine'", name="mine")


NOT_THERE = """
import sys
class No:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"cramjam", "google"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, No())
"""


@pytest.mark.parametrize("there", [True, False])
def test_a_run_that_names_none_imports_nothing_of_it(there: bool, tmp_path: Path) -> None:
    """And one that names a receiver without the extra ends before it probes, with one sentence."""
    file = tmp_path / "d.toml"
    named = '[[delivery.remote_write]]\nurl = "http://127.0.0.1:1/w"\n' if not there else ""
    file.write_text(
        'name = "d"\nsegments = ["a"]\n[[leg]]\nname = "x"\nkind = "tcp"\n'
        f'address = "127.0.0.1:1"\npath = ["a"]\n{named}'
    )
    words = ["--deployment", str(file), "--hold", "0", "--exit-delivered", "--results",
             str(tmp_path / "results"), "checks"]  # fmt: skip
    code = f"{'' if there else NOT_THERE}\nimport sys, pytest\ncode = pytest.main({words!r})\n"
    code += "print('IMPORTED', sorted({'cramjam', 'google'} & {*sys.modules}))\nsys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "", "T3PROBE_LOOPBACK_ONLY": "1"},
    )  # fmt: skip
    said = done.stdout + done.stderr
    if there:
        assert "IMPORTED []" in said, said
        return
    assert done.returncode == 4, said
    assert "[[delivery.remote_write]] needs packages that are not installed" in said
    assert "Traceback" not in said


def test_the_held_mode_writes_nothing_and_says_so(tmp_path: Path) -> None:
    from t3probe.watch.service import Watch

    deployment = run(tmp_path, DEAD).session.deployment
    said: list[str] = []

    class Log:
        def say(self, kind: str, *_: Any, **more: Any) -> None:
            said.append(more.get("text", ""))

    watch = Watch.__new__(Watch)
    watch._vantage, watch._log = "", Log()  # type: ignore[assignment]
    watch._legs(deployment)
    assert said == ["the held mode writes to no receiver of remote write: it is scraped"]
