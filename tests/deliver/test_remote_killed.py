"""Runs that are killed at any moment: every drop is counted once, as delivered or as lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from delivery_runs import DEAD
from delivery_servers import serving
from remote_parts import DROPS, Box, Store, decoded, lost_drops, receiver

from t3probe.deliver.sinks import backlog
from t3probe.deliver.sinks.receiver import RemoteReceiver


class Killed(BaseException):
    """The process is gone."""


class Killer:
    """Ends a run at the n-th thing that it does to its folder, just before it or just after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
        self.at, self.after, self.seen = at, after, 0
        self.armed = False
        monkeypatch.setattr(backlog, "write_whole", self._wrapped(backlog.write_whole))
        monkeypatch.setattr(backlog.Backlog, "_unlink", self._wrapped(backlog.Backlog._unlink))
        monkeypatch.setattr(Path, "replace", self._wrapped(Path.replace))

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def doing(*words: Any, **more: Any) -> Any:
            now = self.armed and self.seen == self.at
            self.seen += self.armed
            if now and not self.after:
                raise Killed
            done = real(*words, **more)
            if now:
                raise Killed
            return done

        return doing


class Direct:
    """In place of a thread: what ends a process ends the test's run, too."""

    over = True

    def __init__(self, _: str, work: Callable[[], Any], after: object = None) -> None:
        self._done = work()

    def result(self, seconds: float) -> Any:
        return self._done


@pytest.mark.parametrize("strict", [False, True], ids=["takes all", "takes only what is newer"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("what", ["aged", "refused", "not kept"])
def test_a_run_that_is_killed_at_any_step(
    what: str, after: bool, strict: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs while the receiver is away; of what waits then some is lost by age or by refusal,
    and the run that notices is killed at each step in turn. Later runs finish what it left."""
    monkeypatch.setattr("t3probe.deliver.sinks.remote_write.Aside", Direct)
    step, dead = 0, True
    while dead:
        with monkeypatch.context() as patch:
            killer = Killer(patch, step, after=after)
            dead = _one_life(what, killer, strict, tmp_path / f"{step}")
        step += 1
    assert step > 3


def _one_life(what: str, killer: Killer, strict: bool, folder: Path) -> bool:
    """Whether the killer had its turn."""
    store = Store(strict=strict)
    with serving(store) as server:
        away = RemoteReceiver(DEAD, max_age_seconds=150 if what == "aged" else 3300)
        here = receiver(server, max_age_seconds=away.max_age_seconds)
        box = Box(folder, [away], keep=what != "not kept")
        for number, drops in enumerate((1, 2, 4)):
            box.run(number, drops)
        if what == "refused":
            store.answer = lambda body: "400 No" if _began(body, 1) else "204 Y"
        box.receivers = [away if what == "not kept" else here]
        killer.armed = True
        try:
            box.run(3, 8)
            dead = False
        except Killed:
            dead = True
        killer.armed = False
        box.receivers = [here]
        for number in range(4, 8):
            assert box.run(number, 16).ok
    truth = 1 + 2 + 4 + 8 + 4 * 16
    told = store.grown(DROPS) + lost_drops(store)
    # What the killed run itself had counted is gone where it had not written it yet.
    gone = {0, 8} if dead and killer.seen <= 4 else {0}
    assert truth - told in gone, (what, killer.at, killer.after)
    assert box.files == []
    if what == "aged":
        assert lost_drops(store) >= 1
    if what == "refused":
        assert lost_drops(store) == 2
    return dead


def _began(body: bytes, number: int) -> bool:
    from remote_parts import BEGAN

    return any(
        samples[0][0] == round((BEGAN + 60 * number) * 1000) for samples in decoded(body).values()
    )


@pytest.mark.parametrize("strict", [False, True])
def test_a_run_killed_between_request_and_answer_is_sent_again_and_counted_once(
    strict: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("t3probe.deliver.sinks.remote_write.Aside", Direct)
    store = Store(strict=strict)
    with serving(store) as server:
        box = Box(tmp_path, [receiver(server)])
        assert box.run(0, 1).ok

        def killed(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(backlog.Backlog, "taken", killed)  # the answer is not seen any more
            with pytest.raises(Killed):
                box.run(1, 2)
        assert len(box.files) == 1
        report = box.run(2, 4)
        assert report.ok
        assert "put aside" not in report.sentence
        assert len(store.bodies) == 4
        assert box.run(3).ok  # it would tell of what was lost
    assert store.bodies[1] == store.bodies[2]
    assert (store.grown(DROPS), lost_drops(store)) == (7, 0)
