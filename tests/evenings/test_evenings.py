"""Every evening of the table: a real Chromium, the lab's whole chain, and the answer as written."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import Future

import pytest
from evenings.seat import Told
from evenings.table import EVENINGS, Evening
from realpath.runner import ROOT

pytestmark = pytest.mark.timeout(900)
DOCUMENT = (ROOT / "docs" / "last-mile.md").read_text(encoding="utf-8")
SHOWN = dict(
    re.findall(r"^<!-- evening: (\S+) -->\n\n((?:(?:    .*)?\n)+)", DOCUMENT, re.MULTILINE)
)
"""What the document shows of which evening."""


@pytest.mark.parametrize("evening", EVENINGS, ids=lambda one: one.key)
def test_the_answer_is_as_written(evening: Evening, begun: dict[str, Future[Told]]) -> None:
    told = begun[evening.key].result(880)
    told.folder.with_suffix(".txt").write_text(told.answer)
    if told.wrong:
        pytest.fail(str(told), pytrace=False)
    for paragraph in re.split(r"\n *\n", SHOWN.get(evening.key, "").strip()):
        assert timeless(paragraph) in timeless(told.answer), "docs/last-mile.md shows otherwise"
    shutil.rmtree(told.folder, ignore_errors=True)


def timeless(text: str) -> str:
    """Words alone, and what differs from one evening to the next as one letter."""
    text = re.sub(r"\d\d:\d\d(:\d\d)?|\d{4}-\d\d-\d\d", "T", text)
    text = re.sub(r"\d+(\.\d+)? ?(s|ms|%)(?!\w)", "N", text)
    return " ".join(text.split())


def test_there_are_forty() -> None:
    assert len(EVENINGS) >= 40


def test_the_document_shows_evenings_of_every_kind() -> None:
    keys = {one.key: one.finding for one in EVENINGS}
    assert {keys[one] for one in SHOWN} >= {"ours", "both", "last_mile", "their_device", "no_drop"}
