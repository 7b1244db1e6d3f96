"""The newest of files that come, change and go; and `explain_drop` out of many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from explain import explain_history as history
from mcp_asking import Asked
from mcp_runs import BROKEN_TUNNEL, NOW, THREE_DOWN, good, junit, recording, write

from t3probe.ask.mcp_server import of_run as runs_module
from t3probe.ask.mcp_server.answers import NothingToTellError
from t3probe.ask.mcp_server.of_run import NOTHING, RunFiles
from t3probe.exchange.client import Budget
from t3probe.record.log import record_line
from t3probe.timing import FakeClock

GOOD = (good("egress", "wan"), good("cloudflare", "wan", "tunnel", "dispatch"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    seen: list[str] = []
    real = runs_module.newest_since

    def reading(path: Any, *more: Any) -> Any:
        seen.append(Path(path).name)
        return real(path, *more)

    monkeypatch.setattr(runs_module, "newest_since", reading)
    return seen


async def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path, reads: list[str]) -> None:
    file = tmp_path / "junit.xml"
    write(file, GOOD)
    ask = Asked(file)
    assert (await ask("query_verdict"))["status"] == "clean"
    assert (await ask("query_legs"))["total"] == 2
    assert reads == ["junit.xml"]
    write(file, BROKEN_TUNNEL, NOW + 5)
    assert (await ask("query_verdict"))["convicted"] == ["tunnel"]
    assert len(reads) == 2


async def test_a_file_that_is_being_written(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    write(file, BROKEN_TUNNEL)
    ask = Asked(file)
    await ask("query_legs")
    file.write_text(junit(recording(GOOD, NOW + 60))[:-50])
    answer = await ask("query_verdict")
    assert answer["convicted"] == ["tunnel"]
    assert "this is the run that it held before" in answer["source"]["notes"][0]
    write(file, GOOD, NOW + 60)
    answer = await ask("query_verdict")
    assert answer["status"] == "clean"
    assert "notes" not in answer["source"]


async def test_a_file_that_goes(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    write(file, GOOD)
    ask = Asked(file)
    await ask("query_legs")
    file.unlink()
    assert await ask.refused("query_legs") == f"query_legs: {NOTHING}"
    file.write_text("no run")
    assert "expected a JUnit file" in await ask.refused("query_legs")


async def test_the_newest_of_a_folder(tmp_path: Path, reads: list[str]) -> None:
    write(tmp_path / "a" / "1.xml", BROKEN_TUNNEL, NOW)
    write(tmp_path / "a" / "2.xml", GOOD, NOW - 60)
    old = recording(THREE_DOWN, NOW - 120)
    (tmp_path / "a" / "log.txt").write_text(record_line(old.run, old.observations) + "\n")
    (tmp_path / "a" / "0.xml").write_text("<damaged")
    ask = Asked(tmp_path / "a")
    answer = await ask("query_verdict")
    assert answer["convicted"] == ["tunnel"]
    assert answer["source"]["name"].endswith("1.xml")
    assert "0.xml" in answer["source"]["notes"][0]
    count = len(reads)
    await ask("query_legs")
    assert len(reads) == count
    write(tmp_path / "a" / "2.xml", GOOD, NOW + 60)
    assert (await ask("query_verdict"))["status"] == "clean"
    # The newest goes, or is now an old one: the next one stands in.
    write(tmp_path / "a" / "2.xml", GOOD, NOW - 600)
    assert (await ask("query_verdict"))["convicted"] == ["tunnel"]
    (tmp_path / "a" / "1.xml").unlink()
    assert (await ask("query_backend_health"))["unreachable"] == 3
    with (tmp_path / "a" / "log.txt").open("a") as log:
        new = recording(BROKEN_TUNNEL, NOW + 300)
        log.write(record_line(new.run, new.observations) + "\n")
    assert (await ask("query_verdict"))["convicted"] == ["tunnel"]


def test_what_takes_too_long_goes_on_at_the_next_question(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"{number}.xml", GOOD, NOW + number)
    runs, clock = RunFiles([str(tmp_path)]), FakeClock()
    with pytest.raises(NothingToTellError, match="4 of 4 files are still to be read"):
        runs.newest(Budget(clock, 0.0))
    assert runs.newest(Budget(clock, 1.0))[0].ended_at == NOW + 3


async def test_explain_out_of_many_runs(tmp_path: Path) -> None:
    history.write_runs(tmp_path)
    clock = FakeClock(wall=history.END)
    ask = Asked(tmp_path, clock=clock, deployment=history.DEPLOYMENT)
    when = history.at(history.TUNNEL_CUT, history.CUT_AT)
    answer = await ask("explain_drop", at=str(when), users=["user-1"], window="60s")
    assert answer["finding"] == "ours"
    assert answer["answered"] is True
    assert answer["send_back"].startswith("Hello user-1,")
    assert answer["incident"]["legs"] == ["cloudflare"]
    assert "tunnel" in answer["verdict"]["convicted"]
    assert answer["source"]["run_ended_at"] == history.at(history.MINUTES - 1) + history.DURATION
    quiet = await ask("explain_drop", at=str(history.at(15)))
    assert quiet["finding"] == "last_mile"
    assert await ask.refused("explain_drop", at="25:99")


async def test_explain_without_a_source_says_what_to_do() -> None:
    assert "--runs or --prometheus" in await Asked().refused("explain_drop", at="14:03")
