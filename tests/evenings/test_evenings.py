"""Every evening of the table: a real Chromium, the lab's whole chain, and the answer as written."""

from __future__ import annotations

import shutil
from concurrent.futures import Future

import pytest
from evenings.seat import Told
from evenings.table import EVENINGS, Evening

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("evening", EVENINGS, ids=lambda one: one.key)
def test_the_answer_is_as_written(evening: Evening, begun: dict[str, Future[Told]]) -> None:
    told = begun[evening.key].result(880)
    if told.wrong:
        pytest.fail(str(told), pytrace=False)
    shutil.rmtree(told.folder, ignore_errors=True)


def test_there_are_forty() -> None:
    assert len(EVENINGS) >= 40
