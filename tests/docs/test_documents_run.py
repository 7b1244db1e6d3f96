"""Every shell block of README, CONTRIBUTING and docs/ is run, or marked as needing a cluster."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from deliver.delivery_programs import program
from docs_commands import (
    FOR_LATER,
    NO_RUN,
    SHOWN,
    SUBSTITUTES,
    codes,
    commands,
    is_shell,
    is_shown,
    substituted,
)
from docs_reader import DOCUMENTS, MARK, Block, blocks
from docs_scratch import Scratch

ALL = [one for path in DOCUMENTS for one in blocks(path)]
SHELL = [one for one in ALL if one.lines and is_shell(one.lines[0])]
WITH_SHELL = sorted({one.document for one in SHELL})
MARKED = [one for one in SHELL if one.needs_cluster]
TOOLS = ("curl", "openssl", "nc")
CLUSTER = r"^(kubectl|helm) |\.svc\.cluster\.local\b"


@pytest.mark.parametrize("block", ALL, ids=lambda one: one.place)
def test_every_block_is_known(block: Block) -> None:
    """Shell, shown, or a file of another language: nothing is left out by not being understood."""
    first = next((one for one in block.lines if one.strip() and not one.startswith("#")), "")
    if block.language in NO_RUN:
        assert not is_shell(first), f"{block.place}: a command in a block of {block.language}"
    elif block.language in {"", "sh", "bash", "shell", "console"}:
        assert is_shell(first) or is_shown(first), (
            f"{block.place}: neither a command nor output that the test knows: {first!r}; if it is "
            "a command, add its first word to COMMANDS in tests/docs/docs_commands.py; if it is "
            "output, a query or configuration, add its beginning to SHOWN"
        )
    else:
        pytest.fail(
            f"{block.place}: unknown language {block.language!r}; add it to NO_RUN in "
            "tests/docs/docs_commands.py, or write sh for a shell block"
        )


@pytest.mark.parametrize("block", SHELL, ids=lambda one: one.place)
def test_every_line_of_a_shell_block_is_a_command(block: Block) -> None:
    for line in commands(block):
        if not block.needs_cluster:
            assert is_shell(line), (
                f"{block.place}: no command that the test knows: {line!r}; add its first word to "
                f"COMMANDS in tests/docs/docs_commands.py, or put {MARK} above the block, or keep "
                "output in a block of its own"
            )


@pytest.mark.parametrize("block", SHELL, ids=lambda one: one.place)
def test_what_needs_a_cluster_is_marked(block: Block) -> None:
    for line in commands(block):
        ran = substituted(line, {})
        if ran.split()[0] in ("kubectl", "helm"):
            assert block.needs_cluster, f"{block.place}: put {MARK} above the block: {line}"


@pytest.mark.parametrize("block", MARKED, ids=lambda one: one.place)
def test_the_mark_hides_nothing_that_could_be_run(block: Block) -> None:
    """At least one of its lines names a cluster."""
    assert any(re.search(CLUSTER, line) for line in commands(block)), (
        f"{block.place}: nothing here needs a cluster; take {MARK} away, and it is run"
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_of_the_documents_are_there(tool: str) -> None:
    """Without one its lines are only read, not run: a skip that is seen, and a failure in CI."""
    program(tool)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", WITH_SHELL)
def test_the_commands_of_a_document_run(
    document: str,
    scratch: Callable[[dict[str, str]], Scratch],
    gateway: Callable[[], str],
    prometheus: Callable[[], str],
    receiver: Callable[[], str],
    kept: Callable[[], str],
) -> None:
    """In order, in one folder, with what the document says to write."""
    mine = [one for one in ALL if one.document == document]
    lines = [
        substituted(line, {})
        for one in mine
        if one in SHELL and not one.needs_cluster
        for line in commands(one)
    ]
    place = scratch(
        {
            name: started()
            for name, started in (
                ("gateway", gateway),
                ("prometheus", prometheus),
                ("receiver", receiver),
                ("kept", kept),
            )
            if any(f"{{{name}}}" in line for line in lines)
        }
    )
    for block in mine:
        if block.put is not None:
            _write(place, block, *block.put)
        elif block in SHELL and not block.needs_cluster:
            for line in commands(block):
                _run(place, block, line)


def _write(place: Scratch, block: Block, name: str, added: bool) -> None:
    path = place.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(substituted(line, place.places) for line in block.lines) + "\n"
    with path.open("a" if added else "w", encoding="utf-8") as handle:
        handle.write("\n" + text if added else text)


def _run(place: Scratch, block: Block, line: str) -> None:
    text = substituted(line, place.places)
    tool = text.split()[0]
    if tool in TOOLS and shutil.which(tool) is None:
        text = f"bash -n -c {text!r}"  # at least it can be read
    done = place.run(text)
    assert done.returncode in codes(line), (
        f"{block.place}: {line}\nran as: {text}\nended with {done.returncode}, expected one of "
        f"{sorted(codes(line))} (CODES in tests/docs/docs_commands.py):\n{done.stdout[-3000:]}"
    )
    assert "Traceback" not in done.stdout, f"{block.place}: {line}\n{done.stdout[-3000:]}"


def test_the_tables_are_used() -> None:
    """An entry that nothing needs any more hides mistakes."""
    lines = [line for one in ALL for line in one.lines]
    for pattern in SHOWN:
        assert any(re.match(pattern, line) for line in lines), pattern
    for pattern, _ in SUBSTITUTES:
        if pattern not in FOR_LATER:
            assert any(re.search(pattern, line) for line in lines), pattern


def test_there_are_blocks_of_each_sort() -> None:
    run = [one for one in SHELL if not one.needs_cluster]
    assert len(run) > 20
    for one in run:
        assert commands(one), f"{one.place}: nothing of it is run"
    # What is replaced by nothing at all is what the test has started already.
    idle = [line for one in run for line in commands(one) if substituted(line, {}) == "true"]
    begins = ("git clone", "cd ", "pip ")
    assert all(line.endswith("&") or line.startswith(begins) for line in idle), idle
    assert any(one.needs_cluster for one in SHELL)
    assert any(one.put for one in ALL)
    assert Path(DOCUMENTS[0]).name == "README.md"
