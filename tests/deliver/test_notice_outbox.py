"""What waits while a receiver is away: bounded, nothing lost within the bound, one message then."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from t3probe.deliver.notices import Notice, Posted
from t3probe.deliver.notices.outbox import Message, Outbox
from t3probe.exchange.bounds import NOTICE_MESSAGE_BYTES, NOTICES_KEPT_BYTES

WEEK_SECONDS = 7 * 86400
SETTLE = 60.0


def notice(number: int, size: int = 600) -> Notice:
    return Notice(f"{number:032x}", float(number), f"t3: {number}", "x" * size)


def away(message: Message) -> Posted:
    return Posted(False, "the mail server refuses connections", ok=False)


def test_a_week_without_a_server_loses_nothing_and_stays_small(tmp_path: Path) -> None:
    file = tmp_path / "mail.json"
    box, failed = Outbox(file), 0
    for number in range(WEEK_SECONDS // 60):
        box.add(notice(number))
        if box.due(number * 60.0, SETTLE) and failed < 200:  # each of them builds a message
            box.send(away, number * 60.0)
            failed += 1
    box.save()
    assert file.stat().st_size < 10 << 20
    assert (len(box.waiting), box.lost) == (WEEK_SECONDS // 60, 0)
    box, now, seen = Outbox(file), WEEK_SECONDS + 1e6, []

    def back(message: Message) -> Posted:
        assert len(message.text) < 2 * NOTICE_MESSAGE_BYTES
        seen.append(message)
        return Posted(True, "sent")

    while box.waiting:
        assert box.due(now, SETTLE)
        box.send(back, now)
        assert not box.due(now + SETTLE - 1, SETTLE)
        now += SETTLE
    told = [one.id for message in seen for one in message.notices]
    assert sorted(told) == [f"{number:032x}" for number in range(WEEK_SECONDS // 60)]
    assert seen[0].subject.startswith(f"t3: {WEEK_SECONDS // 60 - 1} (and ")


def test_beyond_the_bound_the_oldest_go_and_it_is_said() -> None:
    box, number = Outbox(None), 0
    while not box.lost:
        box.add(notice(number, 60_000))
        number += 1
    assert box.bytes <= NOTICES_KEPT_BYTES
    assert box.waiting[0].id == f"{box.lost:032x}"
    seen: list[Message] = []
    box.send(lambda one: seen.append(one) or Posted(True, "sent"), 1e6)  # type: ignore[func-returns-value]
    assert "1 older message was lost: too many waited." in seen[0].text
    assert box.lost == 0


def test_attempts_are_apart_ever_further() -> None:
    box, tries = Outbox(None), []
    box.add(notice(1))
    for second in range(3600):
        if box.due(1e6 + second, SETTLE):
            box.send(away, 1e6 + second)
            tries.append(second)
    assert tries[:4] == [0, 30, 90, 210]
    assert {b - a for a, b in pairwise(tries[5:])} == {300}


def test_a_damaged_file_is_said_and_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "mail.json"
    file.write_text("{")
    box = Outbox(file)
    assert not box.waiting
    assert box.problems == [f"{file} cannot be read; the messages in it are lost"]
