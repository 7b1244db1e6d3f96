"""The reader of blocks and the rules of the commands, on made-up documents."""

from __future__ import annotations

import pytest
from docs_commands import codes, commands, is_shell, is_shown, substituted
from docs_reader import read

TEXT = """\
# Title

    make check   # a comment
    t3probe verdict run.xml \\
        --text

    VERDICT  tunnel is broken

1. a list

    that goes on, and is no block

Text.
    not a block without an empty line

<!-- needs a cluster -->

    kubectl get pods

Put this into `checks/x.py`:

```python
import os
    make check
```
"""


def test_the_blocks_of_a_document() -> None:
    found = read(TEXT, "x.md")
    assert [(one.line, one.language, one.needs_cluster, one.put) for one in found] == [
        (3, "", False, None),
        (18, "", True, None),
        (23, "python", False, ("checks/x.py", False)),
    ]


def test_the_commands_of_a_block_and_not_what_they_print() -> None:
    block = read(TEXT, "x.md")[0]
    assert commands(block) == [
        "make check   # a comment",
        "t3probe verdict run.xml      --text",
    ]


@pytest.mark.parametrize(
    ("line", "shell", "shown"),
    [
        ("make check", True, False),
        ("T3PROBE_DEPLOYMENT=x pytest", True, False),
        ("VERDICT  clean", False, True),
        ("rate(t3probe_x[5m])", False, True),
        ("cargo run", False, False),
        ("", False, False),
    ],
)
def test_what_a_line_is(line: str, shell: bool, shown: bool) -> None:
    assert (is_shell(line), is_shown(line)) == (shell, shown)


@pytest.mark.parametrize(
    ("line", "ran", "allowed"),
    [
        ("make check DEPLOYMENT=deployments/t3.toml", "make check DEPLOYMENT=/l.toml", {0}),
        ("make check FAULT=a:b", "make check FAULT=a:b", {2}),
        ("make test   # all", "make -n test", {0}),
        ("t3probe legs deployments/t3.toml", "t3probe legs deployments/t3.toml", {0}),
        ("kubectl logs x | t3probe verdict -", "cat pod.log | t3probe verdict -", {0}),
        (
            "t3probe watch deployments/t3.toml --listen :9108",
            "timeout --preserve-status -s TERM 2 t3probe watch /l.toml --listen 127.0.0.1:0",
            {0, 143},
        ),
    ],
)  # fmt: skip
def test_what_is_run_in_place_of_a_line(line: str, ran: str, allowed: set[int]) -> None:
    assert substituted(line, {"lab": "/l.toml"}) == ran
    assert codes(line) == allowed
