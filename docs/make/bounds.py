"""The table of bounds in `docs/operations.md`, made from `t3probe/exchange/bounds.py`.

`python docs/make/bounds.py` writes it; a test holds that it is current.
"""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

from t3probe.exchange import bounds

__all__ = ["place", "table"]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- bounds: made by docs/make/bounds.py -->\n", "<!-- end of bounds -->\n"
UNITS = ("BYTES", "SECONDS", "CONNECTIONS", "CHARACTERS")


def table() -> str:
    """Every bound of the module, in its order: what it bounds, how much, what happens beyond."""
    source = Path(bounds.__file__).read_text(encoding="utf-8")
    body = ast.parse(source).body
    sections = {
        at: line.removeprefix("# -- ")
        for at, line in enumerate(source.splitlines(), 1)
        if line.startswith("# -- ")
    }
    lines = ["| bound | at most | beyond it |", "|---|---|---|"]
    said: set[int] = set()
    for node, after in pairwise(body):
        if not isinstance(node, ast.Assign) or not isinstance(after, ast.Expr):
            continue
        name = ast.unparse(node.targets[0])
        text = " ".join(ast.literal_eval(after.value).split())
        of, _, beyond = text.partition(". ")
        for at in sorted(sections):
            if at < node.lineno and at not in said:
                said.add(at)
                if not any(at < other < node.lineno for other in sections):
                    lines.append(f"| **{sections[at]}** | | |")
        lines.append(f"| {of.removesuffix('.')} | {_amount(name)} | {beyond} |")
    return "\n".join(lines) + "\n"


def _amount(name: str) -> str:
    value = getattr(bounds, name)
    unit = next((one for one in UNITS if name.endswith(f"_{one}")), "")
    if unit == "BYTES":
        for size, word in ((bounds.MIB, "MiB"), (bounds.KIB, "KiB")):
            if value >= size and value % size == 0:
                return f"{value // size:,} {word}"
        return f"{value:,} bytes"
    return f"{value:,} {'s' if unit == 'SECONDS' else unit.lower()}".strip()


def place(document: str) -> str:
    """The document with the table as it is now between its two marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, behind = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{behind}"


if __name__ == "__main__":
    DOCUMENT.write_text(place(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
